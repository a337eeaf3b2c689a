"""Figures of how alarms are handled, computed from their transitions, after ISA-18.2 and EEMUA 191.

Targets there: at most one alarm in 10 minutes and operator, a flood during less than 1 % of the time, no chattering, fewer than
five stale alarms.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

from bridge.alarms.floods import FLOOD_BEGINS_ABOVE, FLOOD_ENDS_BELOW, FLOOD_MS
from bridge.alarms.record import AlarmRecord, AlarmState, Transition, TransitionKind
from bridge.alarms.rules import Priority
from bridge.alarms.states.tracker import CHATTER_MS, CHATTER_RAISES
from bridge.core.timestamp import iso

STALE_MS = 24 * 3_600_000
"""An alarm that stands for this long is stale."""

_P90 = 8  # the ninth of nine cuts


@dataclass(frozen=True, slots=True)
class AlarmKpis:
    """Figures of a time. `standing` are the alarms at its end that are not normal, by priority.

    `flood_share` is from 0 to 1. `chattering` has device (None: the bridge) and rule of what was raised three times within a
    minute, `stale` the ids of alarms that are active for a day. Times to acknowledge are seconds; None without any.
    """

    from_ms: int
    to_ms: int
    raised: int
    standing: dict[Priority, int]
    per_ten_minutes: float
    most_in_ten_minutes: int
    flood_share: float
    chattering: list[tuple[str | None, str]]
    stale: list[str]
    acknowledge_median_seconds: float | None
    acknowledge_p90_seconds: float | None

    def public(self) -> dict[str, Any]:
        return {
            "from": iso(self.from_ms),
            "to": iso(self.to_ms),
            "raised": self.raised,
            "standing": {priority.value: number for priority, number in self.standing.items()},
            "perTenMinutes": round(self.per_ten_minutes, 3),
            "mostInTenMinutes": self.most_in_ten_minutes,
            "floodShare": round(self.flood_share, 4),
            "chattering": [{"deviceId": device, "rule": rule} for device, rule in self.chattering],
            "stale": self.stale,
            "acknowledgeMedianSeconds": self.acknowledge_median_seconds,
            "acknowledgeP90Seconds": self.acknowledge_p90_seconds,
        }


@dataclass(slots=True)
class _Tally:
    """What is counted in one pass over the transitions."""

    open: dict[str, AlarmRecord] = field(default_factory=dict)
    raised_ms: list[int] = field(default_factory=list)
    announced_ms: dict[str, int] = field(default_factory=dict)
    waits_ms: list[int] = field(default_factory=list)
    recent: dict[tuple[str | None, str], list[int]] = field(default_factory=dict)
    chattering: dict[tuple[str | None, str], None] = field(default_factory=dict)

    def add(self, transition: Transition) -> None:
        record, kind, at_ms = transition.record, transition.kind, transition.at_ms
        if record.state is AlarmState.NORMAL:
            self.open.pop(record.id, None)
        else:
            self.open[record.id] = record
        if kind is TransitionKind.RAISED:
            self.raised_ms.append(at_ms)
            self._watch_chatter((record.device_id, record.rule), at_ms)
        if transition.announces:
            self.announced_ms.setdefault(record.id, at_ms)
        elif kind is TransitionKind.ACKNOWLEDGED and (since_ms := self.announced_ms.pop(record.id, None)) is not None:
            self.waits_ms.append(at_ms - since_ms)

    def _watch_chatter(self, key: tuple[str | None, str], at_ms: int) -> None:
        times = [*self.recent.get(key, ()), at_ms][-CHATTER_RAISES:]
        self.recent[key] = times
        if len(times) == CHATTER_RAISES and times[-1] - times[0] <= CHATTER_MS:
            self.chattering[key] = None


def kpis(transitions: Iterable[Transition], from_ms: int, to_ms: int) -> AlarmKpis:
    """Return the figures of a time, from its transitions in any order.

    Alarms raised before are counted as standing if they have a transition in it. `PAST` is left out: it never was an alarm.
    """
    tally = _Tally()
    inside = (one for one in transitions if from_ms <= one.at_ms <= to_ms and one.kind is not TransitionKind.PAST)
    for transition in sorted(inside, key=lambda one: one.at_ms):
        tally.add(transition)
    standing = list(tally.open.values())
    most, flood_ms = _floods(sorted(tally.raised_ms), to_ms)
    waits = [one / 1000 for one in tally.waits_ms]
    length_ms = max(1, to_ms - from_ms)
    return AlarmKpis(
        from_ms,
        to_ms,
        len(tally.raised_ms),
        {priority: sum(one.priority is priority for one in standing) for priority in Priority},
        len(tally.raised_ms) * FLOOD_MS / length_ms,
        most,
        flood_ms / length_ms,
        list(tally.chattering),
        [one.id for one in standing if one.is_active and one.raised_ms is not None and to_ms - one.raised_ms >= STALE_MS],
        median(waits) if waits else None,
        _p90(waits),
    )


def _floods(times_ms: list[int], to_ms: int) -> tuple[int, int]:
    """Return the most alarms in any 10 minutes, and for how long there was a flood.

    It ends when the fifth newest alarm is 10 minutes old.
    """
    most = oldest = flood_ms = 0
    since_ms: int | None = None
    for number, at_ms in enumerate(times_ms):
        if since_ms is not None and (end_ms := times_ms[number - FLOOD_ENDS_BELOW] + FLOOD_MS) <= at_ms:
            flood_ms, since_ms = flood_ms + end_ms - since_ms, None
        while times_ms[oldest] <= at_ms - FLOOD_MS:
            oldest += 1
        most = max(most, number - oldest + 1)
        if since_ms is None and number - oldest + 1 > FLOOD_BEGINS_ABOVE:
            since_ms = at_ms
    if since_ms is not None:
        flood_ms += min(to_ms, times_ms[-FLOOD_ENDS_BELOW] + FLOOD_MS) - since_ms
    return most, flood_ms


def _p90(seconds: list[float]) -> float | None:
    if len(seconds) < 2:
        return seconds[0] if seconds else None
    return quantiles(seconds, n=10, method="inclusive")[_P90]
