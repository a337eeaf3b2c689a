"""Where and when a rule applies."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Any
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What a registry knows of a device, as far as rules ask for it."""

    site: str | None = None
    room: str | None = None
    expected_seconds: float | None = None
    is_retired: bool = False

    def to_list(self) -> list[Any]:
        """Return the positional arguments. Only retired devices have the last one, which earlier releases do not know."""
        return [self.site, self.room, self.expected_seconds, *([True] if self.is_retired else [])]


UNKNOWN_FACTS = DeviceFacts()


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours of the week: from a minute of the day up to another, excluded; past midnight if that is not later.

    `days` are those on which it begins, 0 for Monday. `zone` is an IANA name.
    """

    days: frozenset[int]
    from_minute: int
    to_minute: int
    zone: str = "UTC"

    def contains(self, at_ms: int) -> bool:
        return _contains(self, at_ms // 60_000)


@lru_cache(4096)
def _contains(hours: Hours, epoch_minute: int) -> bool:
    local = datetime.fromtimestamp(epoch_minute * 60, UTC).astimezone(ZoneInfo(hours.zone))
    minute, weekday = local.hour * 60 + local.minute, local.weekday()
    if hours.from_minute < hours.to_minute:
        return weekday in hours.days and hours.from_minute <= minute < hours.to_minute
    if minute >= hours.from_minute:
        return weekday in hours.days
    return minute < hours.to_minute and (local - timedelta(days=1)).weekday() in hours.days


@dataclass(frozen=True, slots=True)
class RuleScope:
    """Devices by globs (`*`, `?`), rooms and sites by name, hours of the week; what is empty does not limit."""

    devices: tuple[str, ...] = ()
    rooms: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()
    hours: Hours | None = None

    def includes(self, device_id: str, facts: DeviceFacts) -> bool:
        return (
            (not self.devices or any(_glob(one).fullmatch(device_id) for one in self.devices))
            and (not self.rooms or facts.room in self.rooms)
            and (not self.sites or facts.site in self.sites)
        )

    def is_open(self, at_ms: int) -> bool:
        return self.hours is None or self.hours.contains(at_ms)


EVERYWHERE = RuleScope()


@cache
def _glob(pattern: str) -> re.Pattern[str]:
    """Return an expression that never goes back over what a `*` has matched: some patterns would take it years."""
    first, *others = (re.escape(part).replace(r"\?", ".") for part in pattern.split("*"))
    middle = "".join(f"(?>.*?{part})" for part in others[:-1])
    end = f".*{others[-1]}" if others else ""
    return re.compile(first + middle + end, re.DOTALL)
