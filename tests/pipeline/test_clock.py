"""The watch that notices when somebody sets the clock."""

from __future__ import annotations

import pytest

from bridge.pipeline.clock import ClockWatch


class Clocks:
    """A clock that can be set, and one that cannot."""

    def __init__(self) -> None:
        self.wall, self.monotonic = 1_767_000_000.0, 50.0

    def wait(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds


@pytest.mark.parametrize("seconds", [-7200.0, -5.5, 5.5, 7200.0])
def test_jump_is_noticed_once(seconds: float) -> None:
    clocks = Clocks()
    watch = ClockWatch(lambda: clocks.wall, lambda: clocks.monotonic)
    clocks.wait(3600)
    assert watch.jump() is None
    clocks.wall += seconds
    clocks.wait(1)
    assert watch.jump() == pytest.approx(seconds)
    assert watch.now_ms == round(clocks.wall * 1000)
    clocks.wait(1)
    assert watch.jump() is None


def test_corrections_in_passing_are_no_jump() -> None:
    clocks = Clocks()
    watch = ClockWatch(lambda: clocks.wall, lambda: clocks.monotonic)
    for _ in range(100):
        clocks.wait(1)
        clocks.wall += 0.5
        assert watch.jump() is None
