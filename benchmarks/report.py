"""`python -m benchmarks.report`: write the tables of docs/speed.md and chart.svg from the results.

Each table is between `<!-- name -->` and `<!-- end -->`. A test compares page and chart with the
results.
"""

import json
import re
from pathlib import Path

from benchmarks.chart import draw

FOLDER = Path(__file__).resolve().parent
PAGE = FOLDER.parent / "docs/speed.md"
CHART = FOLDER / "chart.svg"
DATABASES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}
# At least, as a ratio to the yardstick.
TARGETS = {
    "SQLite": {
        "message list, cached": 0.26,
        "message list, 304": 0.27,
        "message list, filtered": 0.10,
        "inbox, unchanged": 0.15,
        "inbox, 304": 0.25,
        "conversation detail, unchanged": 0.23,
        "send": 0.10,
    },
    "PostgreSQL": {
        "message list, cached": 0.20,
        "message list, 304": 0.20,
        "message list, filtered": 0.08,
        "inbox, unchanged": 0.115,
        "inbox, 304": 0.19,
        "conversation detail, unchanged": 0.16,
        "send": 0.08,
    },
}
# At most, the 99th percentile in medians, by the number of connections.
SEND_TARGETS = {"8": 4, "32": 4}
POLL_SECONDS = 3
POLLED = ("cached", "304", "unchanged", "just changed")


def main():
    results = read()
    CHART.write_text(draw(get_ratios(results)))
    PAGE.write_text(fill(PAGE.read_text(), results))


def read():
    return {
        name: json.loads((FOLDER / f"results.{database}.json").read_text())
        for database, name in DATABASES.items()
    }


def fill(page, results):
    """The page with the tables of these results."""
    tables = {
        "headlines": headlines(results),
        "sends": sends(results),
        "messages": growth(results, is_by_messages),
        "conversations": growth(results, lambda label: label.endswith("conversations")),
        "memory": memory(results),
    }
    for name, table in tables.items():
        pattern = re.compile(f"(?<=<!-- {name} -->\n\n).*?(?=\n\n<!-- end -->)", re.DOTALL)
        page, found = pattern.subn(lambda _, table=table: table, page)
        if found != 1:
            raise SystemExit(f"The page has {found} places for the table of {name}.")
    return page


def get_ratios(results):
    return {
        database: {name: row["now"]["ratio"] for name, row in result["headlines"].items()}
        for database, result in results.items()
    }


def headlines(results):
    table = [["operation"]]
    for database in results:
        table[0] += [f"{database}, before", "now", "at least", "clients"]
    for name in results["SQLite"]["headlines"]:
        row = [name]
        for database, result in results.items():
            measured, target = result["headlines"][name], TARGETS[database].get(name)
            clients = f"{round(POLL_SECONDS * measured['now']['per_second'], -1):,}"
            row += [
                f"{measured['before']['ratio']:.3f}" if "before" in measured else "",
                f"{measured['now']['ratio']:.3f}",
                f"{target:g}" if target else "",
                clients if name.endswith(POLLED) else "",
            ]
        table.append(row)
    return markdown(table)


def sends(results):
    head = ["", "per second", "median", "99th percentile", "p99 / median", "target"]
    table = [head]
    for database, result in results.items():
        for connections, figures in result["sends"].items():
            medians = figures["percentile_99_ms"] / figures["median_ms"]
            target = SEND_TARGETS.get(connections)
            table.append(
                [
                    f"{database}, {connections} connections",
                    f"{figures['per_second']:,}",
                    f"{figures['median_ms']:.0f} ms",
                    f"{figures['percentile_99_ms']:.0f} ms",
                    f"{medians:.1f}",
                    f"at most {target}" if target else "",
                ]
            )
    return markdown(table)


def is_by_messages(label):
    return label.endswith("messages") or label == "old"


def growth(results, is_shown):
    """For each database the median time with the first number, and how much longer it takes with
    each other number."""
    tables = []
    for database, result in results.items():
        rows = result["growth"].items()
        labels = [label for label in next(iter(result["growth"].values())) if is_shown(label)]
        table = [[database, *map(with_commas, labels)]]
        for name, times in rows:
            first, *others = [times.get(label) for label in labels]
            if first:
                rises = [f"{time / first - 1:+.0%}" if time else "" for time in others]
                table.append([name, f"{first:.1f} ms", *rises])
        tables.append(markdown(table))
    return "\n\n".join(tables)


def memory(results):
    table = [["after", *results]]
    for label in results["SQLite"]["memory"]:
        values = [" and ".join(map(str, result["memory"][label])) for result in results.values()]
        table.append([label, *values])
    return markdown(table)


def with_commas(label):
    number, _, unit = label.partition(" ")
    return f"{int(number):,} {unit}" if number.isdigit() else label


def markdown(table):
    head, *rows = [f"| {' | '.join(row)} |" for row in table]
    return "\n".join([head, "|---" * len(table[0]) + "|", *rows])


if __name__ == "__main__":
    main()
