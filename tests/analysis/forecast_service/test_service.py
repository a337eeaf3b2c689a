"""Forecasts that are learned hour by hour from a real store: restarts, gaps, late data, kills."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bridge.analysis.forecast_service import HISTORY_HOURS, ForecastService
from bridge.analysis.forecast_service.hourly_means import HourlyMeans
from bridge.core.errors import StoreUnavailable
from bridge.core.timestamp import iso, parse_time
from tests.analysis.forecast_service.stage import HOUR_MS, START, Stage, co2_of, reading, stage
from tests.fakes import RecordingPublisher
from tests.servers import until

DAYS_40 = START + 40 * 24


@pytest.fixture(params=["sqlite", "mongo"])
async def on_each_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    where = request.getfixturevalue("mongo_url") if request.param == "mongo" else f"sqlite:///{tmp_path}/bridge.db"
    async with stage(where) as found:
        yield found


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(f"sqlite:///{tmp_path}/bridge.db") as found:
        yield found


async def test_history_is_learned_at_the_first_start_and_forecasts_appear_at_once(on_each_store: Stage) -> None:
    room = on_each_store
    await room.measure_hours("office", range(START, DAYS_40))
    await room.pass_to(DAYS_40)
    [event] = room.made
    body = event.body
    assert (event.kind, body["deviceId"], body["field"], body["unit"]) == ("completed", "office", "co2", "ppm")
    assert (body["model"], body["level"], body["made"]) == ("profile", 0.9, iso(DAYS_40 * HOUR_MS))
    assert [one["at"] for one in body["values"]] == [iso((DAYS_40 + ahead) * HOUR_MS) for ahead in range(6)]
    assert all(one["low"] <= one["mean"] <= one["high"] for one in body["values"])
    assert abs(body["values"][0]["mean"] - co2_of(DAYS_40)) < 80
    assert (body["days"], [(one["limit"], one["within"]) for one in body["exceeds"]]) == (29, [(1000.0, 3), (2000.0, 3)])
    assert 0.85 < body["coverage30d"] < 0.95
    assert body["ofPersistence30d"] < 0.97
    assert 0 < body["error30d"] < 100
    document = await room.predictions("office")
    assert (document["hour"], document["predictions"]) == (DAYS_40 - 1, [body])
    assert (await room.state("office"))[0] == DAYS_40 - 1


async def test_hours_learned_one_by_one_or_after_days_give_the_same_state_and_predictions(room: Stage, tmp_path: Path) -> None:
    await room.measure_hours("office", range(START, DAYS_40))
    await room.pass_to(DAYS_40)
    for hour in range(DAYS_40, DAYS_40 + 30):
        await room.measure_hours("office", [hour])
        await room.pass_to(hour + 1)
    async with stage(f"sqlite:///{tmp_path}/other.db") as other:
        await other.measure_hours("office", range(START, DAYS_40))
        await other.pass_to(DAYS_40)
        await other.restart()
        await other.measure_hours("office", range(DAYS_40, DAYS_40 + 30))
        await other.pass_to(DAYS_40 + 30)
        assert await other.state("office") == await room.state("office")
        assert await other.predictions("office") == await room.predictions("office")
        assert len(other.of("completed")) == 2, "of the hours that passed meanwhile, only the last is predicted after"
    completed, updated = room.of("completed"), room.of("updated")
    assert [one.body["made"] for one in completed] == [iso(hour * HOUR_MS) for hour in range(DAYS_40, DAYS_40 + 31)]
    assert [one.body["made"] for one in updated] == [one.body["made"] for one in completed[:-1]]
    for one in updated:
        first = one.body["values"][0]
        assert one.body["actual"] == co2_of((parse_time(first["at"]) or 0) // HOUR_MS)
        assert one.body["within"] == (first["low"] <= one.body["actual"] <= first["high"])


async def test_round_without_a_new_hour_changes_and_tells_nothing(room: Stage) -> None:
    await room.measure_hours("office", range(START, START + 20 * 24))
    await room.pass_to(START + 20 * 24)
    before, told = await room.predictions("office"), len(room.made)
    await room.measure(reading("office", START + 20 * 24, {"co2": 900.0}, minute=1))
    await room.pass_to(START + 20 * 24)
    await room.restart()
    await room.pass_to(START + 20 * 24)
    assert (await room.predictions("office"), len(room.made)) == (before, told)


async def test_silent_device_is_learned_again_where_it_stopped_and_its_old_forecast_is_not_told(room: Stage) -> None:
    await room.measure_hours("office", range(START, DAYS_40))
    await room.pass_to(DAYS_40 + 12)
    assert room.made == [], "its six hours are over"
    assert list(room.service.standing()) == []
    await room.measure_hours("office", [DAYS_40 + 12])
    await room.pass_to(DAYS_40 + 13)
    [event] = room.made
    assert (event.kind, event.body["made"]) == ("completed", iso((DAYS_40 + 13) * HOUR_MS))
    assert [one["made"] for one in room.service.standing()] == [event.body["made"]]


async def test_late_readings_of_a_learned_hour_change_nothing_and_whole_late_hours_are_learned(room: Stage) -> None:
    await room.measure_hours("office", range(START, START + 48))
    await room.pass_to(START + 48)
    before = await room.state("office")
    await room.measure(reading("office", START + 47, {"co2": 5000.0}, minute=59))
    await room.pass_to(START + 50)
    assert await room.state("office") == before
    await room.measure_hours("office", range(START + 48, START + 51))
    await room.pass_to(START + 51)
    state = await room.state("office")
    assert state[0] == START + 50
    await room.measure_hours("mirror", range(START, START + 51))
    await room.pass_to(START + 51)
    assert await room.state("mirror") == state


async def test_only_the_last_ninety_days_are_learned(room: Stage) -> None:
    end = START + 120 * 24
    await room.measure_hours("office", range(START, end))
    await room.measure_hours("newer", range(end - HISTORY_HOURS, end))
    await room.pass_to(end)
    assert await room.state("office") == await room.state("newer")


async def test_values_of_a_failed_sensor_are_in_no_mean_with_rollups_and_without(on_each_store: Stage) -> None:
    room = on_each_store
    failed = {"co2": "sensor failure: 65535 is a code, not a value"}
    power_on = {"temperature": "85 °C: a DS18B20 also sends it before its first measurement"}
    for hour in range(START, START + 30):
        await room.measure_hours("office", [hour])
        await room.measure(reading("office", hour, {"temperature": 21.0}))
        if hour % 3 == 0:
            await room.measure(
                reading("office", hour, {"co2": 65535, "temperature": 85}, minute=3, quality=failed | power_on),
                reading("office", hour, {"co2": 12000}, minute=4, quality={"co2": "outside 300..10000"}),
            )
    for _ in range(50):
        if not (await room.store.history.roll_up()).more:
            break
    await room.measure_hours("clean", range(START, START + 30))
    await room.measure(*(reading("clean", hour, {"temperature": 21.0}) for hour in range(START, START + 30)))
    await room.pass_to(START + 30)
    assert await room.state("office") == await room.state("clean")


async def test_a_failing_sensor_is_read_from_its_readings_page_by_page(room: Stage) -> None:
    quality = {"co2": "outside 300..10000"}
    readings = [reading("office", START, {"co2": 600 + n % 2}, minute=0) for n in range(2)]
    for second in range(1500):
        one = reading("office", START, {"co2": 600 + second % 2, "pm25": second}, minute=0)
        one.timestamp_ms += second * 1000 + 1
        one.seq += 1000 * (second + 1)
        one.id = type(one.id)()
        readings.append(one)
    await room.measure(*readings, reading("office", START, {"co2": 65535.0}, minute=40, quality=quality))
    await room.measure_hours("office", [START + 1])
    found = await room.service._means.between(["office"], START, START + 1)
    assert found["office"][0][1]["co2"] == pytest.approx(600.5)
    assert room.service._means.reread == 1


# --- rooms, zones, removal -------------------------------------------------------------------------------------------------


async def test_device_that_moves_is_learned_anew_also_if_the_bridge_was_restarted_meanwhile(room: Stage) -> None:
    await room.measure_hours("office", range(START, DAYS_40))
    await room.registry.update("office", {"room": "Office"})
    await room.pass_to(DAYS_40)
    assert room.of("completed")[-1].body["model"] == "profile"
    await room.registry.update("office", {"room": "Cellar"})
    await room.restart()
    await room.measure_hours("office", [DAYS_40])
    await room.pass_to(DAYS_40 + 1)
    [retired] = room.of("retired")
    assert (retired.body["model"], retired.body["values"]) == ("learning", [])
    assert list(room.service.standing()) == []
    await room.measure_hours("office", [DAYS_40 + 1])
    await room.pass_to(DAYS_40 + 2)
    assert len(room.of("retired")) == 1
    assert (await room.predictions("office"))["predictions"][0]["days"] == 0


@pytest.mark.parametrize(
    ("before", "after", "moves"),
    [
        ({}, {"room": "Office"}, False),
        ({"room": "Office"}, {"site": "Berlin"}, False),
        ({"room": "Office"}, {"room": None}, False),
        ({"room": "Office", "site": "Berlin"}, {"site": "Paris"}, True),
        ({"room": "Office"}, {"room": "Cellar"}, True),
    ],
)
async def test_naming_a_room_is_no_move(room: Stage, before: dict[str, Any], after: dict[str, Any], moves: bool) -> None:
    await room.measure_hours("office", range(START, START + 20 * 24))
    await room.registry.update("office", before)
    await room.pass_to(START + 20 * 24)
    await room.registry.update("office", after)
    await room.measure_hours("office", [START + 20 * 24])
    await room.pass_to(START + 20 * 24 + 1)
    assert bool(room.of("retired")) is moves


async def test_room_that_was_left_empty_for_a_while_is_remembered(room: Stage) -> None:
    await room.measure_hours("office", range(START, START + 20 * 24))
    for at, name in enumerate(("Office", None, "Cellar")):
        await room.registry.update("office", {"room": name})
        await room.measure_hours("office", [START + 20 * 24 + at])
        await room.pass_to(START + 20 * 24 + at + 1)
        assert bool(room.of("retired")) is (name == "Cellar")


async def test_removed_device_leaves_nothing_behind_and_one_registered_again_learns_from_its_readings(room: Stage) -> None:
    await room.measure_hours("office", range(START, DAYS_40))
    await room.pass_to(DAYS_40)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(room.service.run())
        await room.registry.remove("office")

        async def is_gone() -> bool:
            stored = await room.store.predictions.get(["office"]) + await room.store.forecast_states.get(["office"])
            return not stored and not len(room.service)

        await until(is_gone, 20)
        running.cancel()
    assert room.service.interval("office", "co2", DAYS_40 * HOUR_MS) is None
    await room.measure_hours("office", [DAYS_40])
    await room.pass_to(DAYS_40 + 1)
    assert (await room.state("office"))[0] == DAYS_40
    assert room.of("completed")[-1].body["model"] == "profile"


async def test_slots_are_those_of_the_local_time(tmp_path: Path) -> None:
    states = []
    for name, zone in (("utc", ZoneInfo("UTC")), ("tokyo", ZoneInfo("Asia/Tokyo"))):
        async with stage(f"sqlite:///{tmp_path}/{name}.db", zone=zone) as room:
            await room.measure_hours("office", range(START, START + 10 * 24))
            await room.pass_to(START + 10 * 24)
            states.append((await room.state("office"))[1])
    assert states[0] != states[1]


# --- intervals for anomalies -----------------------------------------------------------------------------------------------


async def test_intervals_of_three_days_are_the_same_after_a_restart(on_each_store: Stage) -> None:
    room = on_each_store
    await room.measure_hours("office", range(START, DAYS_40))
    await room.pass_to(DAYS_40)
    hours = range(DAYS_40 - 70, DAYS_40 + 1)
    before = [room.service.interval("office", "co2", hour * HOUR_MS) for hour in hours]
    inside = [one is not None and one[0] < co2_of(hour) < one[1] for hour, one in zip(hours, before, strict=True)]
    assert inside.count(True) > 68
    assert None not in before
    await room.restart()
    assert [room.service.interval("office", "co2", hour * HOUR_MS) for hour in hours] == before
    assert room.service.interval("office", "co2", (DAYS_40 + 1) * HOUR_MS) is None
    assert room.service.interval("office", "pm25", DAYS_40 * HOUR_MS) is None
    assert room.service.interval("cellar", "co2", DAYS_40 * HOUR_MS) is None
    await room.measure_hours("office", range(DAYS_40, DAYS_40 + 3))
    await room.pass_to(DAYS_40 + 3)
    assert [room.service.interval("office", "co2", hour * HOUR_MS) for hour in hours[3:]] == before[3:]
    assert room.service.interval("office", "co2", (DAYS_40 + 2) * HOUR_MS) is not None


async def test_intervals_are_wider_than_the_bounds_of_the_forecast(room: Stage) -> None:
    await room.measure_hours("office", range(START, DAYS_40))
    await room.pass_to(DAYS_40)
    first = room.of("completed")[-1].body["values"][0]
    interval = room.service.interval("office", "co2", DAYS_40 * HOUR_MS)
    assert interval is not None
    assert interval[0] < first["low"] < first["high"] < interval[1]


# --- faults ----------------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process ends here."""


