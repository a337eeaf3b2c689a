"""Times without a zone: near UTC, learned per device, by the zone of the subscription, and never confused by delays."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.devices.local_time import LocalTimes, parse_zone
from bridge.core.devices.profiles import DeviceProfile, Profiles

MINUTE, HOUR = 60_000, 3_600_000
NOW_MS = 1_795_860_000_000  # 2026-11-28


def convert(
    messages: Sequence[tuple[int, int]], *, known: int | None = None, zone: str | None = None, learns: bool = True
) -> tuple[list[int], list[str | None], Profiles]:
    """Return what the local times of one device become, what was said of each, and the profiles; pairs of local and receipt."""
    profiles = Profiles()
    if known is not None:
        profiles.put("a", DeviceProfile(zone_minutes=known))
    times = LocalTimes(profiles)
    parsed = ZoneInfo(zone) if zone else None
    results = [times.to_utc("a", local, received, zone=parsed, learns=learns) for local, received in messages]
    return [time for time, _ in results], [note for _, note in results], profiles


def stream(
    offset_minutes: int, count: int, *, start: int = NOW_MS, step: int = 10_000, delay: int = 0
) -> list[tuple[int, int]]:
    """Messages every `step` ms of a clock that is ahead of UTC; each is received `delay` ms late."""
    times = [start + n * step for n in range(count)]
    return [(time + offset_minutes * MINUTE, time + delay) for time in times]


def test_time_near_the_receipt_is_utc() -> None:
    times, notes, profiles = convert(stream(0, 3, delay=2 * MINUTE))
    assert times == [NOW_MS, NOW_MS + 10_000, NOW_MS + 20_000]
    assert notes == [None, None, None]
    assert profiles.get("a") == DeviceProfile(zone_minutes=0)


@pytest.mark.parametrize("offset", [-720, -420, -210, -60, -30, 45, 60, 330, 345, 840])
def test_offset_is_learned_from_the_first_message_and_said_once(offset: int) -> None:
    times, notes, profiles = convert(stream(offset, 3, delay=1500))
    assert times == [NOW_MS, NOW_MS + 10_000, NOW_MS + 20_000]
    assert notes[1:] == [None, None]
    assert (notes[0] or "").startswith("no zone: taken as UTC")
    learned = profiles.get("a")
    assert learned is not None
    assert learned.zone_minutes == offset
    assert profiles.changed == {"a"}


def test_known_offset_holds_for_delayed_messages() -> None:
    late = [(NOW_MS + 2 * HOUR - age, NOW_MS + n) for n, age in enumerate(range(4 * HOUR, 0, -7 * MINUTE))]
    times, notes, profiles = convert(late, known=120)
    assert times == [local - 2 * HOUR for local, _ in late]
    assert not any(notes)
    assert profiles.changed == set()


def test_delayed_first_messages_that_come_at_once_teach_nothing() -> None:
    backlog = [(NOW_MS - HOUR + n * 10_000, NOW_MS + n) for n in range(360)]
    times, notes, profiles = convert([*backlog, *stream(0, 3)])
    assert times[1:360] == [local for local, _ in backlog[1:]]
    assert times[360:] == [NOW_MS, NOW_MS + 10_000, NOW_MS + 20_000]
    assert sum(note is not None for note in notes) <= 2
    learned = profiles.get("a")
    assert learned is not None
    assert learned.zone_minutes == 0


def test_outage_of_an_hour_does_not_change_the_offset() -> None:
    after = [(NOW_MS + n * 10_000, NOW_MS + HOUR + n) for n in range(300)]
    times, _, profiles = convert([*stream(0, 3, start=NOW_MS - 30_000), *after], known=0)
    assert times[3:] == [local for local, _ in after]
    assert profiles.changed == set()


@pytest.mark.parametrize(("before", "after"), [(120, 60), (60, 120), (-240, -300), (630, 660)])
def test_change_to_or_from_summer_time_is_followed_at_once(before: int, after: int) -> None:
    change = NOW_MS + 100_000
    messages = [*stream(before, 10), *stream(after, 10, start=change)]
    times, notes, profiles = convert(messages, known=before)
    assert times == [NOW_MS + n * 10_000 for n in range(20)]
    assert [note is not None for note in notes] == [n == 10 for n in range(20)]
    learned = profiles.get("a")
    assert learned is not None
    assert learned.zone_minutes == after


def test_hour_that_comes_twice_gives_two_times() -> None:
    """The same local time an hour later is another time."""
    twice, _, _ = convert(
        [(NOW_MS + 120 * MINUTE, NOW_MS), *stream(120, 360)[1:], (NOW_MS + 120 * MINUTE, NOW_MS + HOUR)], known=120
    )
    assert (twice[0], twice[-1]) == (NOW_MS, NOW_MS + HOUR)


def test_clock_that_was_set_is_followed_after_two_messages_at_the_pace_of_the_receipt() -> None:
    times, _, _ = convert([*stream(0, 3), *stream(-420, 4, start=NOW_MS + 30_000)], known=0)
    assert times[4:] == [NOW_MS + 40_000, NOW_MS + 50_000, NOW_MS + 60_000]


@pytest.mark.parametrize(
    ("local", "received", "utc"),
    [
        ("2026-07-01T12:00", "2026-07-01T10:00:03", "2026-07-01T10:00"),
        ("2026-12-01T12:00", "2026-12-01T11:00:03", "2026-12-01T11:00"),
        ("2026-10-25T02:30", "2026-10-25T00:30:03", "2026-10-25T00:30"),
        ("2026-10-25T02:30", "2026-10-25T01:30:03", "2026-10-25T01:30"),
        ("2026-03-29T02:30", "2026-03-29T01:30:03", "2026-03-29T01:30"),
        ("2026-07-01T12:00", "2026-07-03T12:00", "2026-07-01T10:00"),
    ],
)
def test_zone_of_the_subscription_is_used(local: str, received: str, utc: str) -> None:
    def at(text: str) -> int:
        return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)

    times, notes, _ = convert([(at(local), at(received))], zone="Europe/Paris")
    assert (times, notes) == ([at(utc)], [None])


def test_zone_set_for_the_device_wins() -> None:
    profiles = Profiles()
    profiles.put("a", DeviceProfile(zone_minutes=0, zone_name="+05:30"))
    time, _ = LocalTimes(profiles).to_utc("a", NOW_MS, NOW_MS, zone=ZoneInfo("Europe/Paris"), learns=True)
    assert time == NOW_MS - 330 * MINUTE


def test_posted_old_reading_stays_utc_and_it_is_said() -> None:
    times, notes, profiles = convert([(NOW_MS - HOUR, NOW_MS), (NOW_MS - MINUTE, NOW_MS)], learns=False)
    assert times == [NOW_MS - HOUR, NOW_MS - MINUTE]
    assert notes == ["no zone: taken as UTC", None]
    assert profiles.get("a") is None


@pytest.mark.parametrize("text", ["Mars/Olympus", "", "../etc/passwd", "+25:00", "x" * 500])
def test_unknown_zone_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the text is of the standard library for offsets
        parse_zone(text)


@given(st.integers(-12 * 4, 14 * 4), st.lists(st.integers(1_000, 900_000), min_size=1, max_size=30), st.integers(0, 240_000))
def test_any_zone_and_interval_is_learned(quarters: int, gaps: list[int], delay: int) -> None:
    times, received, messages = [], NOW_MS, []
    for gap in gaps:
        received += gap
        times.append(received - delay)
        messages.append((received - delay + quarters * 15 * MINUTE, received))
    assert convert(messages)[0] == times
