"""The chart of the headline rows: SVG, 800 pixels wide, for light and dark backgrounds."""

COLOURS = {"SQLite": "#4c8bd6", "PostgreSQL": "#d98032"}
WIDTH, LEFT, RIGHT = 800, 270, 50
TOP, BAR, ROW = 34, 12, 32
STYLE = """
text { font: 14px sans-serif; fill: #7a818a }
.name { text-anchor: end }
.value { font-size: 11px }
"""


def draw(ratios):
    """`ratios` by the name of the database and of the operation."""
    names = list(next(iter(ratios.values())))
    longest = max(max(values.values()) for values in ratios.values())
    scale = (WIDTH - LEFT - RIGHT) / longest
    height = TOP + ROW * len(names) + 30
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}">',
        f"<style>{STYLE}</style>",
        text(
            LEFT, height - 8, "Throughput relative to a fresh Django project's view (1.0 is equal)"
        ),
    ]
    for row, name in enumerate(names):
        lines.append(text(LEFT - 10, TOP + ROW * row + 17, name, "name"))
    for n, (database, values) in enumerate(ratios.items()):
        lines.append(rectangle(LEFT + 110 * n, 8, 14, database))
        lines.append(text(LEFT + 110 * n + 20, 20, database))
        for row, name in enumerate(names):
            y, width = TOP + ROW * row + n * BAR, scale * values[name]
            lines.append(rectangle(LEFT, y, width, database))
            lines.append(text(LEFT + width + 6, y + 10, f"{values[name]:.2f}", "value"))
    return "\n".join([*lines, "</svg>", ""])


def rectangle(x, y, width, database):
    fill = COLOURS[database]
    return f'<rect x="{x}" y="{y}" width="{width:.0f}" height="{BAR - 1}" fill="{fill}"/>'


def text(x, y, content, kind=""):
    kind = kind and f' class="{kind}"'
    return f'<text x="{x:.0f}" y="{y}"{kind}>{content}</text>'
