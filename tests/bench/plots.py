"""Plots of the bench, as SVG files in `build/bench/`. They need matplotlib, which comes with `forecast-judges`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from math import isinf
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.servers import REPO

FOLDER = REPO / "build" / "bench"

_SIZE = (7.0, 4.0)


def draw(console: Console, name: str, title: str, content: Callable[[Any], None], folder: Path = FOLDER) -> Path | None:
    """Draw on the axes of a figure and write it; say so and return None if matplotlib is not installed."""
    if not find_spec("matplotlib"):
        console.print(f"{name}.svg: skipped, matplotlib is not installed: pip install --group forecast-judges")
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    content(axes)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.svg"
    figure.savefig(path)
    console.print(f"plot: {path}")
    return path


def coverage(windows: Mapping[str, Sequence[float]]) -> Callable[[Any], None]:
    """Shares inside the 90 % intervals in 30 days in a row, one window a day, by series."""

    def content(axes: Any) -> None:
        for name, shares in windows.items():
            axes.plot(range(1, len(shares) + 1), [100 * one for one in shares], label=name)
        axes.axhspan(85, 95, alpha=0.1)
        axes.axhline(90, linestyle=":")
        axes.set(xlabel="windows of 30 days, one a day", ylabel="inside 90 % intervals (%)", ylim=(80, 100))
        axes.legend()

    return content


def reliability(deciles: Mapping[str, Sequence[tuple[float, float, int]]]) -> Callable[[Any], None]:
    """Mean probability, and the share that happened, for each tenth of probability."""

    def content(axes: Any) -> None:
        axes.plot([0, 100], [0, 100], linestyle=":")
        for name, tenths in deciles.items():
            axes.plot([100 * one[0] for one in tenths], [100 * one[1] for one in tenths], marker="o", label=name)
        axes.set(xlabel="probability (%)", ylabel="happened (%)")
        axes.legend()

    return content


def mase_by_horizon(errors: Mapping[str, Sequence[float]]) -> Callable[[Any], None]:
    """MASE of each model for 1, 2, … hours."""

    def content(axes: Any) -> None:
        for name, values in errors.items():
            axes.plot(range(1, len(values) + 1), values, marker="o", label=name)
        axes.set(xlabel="hours ahead", ylabel="MASE", ylim=(0, None))
        axes.legend()

    return content


def delays(days: Mapping[str, Sequence[float]], within: float) -> Callable[[Any], None]:
    """The share of faults that were found after so many days at most, by what they were compared with."""

    def content(axes: Any) -> None:
        for name, values in days.items():
            found = sorted(one for one in values if not isinf(one))
            shares = [100 * number / len(values) for number in range(len(found) + 1)]
            axes.step([0.0, *found], shares, where="post", label=name)
        axes.axvline(within, linestyle=":")
        axes.set(xlabel="days after the sensitivity was halved", ylabel="found (%)", ylim=(0, 105))
        axes.legend()

    return content
