"""`python -m benchmarks.report`: write chart.svg and print tables, from the benchmarks' results.

The tables are in docs/speed.md, as they are printed; a test compares them.
"""

import json
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
DATABASES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}
TARGETS = {
    "message list, cached": 0.35,
    "message list, 304": 0.35,
    "message list, past the cache": 0.16,
    "message list, filtered": None,
    "flat list, cached": None,
    "flat list, past the cache": None,
    "conversation list": 0.14,
    "conversation detail": 0.14,
    "send": 0.12,
    "sign-in": None,
}
SIZES = [f"{count} messages" for count in (1_000, 100_000, 1_000_000)]
COUNTS = [f"{count} conversations" for count in (10, 100, 1_000)]


def main():
    results = read()
    print(*[ratios(results), *grown_tables(results), memory(results)], sep="\n\n")
    chart(results)


def read():
    return {
        name: json.loads((FOLDER / f"results.{database}.json").read_text())
        for database, name in DATABASES.items()
    }


def find(operations, name):
    return operations.get(f"{SIZES[0]}: {name}") or operations[name]


def ratios(results):
    """Throughput relative to the bare view's in the same minute."""
    table = [["operation", *results, "target on SQLite"]]
    for name, target in TARGETS.items():
        values = [find(result["operations"], name)["ratio"] for result in results.values()]
        table.append([name, *(f"{value:.2f}" for value in values), str(target or "")])
    return markdown(table)


def grown_tables(results):
    return [
        grown(database, result, labels)
        for labels in ([*SIZES, "old"], COUNTS)
        for database, result in results.items()
    ]


def grown(database, result, labels):
    """The median time for the first size as a multiple of the bare view's, and how much longer each
    other size takes."""
    operations = result["operations"]
    table = [[database, *map(with_commas, labels)]]
    first = f"{labels[0]}: "
    for name in operations:
        if name.startswith(first):
            what = name.removeprefix(first)
            rows = [operations.get(f"{label}: {what}") for label in labels]
            times = [row and row["median_ms"] for row in rows]
            rises = [f"{time / times[0] - 1:+.0%}" if time else "" for time in times[1:]]
            table.append([what, f"{times[0] / rows[0]['bare_median_ms']:.1f}", *rises])
    return markdown(table)


def memory(results):
    """MiB of each of the two workers."""
    names = {
        "all operations except sign-in": "memory_mib",
        "all operations": "memory_with_sign_in_mib",
    }
    table = [["after", *results]]
    for label, key in names.items():
        table.append([label, *(join(result[key]) for result in results.values())])
    pages = {"before": "pages too large to cache", "after": "the largest cached pages"}
    for when, label in pages.items():
        values = [join(result["worst_pages_mib"][when]) for result in results.values()]
        table.append([f"{label}, in new workers", *values])
    return markdown(table)


def join(values):
    return " and ".join(map(str, values))


def with_commas(label):
    number, _, unit = label.partition(" ")
    return f"{int(number):,} {unit}" if number.isdigit() else label


def markdown(table):
    head, *rows = [f"| {' | '.join(row)} |" for row in table]
    return "\n".join([head, "|---" * len(table[0]) + "|", *rows])


def chart(results):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    height = 0.8 / len(results)
    for n, (database, result) in enumerate(results.items()):
        values = [find(result["operations"], name)["ratio"] for name in TARGETS]
        places = [place + n * height for place in range(len(TARGETS))]
        axes.barh(places, values, height, label=database)
    for place, target in enumerate(TARGETS.values()):
        if target:
            axes.plot([target, target], [place - 0.25, place + 0.65], color="black", linewidth=2)
    axes.set_yticks([place + 0.2 for place in range(len(TARGETS))], list(TARGETS))
    axes.invert_yaxis()
    axes.set_xlabel(
        "Throughput relative to a bare Django view (1.0 is equal; black: target on SQLite)"
    )
    axes.legend(loc="lower right")
    plt.rcParams["svg.hashsalt"] = "benchmarks"
    figure.savefig(FOLDER / "chart.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
