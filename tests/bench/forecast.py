"""`make bench ARGS=forecast`: the model of `bridge/analysis/forecast/` beside the usual ones, on three years of hourly NO2.

The series are those of `aqeval` (GPL, data for this test only): a roadside and a background station in London, 2001 to 2003.
The judges are `statsforecast` and `river`; matplotlib draws. All come with `pip install --group forecast-judges`; what is not
installed is skipped, and the table says so.
"""

from __future__ import annotations

import csv
import gzip
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from random import Random
from statistics import fmean
from time import process_time
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table

from bridge.analysis.forecast.prediction import ForecastModel
from bridge.analysis.forecast.predictor import HORIZONS
from bridge.analysis.forecast.scores import FieldScore, Replay
from bridge.analysis.forecast.series import PEAK_HOURS
from tests.bench import plots

LONDON = ZoneInfo("Europe/London")
START = int(datetime(2001, 1, 1, tzinfo=UTC).timestamp()) // 3600
DAY = 24
FIRST_HOURS = 120 * DAY
"""Not scored; their mean difference from the day before is the unit of MASE."""

WINDOW = 28 * DAY
"""What a model of `statsforecast` is fitted to before each forecast."""

LIMITS = (60, 100)
"""µg/m³: above, NO2 is "poor" and "very poor" by the European index of 2025."""

