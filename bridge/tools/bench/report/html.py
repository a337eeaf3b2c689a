"""The report as one HTML file that loads nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from itertools import groupby, pairwise

from bridge.tools.bench.report import text
from bridge.tools.bench.report.latencies import Latencies
from bridge.tools.bench.report.results import BenchResult, Report, UsageSample
from bridge.tools.bench.report.svg import COLOURS, Axis, Point, Series, Shown, linear, logarithmic, plot
from bridge.tools.bench.scenarios.catalog import SCENARIOS

_BINS_PER_DECADE = 12
_SMALLEST_SECONDS = 1e-5

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --paper: #fff; --line: #e3e7ec; --head: #f5f7f9;
  --warn: #8a4b00; --bad: #b3261e;
  --s0: #1f6feb; --s1: #d1600a; --s2: #1a7f5a; --s3: #8b3fc7; --s4: #b8336a; --s5: #6b7280; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --soft: #9aa5b3; --paper: #12161c; --line: #2a313b;
  --head: #1a2028; --warn: #e3a857; --bad: #ff8a80;
  --s0: #6cb0ff; --s1: #ffa35c; --s2: #5fd0a0; --s3: #c792ff; --s4: #ff86b3; --s5: #a5adba; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 78rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.2rem; margin: 2.5rem 0 .25rem; }
h3 { font-size: .95rem; margin: 0 0 .25rem; } p { margin: .25rem 0; color: var(--soft); max-width: 60rem; }
.wide { overflow-x: auto; margin-top: 1rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { background: var(--head); font-weight: 600; } .left { text-align: left; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(28rem, 100%), 1fr)); gap: 1.25rem;
  margin-top: 1rem; }
.figures { display: flex; flex-wrap: wrap; gap: .5rem 3rem; margin-top: 1rem; }
figure { margin: 0; padding: .9rem; border: 1px solid var(--line); border-radius: 8px; min-width: 0; }
figcaption { font-size: .86rem; color: var(--soft); font-variant-numeric: tabular-nums; }
svg { width: 100%; height: auto; display: block; } svg text { font: 11px system-ui, sans-serif; fill: var(--soft); }
.grid { stroke: var(--line); } .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.area { stroke: none; fill-opacity: .12; } .mark { stroke-dasharray: 3 3; }
.key { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .4em; }
.note { color: var(--warn); } .failure { color: var(--bad); font-weight: 600; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: .5rem 0; font-size: .9rem; }
dt { color: var(--soft); } dd { margin: 0; font-variant-numeric: tabular-nums; }
"""


def html_page(report: Report) -> str:
    """The whole of it."""
    colours = "".join(
        f".line.s{n},.mark.s{n}{{stroke:var(--s{n})}}.area.s{n}{{fill:var(--s{n})}}.key.s{n}{{background:var(--s{n})}}"
        for n in range(COLOURS)
    )
    sections = groupby(report.measurements, key=lambda one: one.scenario.partition(" ")[0])
    body = [
        "<h1>Sensor Bridge under load</h1>",
        f"<p>{escape(text.machine(report))}</p>",
        *(f'<p class="failure">{escape(text)}</p>' for text in report.failures),
        _table(report.measurements),
        f"<p>{escape(text.LEGEND)}</p>",
        *(f'<p class="note">{escape(text)}</p>' for text in report.notes),
        *(_section(name, list(rows)) for name, rows in sections),
        _settings(report),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Sensor Bridge under load</title><style>{_STYLE}{colours}</style></head><body>{''.join(body)}</body></html>\n"
    )


def _table(rows: Sequence[BenchResult]) -> str:
    def cells(tag: str, values: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=left' if name in text.TEXT_COLUMNS else ''}>{escape(value)}</{tag}>"
            for name, value in zip(text.COLUMNS, values, strict=True)
        )

    body = "".join(f"<tr>{cells('td', text.row(one))}</tr>" for one in rows)
    return f'<div class="wide"><table><thead><tr>{cells("th", text.COLUMNS)}</tr></thead><tbody>{body}</tbody></table></div>'


def _section(name: str, rows: Sequence[BenchResult]) -> str:
    plots = [
        _distribution(rows),
        _timeline("readings/s at the average client", rows, _readings, text.rate),
        _timeline("CPU of the bridge, share of a core", rows, _cpu, text.share),
        _timeline("memory of the bridge (RSS)", rows, _memory, text.size),
    ]
    figures = "".join(f"<div><h3>{_key(n)}{escape(_label(one))}</h3>{_figures(one)}</div>" for n, one in enumerate(rows))
    idea = SCENARIOS[name].idea if name in SCENARIOS else ""
    head = f'<h2>{escape(name)}</h2><p>{escape(idea)}</p><div class="figures">{figures}</div>'
    return f'{head}<div class="plots">{"".join(plots)}</div>'


def _label(one: BenchResult) -> str:
    return f"{one.scenario}, {one.system}, {one.clients:,} clients"


def _key(colour: int) -> str:
    return f'<span class="key s{colour % COLOURS}"></span>'


def _figures(one: BenchResult) -> str:
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(value)}</dd>' for name, value in text.figures(one))}</dl>"


