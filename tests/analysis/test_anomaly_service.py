"""Anomalies of a running bridge: what the fold finds is stored, then told once, however often the bridge is killed."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from bridge.analysis.anomaly.changes import AnomalyState
from bridge.analysis.anomaly_desk import AnomalyDesk
from bridge.analysis.anomaly_inputs import ask_for_mark
from bridge.analysis.anomaly_service import Pace
from bridge.core.access.permissions import ANYONE
from bridge.core.errors import AlarmStateError, StoreUnavailable, TemporarilyUnavailable
from bridge.core.events import EntityEvent
from tests.analysis.faulty import A_DAY, Expected, name_of, readings, room_of
from tests.analysis.rig import ArmedStore, Killer, Rig
from tests.fakes import MemoryStore
from tests.servers import until

SATURATED_DAYS = range(A_DAY * 3)
"""Of the first device: several times saturated."""


def alone(_device_id: str) -> str | None:
    return None


def kinds_told(rig: Rig) -> list[tuple[str, str]]:
    return [(event.body["kind"], event.kind) for event in rig.outgoing.events]


async def standing(rig: Rig) -> dict[str, Any]:
    """Publish until an anomaly of the first device stands, and return it."""
    for one in readings(1, SATURATED_DAYS):
        await rig.publish([one])
        await rig.folded(one.seq)
        if rig.outgoing.events:
            return dict(rig.outgoing.events[-1].body)
    raise AssertionError("no anomaly")


def die(store: ArmedStore, task: asyncio.Task[None]) -> None:
    store.is_dead = True
    task.cancel()


def desk_of(store: MemoryStore, seconds: float = 5.0) -> AnomalyDesk:
    return AnomalyDesk(store.anomalies, None, is_enabled=True, mark_seconds=seconds)


async def test_changes_are_stored_then_told_and_are_those_of_an_undisturbed_fold() -> None:
    rig = Rig(MemoryStore(), alone)
    expected = Expected()
    all_readings = list(readings(3, range(A_DAY * 10)))
    expected.add(all_readings)
    async with rig.running():
        await rig.publish(all_readings)
        await rig.folded(all_readings[-1].seq)
        assert expected.changes
        assert rig.store.anomalies.log.keys() == expected.changes.keys()
        assert set(rig.told.values()) == {1}
        assert rig.told.total() == len(expected.changes)
        assert rig.hub.events == all_readings


@pytest.mark.parametrize("seed", range(2))
async def test_killed_bridge_tells_nothing_twice_misses_nothing_and_has_the_same_state(seed: int) -> None:
    """Killed 20 times at any call of the store, in the midst of checkpoints too, over 35 days; neighbours drift apart."""
    chance = random.Random(seed)
    rig, expected = Rig(store := ArmedStore(), room_of), Expected()
    killer = Killer(store, chance)
    first = list(readings(6, range(2)))
    all_readings = list(readings(6, range(2, 35 * A_DAY), len(first) + 1))
    expected.add([*first, *all_readings])
    async with rig.running():
        await rig.publish(first)
        await rig.folded(first[-1].seq)
        await until(lambda: rig.service.fold.room("d05") == room_of("d05"), 5, "the rooms are known")
        await rig.publish(all_readings[:600])
        await rig.folded(all_readings[599].seq)
    at, step = 600, (len(all_readings) - 600) // 20
    for _ in range(20):
        store.is_dead = False
        async with rig.running() as task:
            killer.arm(task, 60)
            page = all_readings[at : at + step]
            for start in range(0, len(page), 60):
                await rig.publish(page[start : start + 60])
            await until(lambda task=task: task.done(), 30, "the kill")
        at += step
    killer.task, store.is_dead = None, False
    async with rig.running():
        await rig.publish(all_readings[at:])
        await rig.folded(all_readings[-1].seq)
        await until(lambda: rig.service.is_up_to_date, 10, "all is done")
        kinds = {change.record.anomaly.kind.value for change in expected.changes.values()}
        assert kinds >= {"saturated", "step", "cross", "spike", "stuck", "drift"}
        assert store.anomalies.inner.log.keys() == expected.changes.keys()
        assert rig.documents() == {name_of(one): expected.fold.document(name_of(one)) for one in range(6)}
        stands = {one.id for one in expected.fold.standing()}
        assert {one.id for one in store.anomalies.inner.alarms.values() if one.is_open} == stands
        assert set(rig.told.values()) == {1}, "told twice"
        assert len(expected.changes) - rig.told.total() <= 20, "only a kill between storing and telling leaves one untold"


async def test_device_that_is_ahead_of_an_incomplete_checkpoint_is_compared_as_it_was() -> None:
    """Killed between two states of a checkpoint, after five days in which two neighbours drifted apart."""
    pace = Pace(tick_seconds=0.01, save_seconds=1e9, save_readings=5 * 6 * A_DAY)
    rig, expected = Rig(store := ArmedStore(), room_of, pace=pace), Expected()
    all_readings = list(readings(6, range(35 * A_DAY)))
    expected.add(all_readings)
    days = {day: day * A_DAY * 6 for day in (1, 26, 32, 35)}
    async with rig.running():
        await rig.publish(all_readings[: days[1]])
        await rig.folded(days[1])
        await until(lambda: rig.service.fold.room("d05") == room_of("d05"), 5, "the rooms are known")
        await rig.publish(all_readings[days[1] : days[26]])
        await rig.folded(days[26])
    async with rig.running() as task:
        store.on_part_saved = lambda: die(store, task)
        await rig.publish(all_readings[days[26] : days[32]])
        await until(task.done, 10, "the kill")
    store.on_part_saved, store.is_dead = None, False
    async with rig.running():
        await rig.publish(all_readings[days[32] :])
        await rig.folded(all_readings[-1].seq)
        assert "drift" in {change.record.anomaly.kind.value for change in expected.changes.values()}
        assert store.anomalies.inner.log.keys() == expected.changes.keys()
        assert rig.documents() == {name_of(one): expected.fold.document(name_of(one)) for one in range(6)}


async def test_first_start_begins_with_what_is_published_then() -> None:
    rig = Rig(MemoryStore(), alone)
    before, after = list(readings(1, SATURATED_DAYS)), list(readings(1, range(A_DAY * 3, A_DAY * 4), 10_000))
    await rig.store.write(before, [], [])
    async with rig.running():
        await rig.publish(after)
        await rig.folded(after[-1].seq)
        assert rig.service.counts.folded == len(after)


async def test_slow_service_reads_on_from_the_store_and_misses_nothing() -> None:
    rig, expected = Rig(MemoryStore(), alone), Expected()
    all_readings = list(readings(3, range(A_DAY * 5)))
    expected.add(all_readings)
    async with rig.running(waiting_limit=300):
        await rig.publish(all_readings[:3])
        await rig.folded(3)
        await until(lambda: rig.feed.is_following, 5, "it follows")  # a moment later
        await rig.publish(all_readings[3:], batch=1000)
        await rig.folded(all_readings[-1].seq)
        assert rig.feed.counts.dropped > 0
        assert rig.service.counts.folded == len(all_readings)
        assert rig.store.anomalies.log.keys() == expected.changes.keys()


async def test_unavailable_store_is_waited_for_and_nothing_is_told_before() -> None:
    rig = Rig(store := ArmedStore(), alone)
    refusals = 0

    def refuse() -> None:
        nonlocal refusals
        refusals += 1
        raise StoreUnavailable("unavailable")

    all_readings = list(readings(1, SATURATED_DAYS))
    async with rig.running():
        await rig.publish(all_readings[:1])
        await rig.folded(1)
        store.on_call = refuse
        await rig.publish(all_readings[1:])
        await until(lambda: refusals > 2, 5, "the store is asked")
        assert rig.outgoing.events == []
        store.on_call = lambda: None
        await until(lambda: len(rig.outgoing.events) > 1, 10, "they are told")
        assert set(rig.told.values()) == {1}


# --- marks -----------------------------------------------------------------------------------------------------------------


async def test_mark_of_any_bridge_ends_an_anomaly_raises_its_threshold_and_survives_a_kill() -> None:
    rig = Rig(MemoryStore(), alone)
    async with rig.running():
        told = await standing(rig)
        record = await desk_of(rig.store).get(told["id"])
        assert record is not None
        assert record.state is AnomalyState.STANDING
        marked = await desk_of(rig.store).mark_wrong(record, ANYONE, "::1", "we tested it")
        assert (marked.state, marked.marked_by, marked.comment) == (AnomalyState.WRONG, "anyone", "we tested it")
        assert kinds_told(rig) == [("saturated", "detected"), ("saturated", "wrong")]
        await until(lambda: not rig.store.anomalies.given, 5, "the input is dropped")
        again = await desk_of(rig.store).mark_wrong(marked, ANYONE, "::1", "once more")
        assert again == marked
    async with rig.running():
        await until(lambda: rig.service.is_up_to_date, 5, "all is done")
        assert rig.documents()["d00"]["factors"] == {"saturated/co2": 2.0}
        assert len(rig.outgoing.events) == 2


async def test_mark_without_a_bridge_that_leads_is_applied_when_one_leads_again() -> None:
    rig = Rig(MemoryStore(), alone)
    async with rig.running():
        told = await standing(rig)
        await until(lambda: rig.service._unsaved == 0, 5, "a checkpoint")
    desk = desk_of(rig.store, 0.05)
    record = await desk.get(told["id"])
    assert record is not None
    with pytest.raises(TemporarilyUnavailable, match="will be applied"):
        await desk.mark_wrong(record, ANYONE, "::1", None)
    async with rig.running():
        await until(lambda: len(rig.outgoing.events) == 2, 5, "the mark is applied")
        assert kinds_told(rig)[-1] == ("saturated", "wrong")


async def test_mark_of_an_anomaly_that_is_too_old_is_refused() -> None:
    rig = Rig(MemoryStore(), alone)
    all_readings = list(readings(1, range(A_DAY * 40)))
    async with rig.running():
        await rig.publish(all_readings)
        await rig.folded(all_readings[-1].seq)
        first = await desk_of(rig.store).get(min(rig.store.anomalies.alarms))
        assert first is not None
        with pytest.raises(AlarmStateError, match="too old"):
            await desk_of(rig.store).mark_wrong(first, ANYONE, "::1", None)


async def test_marks_beyond_the_limit_are_refused() -> None:
    store = MemoryStore()
    body = {"device": "d", "anomaly": "a", "by": "x", "at": 1, "comment": None}
    clock = iter(range(1, 5000))
    for _ in range(1000):
        await ask_for_mark(store.anomalies, body, lambda: next(clock))
    with pytest.raises(TemporarilyUnavailable, match="too many marks"):
        await ask_for_mark(store.anomalies, body, lambda: next(clock))


# --- devices ---------------------------------------------------------------------------------------------------------------


async def test_deleted_device_is_forgotten_and_its_anomalies_end() -> None:
    rig = Rig(MemoryStore(), alone)
    async with rig.running():
        await standing(rig)
        rig.feed.publish([EntityEvent("sensor", "deleted", "d00")])
        await until(lambda: len(rig.outgoing.events) == 2, 5, "it ends")
        assert kinds_told(rig)[-1] == ("saturated", "resolved")
        await until(lambda: "d00" not in rig.store.anomaly_states.by_id, 5, "its state is deleted")
    async with rig.running():
        await until(lambda: rig.service.is_up_to_date, 5, "all is done")
        assert rig.documents() == {}
        assert len(rig.outgoing.events) == 2


async def test_anomaly_whose_state_was_lost_ends() -> None:
    rig = Rig(MemoryStore(), alone)
    async with rig.running():
        await standing(rig)
        await until(lambda: rig.service._unsaved == 0, 5, "a checkpoint")
    rig.store.anomaly_states.by_id.clear()
    async with rig.running():
        await until(lambda: len(rig.outgoing.events) == 2, 5, "it ends")
        assert kinds_told(rig)[-1] == ("saturated", "resolved")
        assert rig.service.journal.standing_numbers()["saturated"] == 0


async def test_device_follows_its_room() -> None:
    rooms: dict[str, str | None] = {"d00": "a", "d01": "a"}
    rig = Rig(MemoryStore(), rooms.get)
    async with rig.running():
        await rig.publish(readings(2, range(3)))
        await until(lambda: rig.service.fold.room("d01") == "a", 5, "its room")
        rooms["d01"] = None
        await until(lambda: rig.service.fold.room("d01") is None, 5, "it left")
        await until(lambda: rig.service._unsaved == 0, 5, "a checkpoint")
    async with rig.running():
        await until(lambda: rig.service.is_up_to_date, 5, "all is done")
        assert [rig.service.fold.room(one) for one in ("d00", "d01")] == ["a", None]


# --- alarms ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("has_alarm", "told"), [(False, ["detected", "resolved"]), (True, [])])
async def test_stuck_field_is_told_by_the_anomaly_only_where_no_alarm_watches_it(has_alarm: bool, told: list[str]) -> None:
    rig = Rig(MemoryStore(), alone, has_alarm=has_alarm)
    all_readings = [one for one in readings(2, range(A_DAY * 5)) if one.device_id == "d01"]
    expected = Expected()
    expected.add(all_readings)
    assert {change.record.anomaly.kind for change in expected.changes.values()} == {"stuck"}
    async with rig.running():
        await rig.publish(all_readings)
        await rig.folded(all_readings[-1].seq)
        assert [kind for _, kind in kinds_told(rig)] == told
        assert rig.service.journal.counts.left_to_alarms == 2 * has_alarm