RIVER = tuple(
    {"alpha": alpha, "beta": beta, "gamma": gamma} for alpha in (0.3, 0.6, 0.9) for beta, gamma in ((0.001, 0.05), (0.01, 0.2))
)
Series = Sequence[float]
"""Values of successive hours, NaN where there is none."""


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that must be at most, or at least, its bound."""

    name: str
    value: float
    bound: float
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        return self.value >= self.bound if self.at_least else self.value <= self.bound


@dataclass(slots=True)
class Run:
    """Our forecasts over a series: `means` by hour, `exceeded` pairs of a probability and what happened, by limit."""

    score: FieldScore
    means: dict[int, list[float]] = field(default_factory=dict)
    exceeded: dict[int, list[tuple[float, bool]]] = field(default_factory=dict)
    us_per_hour: float = math.nan
    state_bytes: int = 0


def series_of_aqeval() -> dict[str, Series] | None:
    """Return the series; None if the package is not installed. It is not imported: its data is all that is used."""
    spec = find_spec("aqeval")
    if spec is None or spec.origin is None:
        return None
    found: dict[str, list[float]] = {"no2": [], "bg.no2": []}
    with gzip.open(Path(spec.origin).parent / "data" / "aq_data.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for name, values in found.items():
                # A few values of the background are just below zero, which the bridge refuses.
                values.append(max(float(row[name]), 0.0) if row[name] else math.nan)
    return dict(found)


def run_own(values: Series, name: str = "no2") -> Run:
    """Replay a series hour by hour."""
    replay = Replay(LONDON, START + FIRST_HOURS)
    run = Run(FieldScore(""), exceeded={limit: [] for limit in LIMITS})
    for number, value in enumerate(values):
        replay.feed(START + number, {} if math.isnan(value) else {name: value})
        for forecast in replay.device.forecasts(ForecastModel.PROFILE):
            run.means[number] = [one.mean for one in forecast.values]
            following = values[number + 1 : number + 1 + PEAK_HOURS]
            if number >= FIRST_HOURS and len(following) == PEAK_HOURS and not any(map(math.isnan, following)):
                for limit, pairs in run.exceeded.items():
                    probability = replay.device.probability_above(name, limit, only_shown=False)
                    pairs.append((probability or 0.0, max(following) > limit))
    run.score = replay.scores[name]
    run.state_bytes = len(replay.device.to_json())
    run.us_per_hour = cost(values, name)
    return run


def cost(values: Series, name: str, chunk: int = 250) -> float:
    """Return the µs of CPU to feed an hour and forecast after it: of the fastest chunk, as other load only slows."""
    replay, costs = Replay(LONDON), []
    for begin in range(0, min(len(values), 12_000) - chunk, chunk):
        hours = [{} if math.isnan(value) else {name: value} for value in values[begin : begin + chunk]]
        start = process_time()
        for number, means in enumerate(hours, START + begin):
            replay.device.feed(number, means)
            replay.device.forecasts()
            replay.device.outer_intervals()
        costs.append((process_time() - start) / chunk * 1e6)
    return min(costs)


def unit_of_mase(values: Series) -> float:
    return fmean(_differences(values[:FIRST_HOURS]) or _differences(values))


def _differences(values: Series) -> list[float]:
    return [abs(value - values[number]) for number, value in enumerate(values[DAY:]) if not math.isnan(value - values[number])]


# --- the probability of a limit --------------------------------------------------------------------------------------


def brier_skill(pairs: Sequence[tuple[float, bool]]) -> float:
    """Return how much better than the share of all hours the probabilities are: 1 is perfect, 0 is no better."""
    rate = fmean(happened for _, happened in pairs)
    return 1 - fmean((probability - happened) ** 2 for probability, happened in pairs) / (rate * (1 - rate))


def deciles(pairs: Sequence[tuple[float, bool]]) -> list[tuple[float, float, int]]:
    """Return for each tenth of probability: mean probability, share that happened, number."""
    tenths: list[list[tuple[float, bool]]] = [[] for _ in range(10)]
    for probability, happened in pairs:
        tenths[min(int(probability * 10), 9)].append((probability, happened))
    return [(fmean(one[0] for one in tenth), fmean(one[1] for one in tenth), len(tenth)) for tenth in tenths if tenth]


# --- judges ----------------------------------------------------------------------------------------------------------


def origins(values: Series, count: int, seed: int = 20) -> list[int]:
    """Return hours from which to forecast: seeded, each with six known values after it and most of those before it."""

    def is_usable(hour: int) -> bool:
        after, before = values[hour : hour + HORIZONS + 1], values[hour + 1 - WINDOW : hour + 1]
        return not any(map(math.isnan, after)) and sum(map(math.isnan, before)) < WINDOW / 5

    return Random(seed).sample([one for one in range(FIRST_HOURS, len(values) - HORIZONS) if is_usable(one)], count)


def filled(values: Series) -> list[float]:
    """Return the values with straight lines in their gaps."""
    known = [number for number, value in enumerate(values) if not math.isnan(value)]
    found = list(values)
    for before, after in pairwise(known):
        for number in range(before + 1, after):
            found[number] = values[before] + (values[after] - values[before]) * (number - before) / (after - before)
    for number in [*range(known[0]), *range(known[-1] + 1, len(found))]:
        found[number] = values[min(known, key=lambda one: abs(one - number))]
    return found


def errors_at(values: Series, hour: int, means: Sequence[float]) -> list[float]:
    """Return the absolute error of each hour that was forecast."""
    return [abs(mean - value) for mean, value in zip(means, values[hour + 1 :], strict=False)]


def by_horizon(errors: Sequence[Sequence[float]]) -> list[float]:
    """Return the mean of each hour ahead, of errors of several forecasts."""
    return [fmean(one) for one in zip(*errors, strict=True)]


def statsforecast_errors(
    values: Series, hours: Sequence[int], progress: Callable[[str], None]
) -> Iterator[tuple[str, list[float], float]]:
    """Yield name, mean absolute errors by hour ahead and ms of CPU for each model, fitted anew before each forecast."""
    import numpy
    from statsforecast import models

    makers: Mapping[str, Callable[[], Any]] = {
        "AutoCES": lambda: models.AutoCES(season_length=DAY),
        "AutoTheta": lambda: models.AutoTheta(season_length=DAY),
        "MSTL": lambda: models.MSTL(season_length=[DAY, 7 * DAY]),
        "AutoETS": lambda: models.AutoETS(season_length=DAY),
    }
    for name, make in makers.items():
        errors, start = [], process_time()
        for number, hour in enumerate(hours, 1):
            window = numpy.array(filled(values[hour + 1 - WINDOW : hour + 1]))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                means = make().forecast(window, h=HORIZONS)["mean"]
            errors.append(errors_at(values, hour, [float(mean) for mean in means]))
            progress(f"{name}: {number} of {len(hours)}")
        yield name, by_horizon(errors), (process_time() - start) / len(hours) * 1000


def river_errors(values: Series, hours: Sequence[int]) -> tuple[list[float], float]:
    """Return mean absolute errors by hour ahead of the best of `RIVER`, chosen in hindsight, and the µs of CPU an hour."""
    from river import time_series

    found, wanted, known = [], set(hours), filled(values)
    start = process_time()
    for parameters in RIVER:
        model = time_series.HoltWinters(**parameters, seasonality=DAY)
        errors = []
        for hour, value in enumerate(known):
            model.learn_one(value)
            if hour in wanted:
                errors.append(errors_at(values, hour, model.forecast(horizon=HORIZONS)))
        found.append(by_horizon(errors))
    return min(found, key=fmean), (process_time() - start) / len(known) / len(RIVER) * 1e6


# --- report ----------------------------------------------------------------------------------------------------------


def targets_of_roadside(run: Run, unit: float) -> list[Target]:
    score = run.score
    coverages = score.window_coverages()
    found = [
        Target("MASE, 1 to 6 h", score.error / unit, 0.55),
        Target("error / persistence", score.persistence_ratio or math.inf, 0.80),
        Target("error / day before", score.seasonal_ratio or math.inf, 0.60),
        *_coverage_targets(score.coverage, coverages),
        Target("µs an hour", run.us_per_hour, 50),
    ]
    for limit, pairs in run.exceeded.items():
        found.append(Target(f"> {limit} within 3 h: Brier skill", brier_skill(pairs), 0.15, at_least=True))
        worst = max(abs(mean - share) for mean, share, _ in deciles(pairs))
        found.append(Target(f"> {limit} within 3 h: worst decile", worst, 0.1))
    return found


def targets_of_background(run: Run) -> list[Target]:
    ratios = [one or math.inf for one in run.score.horizon_ratios()]
    bounds = (1.05, 1.05, 0.98, 0.98, 0.98, 0.98)
    found = [
        Target(f"error / persistence, {horizon} h", ratio, bound)
        for horizon, (ratio, bound) in enumerate(zip(ratios, bounds, strict=True), 1)
    ]
    return [*found, *_coverage_targets(run.score.coverage, run.score.window_coverages())]


def _coverage_targets(all_hours: float, windows: Sequence[float]) -> list[Target]:
    return [
        Target("coverage of 90 % intervals", all_hours, 0.88, at_least=True),
        Target("coverage of 90 % intervals", all_hours, 0.92),
        Target("worst 30 days", min(windows), 0.85, at_least=True),
        Target("widest 30 days", max(windows), 0.95),
    ]


def print_forecasts(console: Console, count: int) -> int:
    """Print all tables; return how many targets are missed."""
    series = series_of_aqeval()
    if series is None:
        console.print("forecast: skipped, aqeval is not installed: pip install --group forecast-judges")
        return 0
    roadside = run_own(series["no2"])
    unit = unit_of_mase(series["no2"])
    missed = _print_targets(console, "NO2, roadside", roadside, targets_of_roadside(roadside, unit))
    for limit, pairs in roadside.exceeded.items():
        _print_deciles(console, limit, pairs)
    background = run_own(series["bg.no2"])
    missed += _print_targets(console, "NO2, background", background, targets_of_background(background))
    _draw(console, roadside, background)
    return missed + _print_judges(console, series["no2"], roadside, unit, count)


def _draw(console: Console, roadside: Run, background: Run) -> None:
    windows = {"roadside": roadside.score.window_coverages(), "background": background.score.window_coverages()}
    plots.draw(console, "forecast-coverage", "NO2: coverage of 90 % intervals", plots.coverage(windows))
    tenths = {f"above {limit} µg/m³": deciles(pairs) for limit, pairs in roadside.exceeded.items()}
    plots.draw(console, "forecast-reliability", "NO2, roadside: limit within 3 h", plots.reliability(tenths))


def _print_targets(console: Console, title: str, run: Run, targets: Sequence[Target]) -> int:
    shown = run.score.shown / run.score.hours
    table = Table(
        "figure",
        "value",
        "target",
        "",
        title=f"{title}: {run.score.count:,} forecasts, model shown in {shown:.0%} of hours",
        title_justify="left",
    )
    for one in targets:
        bound = f"{'≥' if one.at_least else '≤'} {one.bound:g}"
        table.add_row(one.name, f"{one.value:.3f}", bound, "met" if one.is_met else "MISSED")
    table.add_row(
        "error / persistence by hour", " ".join(f"{one or math.inf:.2f}" for one in run.score.horizon_ratios()), "", ""
    )
    table.add_row("state, bytes", f"{run.state_bytes:,}", "", "")
    console.print(table)
    return sum(not one.is_met for one in targets)


def _print_deciles(console: Console, limit: int, pairs: Sequence[tuple[float, bool]]) -> None:
    rate = fmean(happened for _, happened in pairs)
    table = Table(
        "said", "happened", "hours", title=f"above {limit} µg/m³ within 3 h, {rate:.1%} of hours", title_justify="left"
    )
    for mean, share, hours in deciles(pairs):
        table.add_row(f"{mean:.1%}", f"{share:.1%}", f"{hours:,}")
    console.print(table)


def _print_judges(console: Console, values: Series, run: Run, unit: float, count: int) -> int:
    hours = origins(values, count)
    errors = {
        "this model": by_horizon([errors_at(values, hour, run.means[hour]) for hour in hours]),
        "persistence": by_horizon([errors_at(values, hour, [values[hour]] * HORIZONS) for hour in hours]),
    }
    costs = {"this model": f"{run.us_per_hour:.0f} µs"}
    best = math.inf
    if find_spec("statsforecast"):
        with console.status("statsforecast") as status:
            for name, found, cost_ms in statsforecast_errors(values, hours, status.update):
                errors[name], costs[name] = found, f"{cost_ms:,.0f} ms"
                best = min(best, fmean(found))
    if find_spec("river"):
        name = "River Holt-Winters, best of 6"
        errors[name], cost_us = river_errors(values, hours)
        costs[name] = f"{cost_us:.0f} µs"
    mase = {name: [one / unit for one in found] for name, found in errors.items()}
    plots.draw(console, "forecast-mase", f"NO2, roadside, {count} seeded hours", plots.mase_by_horizon(mase))
    table = Table("model", "MASE", "CPU an hour", title=f"NO2, roadside, {count} seeded hours", title_justify="left")
    for model, by_hour in sorted(mase.items(), key=lambda one: fmean(one[1])):
        table.add_row(model, f"{fmean(by_hour):.3f}", costs.get(model, ""))
    console.print(table)
    for package in ("statsforecast", "river"):
        if not find_spec(package):
            console.print(f"{package}: skipped, not installed: pip install --group forecast-judges")
    return int(fmean(errors["this model"]) > best)
