"""Local times without a zone: how far each device's clock is ahead of UTC.

Most devices that state no zone send at once, so the time of receipt shows their zone: the whole quarter of an hour that brings
their clock near it. Messages that were delayed look the same, so the offset of a device is learned once, stored, and changed
only by evidence that a delay cannot give.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bridge.core.devices.profiles import DeviceProfile, Profiles

NEAR_MS = 5 * 60 * 1000
"""How far from the time of receipt a clock with a known zone may be, unless the message was delayed."""

_MINUTE_MS = 60_000
_QUARTER_MS = 15 * _MINUTE_MS
_OFFSETS_MINUTES = (-12 * 60, 14 * 60)
_SUMMER_TIME_MINUTES = (30, 60)
_PACE_MS = 5000
_CLOCKS_LIMIT = 10_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class _Clock:
    """The last message of a device: its local time, its receipt, and the offset that would bring the two near."""

    local_ms: int
    received_ms: int
    candidate: int | None
    result: tuple[int, str | None]
    is_tentative: bool = False
    """The offset was learned from this one message."""


def parse_zone(text: str) -> tzinfo:
    """Return the zone of an IANA name or of an offset such as `+02:00`; raises `ValueError`."""
    try:
        if text[:1] in ("+", "-"):
            moment = datetime.fromisoformat(f"2000-01-01T00:00:00{text}")
            assert moment.tzinfo is not None  # noqa: S101 - the text has an offset
            return moment.tzinfo
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{text[:64]!a} is not a time zone; allowed are IANA names such as Europe/Paris, and +02:00") from None


def zone_of(profile: DeviceProfile) -> tzinfo | None:
    """Return the zone that a person set for a device, or the offset that its clock was learned to have; None if not known."""
    if profile.zone_name is not None:
        return parse_zone(profile.zone_name)
    return None if profile.zone_minutes is None else timezone(timedelta(minutes=profile.zone_minutes))


class LocalTimes:
    """Converts local times to UTC. Offsets are kept in the profiles of the devices."""

    def __init__(self, profiles: Profiles) -> None:
        self._profiles = profiles
        self._clocks: dict[str, _Clock] = {}

    def to_utc(
        self, device_id: str, local_ms: int, received_ms: int, *, zone: tzinfo | None, learns: bool
    ) -> tuple[int, str | None]:
        """Return the UTC milliseconds of a local time, and what was assumed, if it is to be said.

        `zone` is that of the subscription. `learns` is False for messages that are delayed by design, as retained ones are.
        """
        profile = self._profiles.get(device_id)
        if profile is not None and profile.zone_name is not None:
            zone = parse_zone(profile.zone_name)
        if zone is not None:
            return _in_zone(local_ms, zone, received_ms), None
        known = None if profile is None else profile.zone_minutes
        if not learns:
            return _assumed(local_ms, received_ms, known)
        last = self._clocks.get(device_id)
        if last is not None and last.local_ms == local_ms and last.received_ms == received_ms:
            return last.result  # another part in the same message
        clock = _Clock(local_ms, received_ms, _candidate(local_ms, received_ms), (local_ms, None))
        learned = _learn(known, clock, last)
        clock.result = _assumed(local_ms, received_ms, learned)
        if learned != known:
            if learned is not None and (known is not None or learned):
                clock.result = (clock.result[0], f"no zone: taken as {_text(learned)}")
            self._store(device_id, learned)
        if len(self._clocks) >= _CLOCKS_LIMIT:
            self._clocks.clear()
        self._clocks[device_id] = clock
        return clock.result

    def _store(self, device_id: str, minutes: int | None) -> None:
        profile = self._profiles.obtain(device_id)
        if profile is not None:
            profile.zone_minutes = minutes
            self._profiles.changed.add(device_id)


def _learn(known: int | None, clock: _Clock, last: _Clock | None) -> int | None:
    """Return the offset in minutes after one more message; None if it is still or again unknown."""
    candidate = clock.candidate
    if known is None:
        clock.is_tentative = candidate not in (None, 0)
        return candidate
    if last is None:
        return known
    received, advanced = clock.received_ms - last.received_ms, clock.local_ms - last.local_ms
    if last.is_tentative and received < _PACE_MS < abs(advanced):
        return 0  # the first messages were delayed and came at once: their distance to the receipt says nothing
    clock.is_tentative = last.is_tentative and candidate != known
    if candidate is None or candidate == known:
        return known
    is_live = received >= _MINUTE_MS // 60 and abs(advanced - received) <= _PACE_MS
    if is_live and last.candidate == candidate:
        return candidate  # two messages at the pace of the receipt: not delayed
    jump = abs(candidate - known)
    if jump in _SUMMER_TIME_MINUTES and last.candidate == known and received + NEAR_MS < jump * _MINUTE_MS:
        return candidate  # a delay would be as long as the jump
    return known


def _candidate(local_ms: int, received_ms: int) -> int | None:
    """Return the offset in minutes, whole quarters of an hour, that brings a local time near its receipt; None if none does."""
    minutes = round((local_ms - received_ms) / _QUARTER_MS) * 15
    low, high = _OFFSETS_MINUTES
    is_near = abs(local_ms - minutes * _MINUTE_MS - received_ms) <= NEAR_MS
    return minutes if is_near and low <= minutes <= high else None


def _assumed(local_ms: int, received_ms: int, known: int | None) -> tuple[int, str | None]:
    """Return the time by the known offset. Without one it is UTC, which is said unless it is near the receipt."""
    if known is not None:
        return local_ms - known * _MINUTE_MS, None
    return local_ms, None if abs(local_ms - received_ms) <= NEAR_MS else "no zone: taken as UTC"


def _in_zone(local_ms: int, zone: tzinfo, received_ms: int) -> int:
    """Return the UTC milliseconds of a local time; of the two in the hour that comes twice, the one nearer to the receipt."""
    local = (_EPOCH + timedelta(milliseconds=local_ms)).replace(tzinfo=zone)
    times = (round((local.replace(fold=fold) - _EPOCH) / timedelta(milliseconds=1)) for fold in (0, 1))
    return min(times, key=lambda time: abs(time - received_ms))


def _text(minutes: int) -> str:
    if minutes == 0:
        return "UTC"
    return str(timezone(timedelta(minutes=minutes)))