class ArmedRecords:
    """Records of devices whose calls count down to a kill, before or after they are done."""

    def __init__(self, records: Any, trap: Trap) -> None:
        self._records = records
        self._trap = trap

    def __getattr__(self, name: str) -> Any:
        return self._trap.armed(getattr(self._records, name))


class Trap:
    def __init__(self, countdown: int) -> None:
        self.countdown = countdown

    def armed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        async def armed(*arguments: Any) -> Any:
            self._count()
            result = await call(*arguments)
            self._count()
            return result

        return armed

    def _count(self) -> None:
        self.countdown -= 1
        if self.countdown == 0:
            raise Killed


class ArmedStore:
    def __init__(self, store: Any, trap: Trap) -> None:
        self._store = store
        self.forecast_states = ArmedRecords(store.forecast_states, trap)
        self.predictions = ArmedRecords(store.predictions, trap)
        self.history = ArmedRecords(store.history, trap)
        self.readings = trap.armed(store.readings)


class DeadPublisher(RecordingPublisher):
    """Kills at the first event."""

    def publish(self, events: Sequence[Any]) -> None:
        super().publish(events)
        raise Killed


@pytest.mark.parametrize("is_cached", [False, True], ids=["states from the store", "states in memory"])
async def test_kill_at_every_await_leaves_the_state_of_an_undisturbed_run_and_tells_nothing_twice(
    tmp_path: Path, is_cached: bool
) -> None:
    first = START + 16 * 24
    async with stage(f"sqlite:///{tmp_path}/calm.db") as calm:
        await calm.measure_hours("office", range(START, first + 2))
        for hour in range(first, first + 3):
            await calm.pass_to(hour)
        expected = await calm.state("office"), await calm.predictions("office"), _told(calm)
    async with stage(f"sqlite:///{tmp_path}/killed.db") as room:
        await room.measure_hours("office", range(START, first + 2))
        for countdown in range(1, 100):
            for records in (room.store.forecast_states, room.store.predictions):
                await records.remove("office")
            room.out.events.clear()
            kills, trap = 0, Trap(countdown)
            for hour in range(first, first + 3):
                room.now_ms = hour * HOUR_MS + 300_000
                if not is_cached:
                    trap.countdown = countdown
                if not is_cached or hour == first:
                    await room.restart(ArmedStore(room.store, Trap(0)))  # type: ignore[arg-type]
                    room.service._store = ArmedStore(room.store, trap)  # type: ignore[assignment]
                    room.service._means = HourlyMeans(room.service._store)
                try:
                    await room.service.round()
                except Killed:
                    kills += 1
                    await room.restart()
                    await room.service.round()
            assert (await room.state("office"), await room.predictions("office")) == expected[:2], countdown
            told = _told(room)
            assert len(told) == len(set(told)), countdown
            assert set(told) <= set(expected[2]), countdown
            if not kills:
                assert sorted(told) == sorted(expected[2])
                break
        assert 10 < countdown < 99, "every await was a place of death"


