"""Plots of the bench: written where matplotlib is installed, and skipped with a reason where it is not."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from math import inf
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.bench import plots


class Axes:
    """Records what is drawn; any method may be called."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments, **_: self.calls.append((name, arguments))

    def lines(self) -> list[tuple[list[float], list[float]]]:
        return [(list(one[0]), list(one[1])) for name, one in self.calls if name in ("plot", "step")]


def test_drifts_that_were_not_found_keep_their_share_of_the_plot_of_delays() -> None:
    axes = Axes()
    plots.delays({"pair": [8.0, inf, 4.0, inf]}, 14)(axes)
    assert axes.lines() == [([0.0, 4.0, 8.0], [0.0, 25.0, 50.0])]


def test_reliability_and_coverage_and_mase_are_drawn_as_they_were_measured() -> None:
    axes = Axes()
    plots.coverage({"roadside": [0.9, 0.85]})(axes)
    plots.mase_by_horizon({"this model": [0.4, 0.5]})(axes)
    plots.reliability({"above 60": [(0.05, 0.0, 10), (0.95, 1.0, 10)]})(axes)
    assert axes.lines() == [([1, 2], [90.0, 85.0]), ([1, 2], [0.4, 0.5]), ([0, 100], [0, 100]), ([5.0, 95.0], [0.0, 100.0])]


def test_plot_is_written_or_said_to_be_skipped(tmp_path: Path) -> None:
    console = Console(record=True, width=200)
    path = plots.draw(console, "one", "One", plots.mase_by_horizon({"this model": [0.4, 0.5]}), tmp_path)
    if find_spec("matplotlib"):
        assert path is not None
        assert path.read_text().count("<svg") == 1
    else:
        assert path is None
        assert "one.svg: skipped, matplotlib is not installed" in console.export_text()


@pytest.mark.skipif(not find_spec("matplotlib"), reason="matplotlib is not installed")
def test_plot_of_delays_is_drawn_by_matplotlib(tmp_path: Path) -> None:
    console = Console(record=True, width=200)
    assert plots.draw(console, "delays", "Delays", plots.delays({"pair": [8.0, inf]}, 14), tmp_path)