def _figure(title: str, drawing: str, captions: Sequence[tuple[int, str]]) -> str:
    lines = "<br>".join(f"{_key(colour)}{escape(text)}" for colour, text in captions)
    return f"<figure><h3>{escape(title)}</h3>{drawing}<figcaption>{lines}</figcaption></figure>"


# --- latency ---------------------------------------------------------------------------------------------------------


def _distribution(rows: Sequence[BenchResult]) -> str:
    measured = [(n, one, one.latencies) for n, one in enumerate(rows) if one.latencies and one.latencies.count]
    if not measured:
        return ""
    series = [
        Series(_steps(all_of), n, [(_p(one, part), f"{name} {text.duration(_p(one, part))}") for name, part in _MARKED], True)
        for n, one, all_of in measured
    ]
    across = [max(seconds, _SMALLEST_SECONDS) for _, _, all_of in measured for seconds, _ in all_of.buckets()]
    shares = [share for one in series for _, share in one.points]
    title = "latency from publish to a client"
    drawing = plot(title, series, logarithmic(across, _round_duration), linear(shares, text.share))
    captions = [
        (n, f"{_label(one)}: " + " · ".join(f"{name} {text.duration(_p(one, part))}" for name, part in _SAID))
        for n, one, _ in measured
    ]
    return _figure(f"{title} (dashed: p50, p99)", drawing, captions)


_MARKED = (("p50", 0.5), ("p99", 0.99))
_SAID = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0))


def _p(one: BenchResult, part: float) -> float:
    return one.percentile(part) or 0.0


def _round_duration(seconds: float) -> str:
    return f"{seconds * 1e6:g} µs" if seconds < 1e-3 else f"{seconds * 1e3:g} ms" if seconds < 1 else f"{seconds:g} s"


def _steps(latencies: Latencies) -> list[Point]:
    """Share of all deliveries in each twelfth of a decade, as a staircase from the first to the last."""
    bins: dict[int, int] = {}
    for seconds, count in latencies.buckets():
        index = math.floor(math.log10(max(seconds, _SMALLEST_SECONDS)) * _BINS_PER_DECADE)
        bins[index] = bins.get(index, 0) + count
    points = []
    for index in range(min(bins), max(bins) + 1):
        share = bins.get(index, 0) / latencies.count
        points += [(10 ** (edge / _BINS_PER_DECADE), share) for edge in (index, index + 1)]
    return [(points[0][0], 0.0), *points, (points[-1][0], 0.0)]


# --- over time -------------------------------------------------------------------------------------------------------


def _timeline(title: str, rows: Sequence[BenchResult], values: Callable[[BenchResult], list[Point]], shown: Shown) -> str:
    series = [Series(points, n) for n, one in enumerate(rows) if (points := values(one))]
    if not series:
        return ""
    seconds = linear([at for one in series for at, _ in one.points], lambda at: f"{at:g} s")
    heights = [value for one in series for _, value in one.points]
    drawing = plot(title, series, _to_the_end(seconds, series), linear(heights, shown))
    captions = [(one.colour, f"{_label(rows[one.colour])}: {_said(one.points, shown)}") for one in series]
    return _figure(title, drawing, captions)


def _to_the_end(axis: Axis, series: Sequence[Series]) -> Axis:
    """No empty space behind the last sample."""
    end = max(at for one in series for at, _ in one.points)
    return Axis(0, end, [tick for tick in axis.ticks if tick <= end], axis.shown) if end > 0 else axis


def _said(points: Sequence[Point], shown: Shown) -> str:
    values = [value for _, value in points]
    return f"from {shown(min(values))} to {shown(max(values))}, in the end {shown(values[-1])}"


def _readings(one: BenchResult) -> list[Point]:
    return _rates(one.samples, lambda sample: sample.delivered / max(one.clients, 1))


def _cpu(one: BenchResult) -> list[Point]:
    if any(sample.bridge_cpu_seconds is None for sample in one.samples):
        return []
    return _rates(one.samples, lambda sample: sample.bridge_cpu_seconds or 0.0)


def _memory(one: BenchResult) -> list[Point]:
    return [(sample.at_seconds, sample.bridge_rss_bytes) for sample in one.samples if sample.bridge_rss_bytes is not None]


def _rates(samples: Sequence[UsageSample], total: Callable[[UsageSample], float]) -> list[Point]:
    """What came a second between each two samples; the last may be too short to say."""
    return [
        (after.at_seconds, (total(after) - total(before)) / (after.at_seconds - before.at_seconds))
        for before, after in pairwise(samples)
        if after.at_seconds - before.at_seconds > 0.1
    ]


def _flat(settings: Mapping[str, object]) -> dict[str, object]:
    """What is set, without tables in tables."""
    flat: dict[str, object] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value)
        elif value is not None:
            flat[name.replace("_", " ")] = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
    return flat


def _settings(report: Report) -> str:
    pairs = {**_flat(report.settings), **report.machine}
    lines = "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in pairs.items())
    return f"<h2>settings and machine</h2><dl>{lines}</dl>"