def _told(room: Stage) -> list[tuple[str, str, str]]:
    return [(one.kind, one.body["field"], one.body["made"]) for one in room.made]


async def test_kill_while_publishing_does_not_tell_it_again(room: Stage) -> None:
    await room.measure_hours("office", range(START, DAYS_40))
    room.service.publisher = dead = DeadPublisher()
    with pytest.raises(Killed):
        await room.pass_to(DAYS_40)
    await room.restart()
    await room.service.round()
    assert (len(dead.events), room.made) == (1, [])


@pytest.mark.parametrize("damage", ['{"version":2}', "", "{", '{"version":1,"hour":5,"fields":{"coPpm":{}}}'])
async def test_damaged_state_is_learned_again_from_the_history(room: Stage, damage: str) -> None:
    await room.measure_hours("office", range(START, START + 20 * 24))
    await room.pass_to(START + 20 * 24)
    [state] = await room.store.forecast_states.get(["office"])
    _, good = await room.state("office")
    state.body["state"] = damage
    [predicted] = await room.store.predictions.get(["office"])
    predicted.body["intervals"] = {"co2": "not base64"}
    await room.store.forecast_states.save([state])
    await room.store.predictions.save([predicted])
    await room.restart()
    await room.service.round()
    assert (await room.state("office"))[1] == good
    assert room.service.counts.damaged > 1
    assert len(room.of("completed")) == 1


