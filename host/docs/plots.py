#!/usr/bin/env python3
"""Turn the JSON of `host bench --scale --json` into SVG plots and a Markdown table.

usage: plots.py SERIES.json DIRECTORY > tables.md

Needs nothing beside Python itself.
"""

import json
import math
import sys
from pathlib import Path
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 78, 24, 44, 52
WAYS = {"component": "#2563a8", "native": "#c2571a"}

# file, series, title, x, y, figure, its factor, which axes are logarithmic
PLOTS = [
    ("workers", "workers", "Throughput by workers", "workers", "events a second", "events_per_second", 1, ""),
    ("event-bytes", "event_bytes", "Cost by size", "bytes of an event", "µs of CPU an event", "cpu_ns_per_event", 1e-3, "xy"),
    ("mappings", "mappings", "Cost by mappings", "mappings", "ns of CPU an event", "cpu_ns_per_event", 1, "x"),
    ("streams", "streams", "Cost by delivery streams", "delivery streams", "ns of CPU an event", "cpu_ns_per_event", 1, "x"),
    ("memory", "streams", "Memory by delivery streams", "delivery streams", "MB at the peak", "peak_memory_bytes", 1e-6, "x"),
]

TABLES = [("workers", "workers"), ("event_bytes", "bytes of an event"), ("mappings", "mappings"), ("streams", "delivery streams")]
COLUMNS = [
    ("events/s", "events_per_second", 1, 0),
    ("events/CPU s", "events_per_cpu_second", 1, 0),
    ("ns/event", "cpu_ns_per_event", 1, 0),
    ("floor ns/event", "floor_ns_per_event", 1, 0),
    ("ratio", "ratio_to_floor", 1, 2),
    ("peak MB", "peak_memory_bytes", 1e-6, 0),
]


def figures(points, way, figure, factor):
    """The medians of one way, as pairs; points without the figure are left out."""
    for point in points:
        value = point["report"].get(way, {}).get("median", {}).get(figure)
        if value is not None:
            yield point["x"], value * factor


def ticks(values, logarithmic):
    """Round steps from 0 to just beyond the largest value, or powers of ten around all."""
    top = max(values)
    if logarithmic:
        low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(top))
        return [10.0**power for power in range(low, max(high, low + 1) + 1)]
    rough = top / 4 or 1
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * times for times in (1, 2, 2.5, 5, 10) if size * times >= rough)
    return [step * number for number in range(math.ceil(top / step) + 1)]


def short(number):
    return f"{number:,.0f}" if number >= 10 or number == int(number) else f"{number:g}"


def text(x, y, words, anchor="middle", more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{escape(words)}</text>'


def plot(points, title, x_label, y_label, figure, factor, logarithmic):
    lines = {way: list(figures(points, way, figure, factor)) for way in WAYS}
    lines = {way: line for way, line in lines.items() if line}
    if not lines:
        return None
    positions = sorted({x for line in lines.values() for x, _ in line})
    scale_x, scale_y = (math.log10 if axis in logarithmic else float for axis in "xy")
    y_ticks = ticks([y for line in lines.values() for _, y in line], "y" in logarithmic)
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def share(value, ends, scale):
        first, last = scale(ends[0]), scale(ends[-1])
        return (scale(value) - first) / (last - first) if last > first else 0.5

    def at_x(x):
        return LEFT + share(x, positions, scale_x) * (right - LEFT)

    def at_y(y):
        return bottom - share(y, y_ticks, scale_y) * (bottom - TOP)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        text(LEFT, 22, title, "start", 'font-size="15" font-weight="bold"'),
        text((LEFT + right) / 2, HEIGHT - 12, x_label),
        text(16, (TOP + bottom) / 2, y_label, more=f'transform="rotate(-90 16 {(TOP + bottom) / 2})"'),
    ]
    for y in y_ticks:
        parts.append(f'<path d="M{LEFT} {at_y(y):.1f}H{right}" stroke="#ddd"/>')
        parts.append(text(LEFT - 8, at_y(y) + 4, short(y), "end"))
    for x in positions:
        parts.append(f'<path d="M{at_x(x):.1f} {bottom}v5" stroke="#555"/>')
        parts.append(text(at_x(x), bottom + 18, short(x)))
    for number, (way, line) in enumerate(lines.items()):
        colour = WAYS[way]
        corners = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in line)
        parts.append(f'<polyline points="{corners}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="3.5" fill="{colour}"/>' for x, y in line]
        parts.append(text(right, 22 + 15 * number, way, "end", f'fill="{colour}" font-weight="bold"'))
    return "\n".join(parts) + "\n</svg>\n"


def table(points, label):
    ways = [way for way in WAYS if way in points[0]["report"]]
    rows = [[label, "built-in plugin", *(head for head, *_ in COLUMNS)], ["---:", "---", *("---:" for _ in COLUMNS)]]
    for point in points:
        for way in ways:
            median = point["report"][way]["median"]
            cells = ["-" if median[key] is None else f"{median[key] * factor:,.{digits}f}" for _, key, factor, digits in COLUMNS]
            rows.append([str(point["x"]), way, *cells])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def where(report):
    machine, total = report["machine"], report["input"]["events"]
    return (
        f"host {report['version']}, {report['engine']}; {machine['cpu'] or 'unknown processor'}, "
        f"{machine['cores']} cores, {machine['system']}; {total:,} events a run."
    )


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    series = json.loads(Path(sys.argv[1]).read_text())["series"]
    directory = Path(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    print(where(series["workers"][0]["report"]))
    for name, label in TABLES:
        print(f"\n{table(series[name], label)}")
    for file, name, *rest in PLOTS:
        svg = plot(series[name], *rest)
        if svg:
            (directory / f"{file}.svg").write_text(svg)


if __name__ == "__main__":
    main()
