"""Floods: more alarms than people can read. Within one, a site is told by summaries instead of one by one.

After EEMUA 191: a flood begins with more than 10 alarms in 10 minutes and ends with fewer than 5. The times are those of the
transitions.
"""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bridge.alarms.record import Transition
from bridge.alarms.rules import Priority
from bridge.core.timestamp import iso

FLOOD_MS = 600_000
FLOOD_BEGINS_ABOVE = 10
FLOOD_ENDS_BELOW = 5
SUMMARY_MS = 1000
"""A site is told at most one summary in this time."""


class RaiseRate:
    """The alarms of the last 10 minutes, as many as matter, and whether they are a flood."""

    __slots__ = ("_times", "is_flood")

    def __init__(self) -> None:
        self._times: deque[int] = deque(maxlen=FLOOD_BEGINS_ABOVE + 1)
        self.is_flood = False

    def add(self, at_ms: int) -> None:
        self._times.append(at_ms)
        self.update(at_ms)

    def update(self, now_ms: int) -> None:
        while self._times and self._times[0] <= now_ms - FLOOD_MS:
            self._times.popleft()
        self.is_flood = len(self._times) > FLOOD_BEGINS_ABOVE or (self.is_flood and len(self._times) >= FLOOD_ENDS_BELOW)

    def __len__(self) -> int:
        return len(self._times)


@dataclass(slots=True)
class FloodSummary:
    """What was raised at a site since the last summary: how many by rule and priority, and the alarm that was first."""

    site: str | None
    from_ms: int
    to_ms: int
    first: Transition
    rules: Counter[str] = field(default_factory=Counter)
    priorities: Counter[Priority] = field(default_factory=Counter)

    @property
    def number(self) -> int:
        return self.rules.total()

    def public(self) -> dict[str, Any]:
        return {
            "site": self.site,
            "from": iso(self.from_ms),
            "to": iso(self.to_ms),
            "number": self.number,
            "first": self.first.record.public(),
            "rules": dict(self.rules.most_common()),
            "priorities": {one.value: self.priorities[one] for one in Priority if self.priorities[one]},
        }


class _Site:
    __slots__ = ("rate", "summary", "told_ms")

    def __init__(self) -> None:
        self.rate = RaiseRate()
        self.summary: FloodSummary | None = None
        self.told_ms = 0


class FloodFilter:
    """Decides which alarms are announced one by one, and gathers the others by site."""

    def __init__(self) -> None:
        self._sites: dict[str | None, _Site] = {}

    def announces(self, transition: Transition) -> bool:
        """Whether a transition is announced by itself; otherwise it is in the next summary of its site."""
        if not transition.announces:
            return False
        record = transition.record
        site = self._sites.setdefault(record.site, _Site())
        site.rate.add(transition.at_ms)
        if not site.rate.is_flood:
            return True
        if site.summary is None:
            site.summary = FloodSummary(record.site, transition.at_ms, transition.at_ms, transition)
        site.summary.to_ms = transition.at_ms
        site.summary.rules[record.rule] += 1
        site.summary.priorities[record.priority] += 1
        return False

    def summaries(self, now_ms: int) -> list[FloodSummary]:
        """Return the summaries that are due, at most one a second and site; forget sites that are calm."""
        due = []
        for name, site in list(self._sites.items()):
            if site.summary is not None and now_ms - site.told_ms >= SUMMARY_MS:
                due.append(site.summary)
                site.summary, site.told_ms = None, now_ms
            site.rate.update(now_ms)
            if site.summary is None and not len(site.rate):
                del self._sites[name]
        return due

    @property
    def floods(self) -> Mapping[str | None, bool]:
        """Return the sites that have raised alarms lately, and whether there is a flood."""
        return {name: site.rate.is_flood for name, site in self._sites.items()}
