"""Plots as SVG, for a page that loads nothing. Colours are classes (`s0` … `s5`), so that the page can suit light and dark."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

Point = tuple[float, float]
Shown = Callable[[float], str]

COLOURS = 6
_WIDTH, _HEIGHT = 560, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 26, 12, 30
_POINTS = 400
_TICKS = 10
_EXACT = 1 + 1e-9


@dataclass(frozen=True, slots=True)
class Series:
    """A line; `marks` are x values to point out, with a word each."""

    points: Sequence[Point]
    colour: int
    marks: Sequence[tuple[float, str]] = ()
    filled: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """From `low` to `high`."""

    low: float
    high: float
    ticks: Sequence[float]
    shown: Shown
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """0 at the low end, 1 at the high one."""
        if self.logarithmic:
            return math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def linear(values: Sequence[float], shown: Shown) -> Axis:
    """From 0 to a round number."""
    step = _round_step(max(values, default=0) / 4)
    count = max(math.ceil(max(values, default=0) / step - 1e-9), 1)
    return Axis(0, count * step, [n * step for n in range(count + 1)], shown)


def _round_step(step: float) -> float:
    if step <= 0:
        return 1.0
    magnitude = 10.0 ** math.floor(math.log10(step))
    return next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= step - 1e-12)


def logarithmic(values: Sequence[float], shown: Shown) -> Axis:
    """From 1, 2 or 5 times a power of ten to another, around all of the values, which are above 0."""
    powers = range(math.floor(math.log10(min(values))) - 1, math.ceil(math.log10(max(values))) + 2)
    steps = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    first = max(n for n, step in enumerate(steps) if step <= min(values) * _EXACT)
    last = max(min(n for n, step in enumerate(steps) if step * _EXACT >= max(values)), first + 1)
    ticks = steps[first : last + 1]
    if len(ticks) > _TICKS:
        ticks = [step for n, step in enumerate(ticks, first) if n % 3 == 0]  # the powers of ten
    return Axis(steps[first], steps[last], ticks, shown, logarithmic=True)


def plot(title: str, series: Sequence[Series], x: Axis, y: Axis) -> str:
    """An `<svg>`; its title is what a screen reader says."""
    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">']
    parts += [_tick_x(x, tick) for tick in x.ticks]
    parts += [_tick_y(y, tick) for tick in y.ticks]
    for one in series:
        parts += _marks(one, x)
    parts += [_line(one, x, y) for one in series]
    return "".join([*parts, "</svg>"])


def _across(axis: Axis, value: float) -> float:
    return _LEFT + axis.place(value) * (_WIDTH - _LEFT - _RIGHT)


def _up(axis: Axis, value: float) -> float:
    return _HEIGHT - _BOTTOM - axis.place(value) * (_HEIGHT - _TOP - _BOTTOM)


def _tick_x(axis: Axis, value: float) -> str:
    at, foot = _across(axis, value), _HEIGHT - _BOTTOM
    return (
        f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{foot}"/>'
        f'<text x="{at:.1f}" y="{foot + 18}" text-anchor="middle">{escape(axis.shown(value))}</text>'
    )


def _tick_y(axis: Axis, value: float) -> str:
    at = _up(axis, value)
    return (
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{escape(axis.shown(value))}</text>'
    )


def _line(one: Series, x: Axis, y: Axis) -> str:
    places = [f"{_across(x, across):.1f},{_up(y, up):.1f}" for across, up in thinned(one.points, _POINTS)]
    if not places:
        return ""
    line = f'<polyline class="line s{one.colour % COLOURS}" points="{" ".join(places)}"/>'
    if not one.filled:
        return line
    first, last, foot = places[0].partition(",")[0], places[-1].partition(",")[0], _HEIGHT - _BOTTOM
    area = " ".join([f"{first},{foot}", *places, f"{last},{foot}"])
    return f'<polygon class="area s{one.colour % COLOURS}" points="{area}"/>{line}'


def _marks(one: Series, x: Axis) -> list[str]:
    lines = []
    for value, word in one.marks:
        at = _across(x, value)
        lines.append(
            f'<line class="mark s{one.colour % COLOURS}" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}">'
            f"<title>{escape(word)}</title></line>"
        )
    return lines


def thinned(points: Sequence[Point], limit: int) -> list[Point]:
    """At most about `limit` of them: of each stretch the lowest and the highest, so that no peak is lost."""
    if len(points) <= limit:
        return list(points)
    stretch = math.ceil(2 * len(points) / limit)
    kept: list[Point] = []
    for start in range(0, len(points), stretch):
        part = points[start : start + stretch]
        kept += sorted({min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])})
    return kept
