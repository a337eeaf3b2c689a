"""The air monitor: what it judges, what it says, and what it remembers; at the end on a bridge with both stores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import aiohttp
import pytest
from bson.objectid import ObjectId

from bridge.alarms.air_monitor import AirMonitor
from bridge.alarms.co_dose import EN_50291, UL_2034, DoseProfile
from bridge.alarms.conditions import Dose
from bridge.alarms.defaults import DEFAULT_RULES
from bridge.alarms.rules import Rule
from bridge.alarms.scope import UNKNOWN_FACTS
from bridge.alarms.service import AlarmService
from bridge.core.events import AirAssessed, EntityEvent, Event
from bridge.core.readings.reading import Reading
from bridge.sources.mqtt.client import mqtt_sender
from tests.conftest import StartBridge
from tests.fakes import MemoryStore
from tests.realtime.clients import Plain
from tests.senders import patient

NOW_MS = 1_768_478_400_000


class Heard:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def publish(self, events: Sequence[Event]) -> None:
        self.events += events

    @property
    def assessed(self) -> list[AirAssessed]:
        return [event for event in self.events if isinstance(event, AirAssessed)]


class Clock:
    now_ms = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


class Air:
    """A monitor and the alarms before it, without rules unless given, over the in-memory store."""

    def __init__(self, store: MemoryStore | None = None, limit: int = 10, rules: Sequence[Rule] = ()) -> None:
        self.clock = Clock()
        self.store = store or MemoryStore()
        self.heard = Heard()
        self.alarms = AlarmService(
            self.store,
            rules,
            devices_limit=limit,
            facts=lambda _: UNKNOWN_FACTS,
            is_up=lambda _: True,
            clock=self.clock,
        )
        self.monitor = AirMonitor(lambda: self.alarms.fold, "us-epa", clock=self.clock)
        self.alarms.next, self.monitor.next = self.monitor, self.heard
        self._seq = 0

    async def start(self) -> Self:
        await self.alarms.load(max((reading.seq for reading in self.store.by_id.values()), default=0))
        await self.alarms.catch_up()
        return self

    def reading(
        self, values: dict[str, float], *, device: str = "a", age_ms: int = 0, late_ms: int = 0, **more: object
    ) -> Reading:
        self._seq += 1
        at_ms = self.clock.now_ms - age_ms
        return Reading(ObjectId(), device, dict(values), at_ms, at_ms + late_ms, seq=self._seq, **more)  # type: ignore[arg-type]

    def measure(self, values: dict[str, float], **more: object) -> None:
        self.alarms.publish([self.reading(values, **more)])  # type: ignore[arg-type]

    def assess(self) -> list[AirAssessed]:
        """Everything that has changed since the last call."""
        self.heard.events.clear()
        self.heard.publish(list(self.monitor._changes(1.0, lambda: 0.0)))  # the loop's time, which stands still
        return self.heard.assessed

    def words(self, device: str = "a") -> dict[str, str]:
        return {one.indicator.key: one.rating.word for one in self.monitor.assessments(device) if one.rating is not None}


async def test_assessment_is_published_when_a_rating_changes_and_only_then() -> None:
    air = await Air().start()
    told = []
    for ppm in (600, 640, 990, 1010, 1500, 1200, 900, 40_000):
        air.clock.now_ms += 1000
        air.measure({"co2": ppm})
        told += [event.body["assessments"][0]["levelKey"] for event in air.assess()]
    assert told == ["level.co2.harmless", "level.co2.elevated", "level.co2.harmless", "level.co2.danger"]


async def test_readings_pass_on_before_anything_else() -> None:
    air = await Air().start()
    reading = air.reading({"co2": 600})
    air.alarms.publish([reading])
    assert air.heard.events == [reading]


async def test_flagged_late_retained_and_older_readings_say_nothing_about_the_air_now() -> None:
    air = await Air().start()
    air.measure({"co2": 600})
    air.clock.now_ms += 1000
    air.measure({"co2": 0}, quality={"co2": "outside 300..10000"})
    air.measure({"co2": 5000}, retained=True)
    air.measure({"co2": 5000}, late_ms=60_001)
    air.measure({"co2": 5000}, age_ms=2000)
    assert air.words() == {"index.co2": "level.co2.harmless"}
    assert (air.alarms.fold.counts.late, air.alarms.fold.counts.retained) == (2, 1)


async def test_value_above_the_usual_range_is_judged_although_it_is_flagged() -> None:
    air = await Air().start()
    air.measure({"coPpm": 1500}, quality={"coPpm": "outside 0..1000"})
    assert air.words() == {"index.co.now": "level.co.300"}
    assert air.monitor.public("a")["score"] == 0


async def test_dose_of_carbon_monoxide_is_judged_with_the_time_that_is_left() -> None:
    air = await Air(rules=[rule for rule in DEFAULT_RULES if rule.id == "co-dose"]).start()
    air.measure({"coPpm": 20})
    assert "index.co.dose" not in air.words()
    for _ in range(71):
        air.clock.now_ms += 15_000
        air.measure({"coPpm": 100})  # an alarm comes after 35 minutes
    [dose] = [one.public() for one in air.monitor.assessments("a") if one.indicator.key == "index.co.dose"]
    assert (dose["value"], dose["levelKey"]) == (50, "level.dose.half")
    assert dose["minutesLeft"] == pytest.approx(17.5, abs=0.3)
    air.clock.now_ms += 15_000
    air.measure({"coPpm": 0})
    [dose] = [one.public() for one in air.monitor.assessments("a") if one.indicator.key == "index.co.dose"]
    assert "minutesLeft" not in dose


@pytest.mark.parametrize(("profile", "standard"), [(EN_50291, "standard.enCo"), (UL_2034, "standard.ulCo")])
async def test_dose_is_named_after_the_standard_that_it_is_counted_by(profile: DoseProfile, standard: str) -> None:
    [rule] = [rule for rule in DEFAULT_RULES if rule.id == "co-dose"]
    air = await Air(rules=[replace(rule, condition=Dose(profile))]).start()
    for _ in range(3):
        air.clock.now_ms += 15_000
        air.measure({"coPpm": 150})
    [dose] = [one.indicator for one in air.monitor.assessments("a") if one.indicator.key == "index.co.dose"]
    assert dose.standard == standard


async def test_values_that_are_too_old_are_not_judged_any_more() -> None:
    air = await Air().start()
    air.measure({"co2": 3000})
    assert len(air.assess()) == 1
    air.clock.now_ms += 16 * 60_000
    assert air.words() == {}


async def test_devices_beyond_the_limit_are_counted() -> None:
    air = await Air(limit=1).start()
    air.measure({"co2": 600})
    air.measure({"co2": 600}, device="b")
    assert air.monitor.devices() == ["a"]
    assert air.alarms.fold.counts.unwatched == 1


async def test_score_is_that_of_the_newest_unflagged_values() -> None:
    air = await Air().start()
    air.measure({"temperature": 21})
    air.measure({"coPpm": 800})
    assert air.monitor.public("a")["score"] == 0
    assert air.monitor.public("unknown") | {"at": ""} == {
        "deviceId": "unknown", "at": "", "scale": "us-epa", "score": None, "assessments": [],
    }  # fmt: skip


async def test_air_is_judged_by_either_index() -> None:
    air = await Air().start()
    air.measure({"pm25": 60})
    for scale, key in (("us-epa", "index.aqi.pm25.now"), ("european", "index.eaqi.pm25"), (None, "index.aqi.pm25.now")):
        report = air.monitor.public("a", scale)
        assert report["scale"] == scale or scale is None
        assert key in [one["key"] for one in report["assessments"]]


async def test_assessing_stops_when_its_time_is_over_and_goes_on_where_it_was() -> None:
    air = await Air().start()
    for device in "abcdef":
        air.measure({"co2": 600}, device=device)
    turns: list[list[str]] = []
    while not turns or turns[-1]:
        clock = iter((0.0, 0.0, 9.0))
        turns.append([event.device_id for event in air.monitor._changes(1.0, lambda clock=clock: next(clock))])  # type: ignore[misc]
    assert turns == [["a", "b"], ["c", "d"], ["e", "f"], []]


async def test_what_was_saved_and_stored_since_is_remembered_once() -> None:
    before = await Air().start()
    readings = []
    for minute in range(3 * 60):
        before.clock.now_ms = NOW_MS + minute * 60_000
        readings.append(before.reading({"pm25": float(minute // 60)}))
        before.alarms.publish(readings[-1:])
        if minute == 100:
            await before.alarms.close()
    assert before.store.air.by_id["a"].seq == 101
    before.store.by_id |= {reading.id: reading for reading in readings}
    after = Air(before.store)
    after.clock.now_ms = before.clock.now_ms
    await after.start()
    assert after.alarms.fold.device_body("a") == before.alarms.fold.device_body("a")


async def test_removed_device_is_forgotten_in_memory_and_in_the_store() -> None:
    air = await Air().start()
    air.measure({"co2": 600})
    await air.alarms.save()
    assert len(await air.store.air.all(9)) == 1
    air.alarms.publish([EntityEvent("sensor", "deleted", "a")])
    assert air.monitor.devices() == []
    await air.alarms.save()
    assert await air.store.air.all(9) == []


async def test_device_that_fell_silent_while_the_bridge_was_off_is_told() -> None:
    rules = [rule for rule in DEFAULT_RULES if rule.id == "no-data"]
    before = await Air(rules=rules).start()
    for _ in range(5):
        before.clock.now_ms += 10_000
        before.measure({"co2": 600})
    await before.alarms.save()
    after = Air(before.store, rules=rules)
    after.clock.now_ms = before.clock.now_ms + 48 * 3_600_000
    await after.start()
    after.clock.now_ms += 3_600_000
    after.alarms.tick()
    assert [record.rule for record in after.alarms.standing()] == ["no-data"]


async def test_first_start_takes_the_readings_of_the_last_day() -> None:
    before = Air()
    old = before.reading({"co2": 4000}, age_ms=26 * 3_600_000)
    recent = before.reading({"co2": 640}, age_ms=60_000)
    after = Air(before.store)
    after.store.by_id |= {reading.id: reading for reading in (old, recent)}
    await after.start()
    assert after.words() == {"index.co2": "level.co2.harmless"}


@pytest.mark.parametrize("kind", ["mongo", "sqlite"])
async def test_air_is_judged_told_and_remembered_over_a_restart(
    start_bridge: StartBridge, broker_url: str, mongo_url: str, tmp_path: Path, kind: str
) -> None:
    store = mongo_url if kind == "mongo" else f"sqlite:///{tmp_path}/bridge.db"
    async with start_bridge(broker_url, store) as bridge, aiohttp.ClientSession() as session:
        async with Plain.connected(bridge) as client, mqtt_sender(patient(broker_url)) as sender:
            await client.call(type="subscribe", topics=["assessments"])
            await sender.publish("sensors/kitchen/data", b'{"co2": 2400, "coPpm": 120, "temperature": 21}')
            told = await client.receive("assessment")
        assert (told["sensor_id"], told["score"], told["assessments"][0]["levelKey"]) == ("kitchen", 0, "level.co.100")
        url = f"http://127.0.0.1:{bridge.port}/api/v1/assessments"
        async with session.get(url, params={"device": "kitchen"}) as answer:
            [asked] = (await answer.json())["assessments"]
        assert [one["levelKey"] for one in asked["assessments"]][:2] == ["level.co.100", "level.co2.unacceptable"]
    async with start_bridge(broker_url, store) as bridge, aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{bridge.port}/api/v1/assessments") as answer:
            [asked] = (await answer.json())["assessments"]
        assert [one["levelKey"] for one in asked["assessments"]][:2] == ["level.co.100", "level.co2.unacceptable"]
