"""`python -m benchmarks.report`: tables and chart.svg, from what `python -m benchmarks` wrote."""

import json
from pathlib import Path

import matplotlib.pyplot as plt

FOLDER = Path(__file__).resolve().parent
DATABASES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}
TARGETS = {
    "message list, cached": 0.35,
    "message list, 304": 0.35,
    "message list, past the cache": 0.16,
    "flat list, cached": None,
    "flat list, past the cache": None,
    "conversation list": 0.14,
    "conversation detail": 0.14,
    "send": 0.12,
    "sign-in": None,
}
SIZES = ("1000", "100000", "1000000")
COUNTS = ("10", "100", "1000")


def main():
    results = {
        database: json.loads(path.read_text())
        for database in DATABASES
        if (path := FOLDER / f"results.{database}.json").exists()
    }
    ratios(results)
    for database, result in results.items():
        grown(DATABASES[database], result["operations"], "messages", SIZES)
        grown(DATABASES[database], result["operations"], "conversations", COUNTS)
        print(f"{DATABASES[database]}: MiB of each worker at the end:", result["memory_mib"], "\n")
    chart(results)


def find(operations, name):
    return operations.get(f"1000 messages: {name}") or operations[name]


def ratios(results):
    names = [DATABASES[database] for database in results]
    print("| operation |", " | ".join(names), "| wanted on SQLite |")
    print("|---|" + "---|" * len(names) + "---|")
    for name, target in TARGETS.items():
        values = [f"{find(r['operations'], name)['ratio']:.2f}" for r in results.values()]
        print(f"| {name} | {' | '.join(values)} | {target or ''} |")
    print()


def grown(database, operations, unit, numbers):
    """The median time as a multiple of the bare view's in the same minute."""
    print(f"| {database}, {unit} |", " | ".join(f"{int(n):,}" for n in numbers), "|")
    print("|---|" + "---|" * len(numbers))
    first = f"{numbers[0]} {unit}: "
    for name in operations:
        if name.startswith(first):
            what = name.removeprefix(first)
            times = [relative_time(operations[f"{n} {unit}: {what}"]) for n in numbers]
            print(f"| {what} | {' | '.join(times)} |")
    if unit == "messages":
        for name in operations:
            if name.startswith("old: "):
                print(f"| {name} | {relative_time(operations[name])} | | |")
    print()


def relative_time(row):
    return f"{row['median_ms'] / row['bare_median_ms']:.1f}"


def chart(results):
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    height = 0.8 / len(results)
    for n, (database, result) in enumerate(results.items()):
        values = [find(result["operations"], name)["ratio"] for name in TARGETS]
        places = [place + n * height for place in range(len(TARGETS))]
        axes.barh(places, values, height, label=DATABASES[database])
    for place, target in enumerate(TARGETS.values()):
        if target:
            axes.plot([target, target], [place - 0.25, place + 0.65], color="black", linewidth=2)
    axes.set_yticks([place + 0.2 for place in range(len(TARGETS))], list(TARGETS))
    axes.invert_yaxis()
    axes.set_xlabel("requests a second, as a part of a bare view's (black: wanted on SQLite)")
    axes.legend(loc="lower right")
    plt.rcParams["svg.hashsalt"] = "benchmarks"
    figure.savefig(FOLDER / "chart.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
