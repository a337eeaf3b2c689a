"""What a device's readings say about the device itself: flagged values, and a clock that is ahead."""

from collections.abc import Mapping
from typing import Any, Self

from bridge.air.trust import counts
from bridge.air.windows import MINUTE_MS
from bridge.alarms.conditions import FLAGGED_MINUTES_LIMIT, ClockWrong, FlaggedShare
from bridge.alarms.states.meters import Verdict
from bridge.core.readings.measurements import Value
from bridge.core.timestamp import AHEAD_ISSUE

_COMPLETENESS = 0.75
_KEPT_MINUTES = FLAGGED_MINUTES_LIMIT
_LONGEST_MS = 180 * MINUTE_MS
"""For how long the minute before those is kept, which tells since when readings are counted if they are far apart."""

_TIMESTAMP = "timestamp"


class DeviceHealth:
    """Readings and flagged readings of the last minutes and of one before; how many in a row had a clock ahead."""

    __slots__ = ("ahead", "minutes")

    def __init__(self) -> None:
        self.ahead = 0
        self.minutes: list[list[int]] = []
        """Start, readings, flagged readings; the oldest first. The first has a flagged reading."""

    @property
    def is_good(self) -> bool:
        """Whether an unflagged reading changes nothing."""
        return not self.ahead and not self.minutes

    def add(self, at_ms: int, values: Mapping[str, Value], quality: Mapping[str, str]) -> None:
        self.ahead = self.ahead + 1 if quality.get(_TIMESTAMP) == AHEAD_ISSUE else 0
        is_flagged = any(
            name != _TIMESTAMP and (name not in values or not counts(name, values[name], quality)) for name in quality
        )
        start_ms = at_ms - at_ms % MINUTE_MS
        while len(self.minutes) > 1 and self.minutes[1][0] <= start_ms - _KEPT_MINUTES * MINUTE_MS:
            del self.minutes[0]
        if self.minutes and self.minutes[0][0] <= start_ms - _LONGEST_MS:
            del self.minutes[0]
        while self.minutes and not self.minutes[0][2]:
            del self.minutes[0]
        if not self.minutes and not is_flagged:
            return
        if not self.minutes or self.minutes[-1][0] < start_ms:
            self.minutes.append([start_ms, 0, 0])
        newest = self.minutes[-1]
        newest[1] += 1
        newest[2] += is_flagged

    def flagged(self, condition: FlaggedShare, at_ms: int) -> Verdict | None:
        """Return the verdict; its value is the percentage. None before three quarters of the time have passed."""
        start_ms = at_ms - at_ms % MINUTE_MS
        since_ms = start_ms - (condition.minutes - 1) * MINUTE_MS
        if self.minutes and at_ms - self.minutes[0][0] < _COMPLETENESS * condition.minutes * MINUTE_MS:
            return None
        inside = [one for one in self.minutes if one[0] >= since_ms]
        readings, flagged = sum(one[1] for one in inside), sum(one[2] for one in inside)
        share = flagged / readings if readings else 0.0
        return Verdict(share > condition.share, share <= condition.clear, round(100 * share))

    def clock(self, condition: ClockWrong, *, is_behind: bool) -> Verdict:
        return Verdict(is_behind or self.ahead >= condition.readings, not (is_behind or self.ahead), self.ahead)

    def public(self) -> dict[str, Any]:
        return {"ahead": self.ahead, "minutes": [list(one) for one in self.minutes]}

    @classmethod
    def restored(cls, body: Mapping[str, Any]) -> Self:
        health = cls()
        health.ahead, health.minutes = body["ahead"], [list(one) for one in body["minutes"]]
        return health