async def test_state_of_a_wrong_clock_is_learned_again(room: Stage) -> None:
    await room.measure_hours("office", range(START, START + 20 * 24))
    await room.measure_hours("office", [START + 90 * 24])
    await room.pass_to(START + 90 * 24 + 1)
    await room.restart()
    await room.pass_to(START + 20 * 24)
    assert (await room.state("office"))[0] == START + 20 * 24 - 1
    assert room.made[-1].body["made"] == iso((START + 20 * 24) * HOUR_MS)


async def test_round_goes_on_when_the_store_is_available_again(
    room: Stage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    await room.measure_hours("office", range(START, DAYS_40))
    room.now_ms = DAYS_40 * HOUR_MS + 300_000
    monkeypatch.setattr("bridge.analysis.forecast_service.RETRY_SECONDS", 0.05)
    is_down = True

    class Failing(ArmedRecords):
        def __getattr__(self, name: str) -> Any:
            async def call(*arguments: Any) -> Any:
                if is_down and name == "save":
                    raise StoreUnavailable("no primary")
                return await getattr(self._records, name)(*arguments)

            return call

    store = ArmedStore(room.store, Trap(0))
    store.forecast_states = Failing(room.store.forecast_states, Trap(0))
    await room.restart(store)  # type: ignore[arg-type]
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(room.service.run())
        await until(lambda: room.service.counts.failures > 2, 20)
        assert room.made == []
        is_down = False
        await until(lambda: room.service.round_seconds > 0, 20)
        running.cancel()
    assert (await room.state("office"))[0] == DAYS_40 - 1
    assert caplog.text.count("the last hours not learned (no primary)") == 1
    assert [one.kind for one in room.made] == ["completed"], "its prediction was stored by the first try"


async def test_listeners_receive_each_prediction_with_its_probabilities(room: Stage) -> None:
    heard: list[tuple[str, Any]] = []
    room.service.listeners.append(lambda event: heard.append((event.kind, event.body["exceeds"])))
    await room.measure_hours("office", range(START, DAYS_40 + 1))
    await room.pass_to(DAYS_40)
    await room.pass_to(DAYS_40 + 1)
    assert [kind for kind, _ in heard] == ["completed", "updated", "completed"]
    assert all(0 <= one["probability"] <= 1 for _, exceeds in heard for one in exceeds)
    assert isinstance(room.service, ForecastService)
