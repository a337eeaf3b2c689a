"""The slots of a profile: the hour of the day, on a working day or a weekend, in the local time of the site.

An hour is a number, counted from 1970-01-01T00:00Z. Working days are Monday to Friday; public holidays are not known.
"""

from datetime import UTC, datetime, tzinfo

HOUR_MS = 3_600_000
SLOTS = 48
_DAY = 24
LAST_HOUR = 70_000_000
"""In the year 9955: local times are dates that Python has."""


def slot_of(hour: int, zone: tzinfo) -> int:
    """Return 0 to 23 for an hour of a working day, 24 to 47 for one of a weekend, by the local time at its start."""
    local = datetime.fromtimestamp(hour * 3600, UTC).astimezone(zone)
    return local.hour + (_DAY if local.weekday() >= 5 else 0)


def other_slot(slot: int) -> int:
    """Return the slot of the same hour on the other kind of day."""
    return (slot + _DAY) % SLOTS
