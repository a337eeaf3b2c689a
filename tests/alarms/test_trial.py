"""Rules tried on stored readings give the alarms that the fold gives for them as they come."""

from __future__ import annotations

from dataclasses import replace

from bson.objectid import ObjectId

from bridge.alarms.rules_file import load
from bridge.alarms.trial import TrialResult, try_rules
from bridge.core.devices.device import Device
from bridge.core.readings.reading import Reading
from tests.alarms.folding import MINUTE_MS, SECOND_MS, START_MS
from tests.fakes import MemoryStore


def readings(values: list[float], device: str = "kitchen", field: str = "coPpm", start: int = 0) -> list[Reading]:
    return [
        Reading(ObjectId(), device, {field: value}, at_ms, at_ms, seq=at_ms * 1000 + start)
        for at_ms, value in ((START_MS + (start + number) * 10 * SECOND_MS, value) for number, value in enumerate(values))
    ]


LEAK = [0.0] * 30 + [250.0] * 6 + [310.0] + [0.0] * 60


async def tried(given: list[Reading], text: str = "", from_ms: int = START_MS) -> TrialResult:
    store = MemoryStore()
    await store.write(sorted(given, key=lambda one: one.seq), [], [])
    return await try_rules(store, load(text).rules, from_ms)


async def test_an_alarm_that_was_raised_and_ended_is_shown_with_its_peak() -> None:
    result = await tried(readings(LEAK))
    (ceiling,) = [one for one in result.announced if one.rule == "co-ceiling"]
    assert ceiling.raised_ms == START_MS + 31 * 10 * SECOND_MS
    assert ceiling.cleared_ms == START_MS + 37 * 10 * SECOND_MS
    assert ceiling.peak is not None
    assert (ceiling.peak.value, ceiling.device_id) == (310.0, "kitchen")
    assert (result.readings, result.devices) == (len(LEAK), 1)
    assert (result.first_ms, result.last_ms) == (START_MS, START_MS + (len(LEAK) - 1) * 10 * SECOND_MS)


async def test_an_alarm_that_still_stands_has_its_peak_so_far() -> None:
    result = await tried(readings([0.0, 250.0, 250.0, 400.0]))
    (ceiling,) = [one for one in result.announced if one.rule == "co-ceiling"]
    assert ceiling.is_active
    assert ceiling.peak is not None
    assert ceiling.peak.value == 400.0


async def test_other_rules_raise_other_alarms() -> None:
    text = 'profile = "none"\n[rules.fridge]\nfield = "temperature"\nabove = 8\nclear = 6\ndevices = ["fridge-*"]'
    given = [*readings([5, 9, 5], "fridge-1", "temperature"), *readings([9, 9, 9], "attic", "temperature", 1)]
    result = await tried(given, text)
    assert [(one.rule, one.device_id) for one in result.announced] == [("fridge", "fridge-1")]


async def test_silence_is_found_when_the_next_reading_comes() -> None:
    given = [*readings([20.0] * 10, field="temperature"), *readings([20.0], field="temperature", start=400)]
    result = await tried(given)
    assert [one.rule for one in result.announced] == ["no-data"]


async def test_only_readings_since_the_time_are_folded() -> None:
    result = await tried(readings(LEAK), from_ms=START_MS + 40 * 10 * SECOND_MS)
    assert result.announced == []
    assert result.readings == len(LEAK) - 40


async def test_what_came_too_late_is_shown_as_past() -> None:
    late = [replace(one, received_ms=START_MS + 120 * MINUTE_MS + number) for number, one in enumerate(readings([300.0] * 3))]
    late = [replace(one, seq=one.received_ms * 1000) for one in late]
    last = replace(readings([0.0], start=2000)[0], device_id="other")
    result = await tried([*late, last])
    assert [one.rule for one in result.announced if one.past is not None] == ["co-ceiling", "co-dose"]


async def test_the_rooms_of_devices_are_those_of_the_registry() -> None:
    store = MemoryStore()
    await store.devices.save([Device("kitchen", room="Kitchen", site="Home")])
    await store.write(readings(LEAK), [], [])
    rules = load('profile = "none"\n[rules.co-ceiling]\nrooms = ["Kitchen"]').rules
    result = await try_rules(store, rules, START_MS)
    assert [(one.room, one.site) for one in result.announced] == [("Kitchen", "Home")]


async def test_alarms_beyond_the_limit_are_counted() -> None:
    store = MemoryStore()
    rules = load('profile = "none"\n[rules.heat]').rules
    many = [one for number in range(50) for one in readings([60.0, 60.0, 60.0], f"room-{number}", "temperature", number)]
    await store.write(sorted(many, key=lambda one: one.seq), [], [])
    done: list[tuple[int, int | None]] = []
    result = await try_rules(store, rules, START_MS, limit=20, progress=lambda count, total: done.append((count, total)))
    assert (result.raised, len(result.announced)) == (50, 20)
    assert done == [(150, 150)]
