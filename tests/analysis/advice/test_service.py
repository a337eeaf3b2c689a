"""Advice on each store: stored before it is told, once, not too often, and so after a restart and at the next leader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from bson.objectid import ObjectId

from bridge.alarms.defaults import DEFAULT_RULES
from bridge.alarms.record import Transition, TransitionKind
from bridge.alarms.service.journal import changed, stored_alarm
from bridge.analysis.advice import service as module
from bridge.analysis.advice.record import advice_from_document
from bridge.core.errors import StoreUnavailable
from bridge.core.readings.reading import Reading
from bridge.ports import AlarmStore, Store, StoredAlarm, StoredTransition
from tests.alarms.folding import START_MS
from tests.analysis.advice.bodies import HOUR_MS, alarm, prediction, raised
from tests.analysis.advice.stage import Stage, store
from tests.servers import until

__all__ = ["store"]

RULES = {rule.id: rule for rule in DEFAULT_RULES}
CO2, PM25 = RULES["co2-air"], RULES["pm25-unhealthy"]


async def history(store: Store, **which: Any) -> list[tuple[str, str, str | None]]:
    found = await store.actions.find(**which, limit=100)
    return [(one.device_id, one.rule, advice_from_document(one.body).field) for one in found]


async def test_advice_of_a_forecast_is_stored_and_told(store: Store) -> None:
    async with Stage(store).leading() as bridge:
        bridge.service.on_prediction(prediction(over_2000=0.62))
    [body] = bridge.advised
    assert (body["deviceId"], body["action"], body["reason"]) == ("room-1", "ventilate", "forecast")
    assert (body["limit"], body["probability"], body["within"], body["command"]) == (2000, 0.62, 3, None)
    assert body["message"].startswith("Air the room now: Carbon dioxide is likely to rise above 2,000 ppm within 3 h (62 %).")
    [stored] = await store.actions.find(limit=10)
    assert (stored.id, stored.device_id, stored.rule, stored.is_open) == (body["id"], "room-1", "ventilate", False)
    assert bridge.service.counts.given == 1


async def test_advice_of_an_alarm_is_stored_and_told_with_its_alarm(store: Store) -> None:
    given = alarm(CO2)
    async with Stage(store).leading() as bridge:
        bridge.service.on_alarms([raised(given), raised(given, "acknowledged"), raised(given, "cleared")])
    [body] = bridge.advised
    assert (body["reason"], body["alarm"], body["value"], body["limit"]) == ("alarm", given.id, 2100, 2000)


async def test_hidden_alarm_and_one_without_a_rule_advise_nothing(store: Store) -> None:
    async with Stage(store).leading() as bridge:
        hidden: list[dict[str, Any]] = [
            {"suppressed_by": "co2-work"},
            {"shelved_until_ms": START_MS + 1},
            {"out_of_service": True},
        ]
        bridge.service.on_alarms([raised(alarm(CO2, **more)) for more in hidden])
        bridge.service.on_alarms([raised(replace(alarm(CO2), rule="gone"))])
    assert bridge.advised == []


# --- not too often ---------------------------------------------------------------------------------------------------------


async def test_one_advice_a_device_in_two_hours_also_after_a_restart_and_at_the_next_leader(store: Store) -> None:
    async with Stage(store).leading() as bridge:
        bridge.service.on_prediction(prediction(over_2000=0.62))
        bridge.service.on_prediction(prediction("room-2", over_2000=0.62))
        await bridge.settled()
        bridge.now_ms += HOUR_MS
        bridge.service.on_prediction(prediction(field="pm25", made_ms=bridge.now_ms, over_55_5=0.9))
    assert [one["deviceId"] for one in bridge.advised] == ["room-1", "room-2"]
    assert bridge.service.counts.held == 1
    for now_ms, expected in ((START_MS + 2 * HOUR_MS - 1, 0), (START_MS + 2 * HOUR_MS, 1)):
        async with Stage(store, now_ms=now_ms).leading() as after:
            after.service.on_prediction(prediction(made_ms=now_ms, over_2000=0.7))
        assert len(after.advised) == expected
    assert await history(store, device_id="room-1") == [("room-1", "ventilate", "co2")] * 2


async def test_of_what_arrives_together_the_alarm_counts_then_the_likeliest(store: Store) -> None:
    async with Stage(store).leading() as bridge:
        bridge.service.on_prediction(prediction(over_2000=0.62))
        bridge.service.on_prediction(prediction(field="pm25", over_55_5=0.9))
        bridge.service.on_prediction(prediction("room-2", over_2000=0.62))
        bridge.service.on_alarms([raised(alarm(CO2, "room-2"))])
    assert [(one["deviceId"], one["field"], one["reason"]) for one in bridge.advised] == [
        ("room-1", "pm25", "forecast"),
        ("room-2", "co2", "alarm"),
    ]


async def test_an_alarm_supersedes_a_forecast_of_its_field_once_and_of_no_other(store: Store) -> None:
    async with Stage(store).leading() as bridge:
        bridge.service.on_prediction(prediction(over_2000=0.62))
        await bridge.settled()
        for minutes, rule in ((10, PM25), (20, CO2), (30, RULES["co2-work"])):
            bridge.now_ms = START_MS + minutes * 60_000
            bridge.service.on_alarms([raised(alarm(rule, at_ms=bridge.now_ms))])
            await bridge.settled()
    assert [(one["field"], one["reason"]) for one in bridge.advised] == [("co2", "forecast"), ("co2", "alarm")]
    assert [one["supersedes"] for one in bridge.advised] == [None, bridge.advised[0]["id"]]


async def test_a_forecast_says_nothing_that_an_alarm_says_already(store: Store) -> None:
    bridge = Stage(store)
    bridge.standing = [alarm(CO2)]
    async with bridge.leading():
        bridge.service.on_prediction(prediction(over_2000=0.9))
        await bridge.settled()
        assert bridge.advised == []
        bridge.service.on_prediction(prediction(made_ms=START_MS + 1, over_5000=0.9))
    assert [one["limit"] for one in bridge.advised] == [5000]


async def test_the_same_prediction_is_advice_once(store: Store) -> None:
    for _ in range(2):
        async with Stage(store).leading() as bridge:
            for _ in range(2):
                bridge.service.on_prediction(prediction(over_2000=0.62))
                await bridge.settled()
    assert bridge.advised == []
    assert len(await history(store)) == 1


async def test_old_predictions_and_those_of_a_bridge_that_does_not_lead_are_ignored(store: Store) -> None:
    async with Stage(store).leading() as bridge:
        bridge.service.on_prediction(prediction(made_ms=START_MS - 91 * 60_000, over_2000=0.9))
    follower = Stage(store)
    follower.service.on_prediction(prediction(over_2000=0.9))
    follower.service.on_alarms([raised(alarm(CO2))])
    assert follower.service.waiting == 0
    assert await history(store) == []


async def test_what_waits_is_limited_and_the_rest_counted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_LIMIT", 3)
    async with Stage(store).leading() as bridge:
        await bridge.settled()  # what was begun before counts as one that waits
        for number in range(5):
            bridge.service.on_prediction(prediction(f"room-{number}", over_2000=0.9))
    assert (len(bridge.advised), bridge.service.counts.dropped) == (3, 2)


# --- the air outside -------------------------------------------------------------------------------------------------------


def outdoors(value: float, at_ms: int = START_MS, **quality: str) -> Reading:
    return Reading(ObjectId(), "balcony-1", {"pm25": value}, at_ms, at_ms, quality, seq=at_ms)


@pytest.mark.parametrize(
    ("readings", "expected", "outside"),
    [
        ([], "clean_air", None),
        ([outdoors(80)], "close_windows", 80),
        ([outdoors(8)], "ventilate", 8),
        ([outdoors(80, START_MS - HOUR_MS)], "clean_air", None),
        ([outdoors(80, pm25="not plausible")], "clean_air", None),
    ],
)
async def test_the_air_outside_is_what_a_device_there_has_measured_lately(
    store: Store, readings: Sequence[Reading], expected: str, outside: float | None
) -> None:
    await store.write(readings, [], [])
    bridge = Stage(store, '[advice]\noutdoors = ["balcony-*"]')
    bridge.sites = {"room-1": "Home", "balcony-1": "Home"}
    async with bridge.leading():
        bridge.service.on_prediction(prediction(field="pm25", over_55_5=0.9))
    assert [(one["action"], one["outside"]) for one in bridge.advised] == [(expected, outside)]


# --- restarts and an unavailable store -------------------------------------------------------------------------------------


async def test_alarm_that_was_raised_just_before_a_restart_is_advice_after_it(store: Store) -> None:
    for number, (rule, minutes, is_over) in enumerate([(CO2, 14, False), (CO2, 16, False), (PM25, 5, True), (PM25, 4, False)]):
        given = alarm(rule, f"room-{number}", at_ms=START_MS - minutes * 60_000)
        transition = Transition(raised(given).transition, TransitionKind.RAISED, given.raised_ms or 0, given)
        assert changed(transition).kind == "raised"
        stored = stored_alarm(given)
        alarms = [StoredAlarm(stored.id, stored.device_id, stored.rule, not is_over, stored.body)]
        await store.alarms.write([StoredTransition(transition.id, given.id, transition.to_document())], alarms)
    for expected in (["room-0", "room-3"], []):
        async with Stage(store).leading() as bridge:
            await bridge.settled()
        assert sorted(one["deviceId"] for one in bridge.advised) == expected


class FailingActions:
    """Fails at chosen calls: before or after they took effect."""

    def __init__(self, actions: AlarmStore, failures: Sequence[str]) -> None:
        self._actions = actions
        self._failures = list(failures)
        self.writes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._actions, name)

    async def write(self, transitions: Sequence[StoredTransition], alarms: Sequence[StoredAlarm]) -> None:
        self.writes += 1
        failure = self._failures.pop(0) if self._failures else None
        if failure == "before":
            raise StoreUnavailable("unavailable")
        await self._actions.write(transitions, alarms)
        if failure == "after":
            raise StoreUnavailable("unavailable after the write")


class Parts:
    def __init__(self, store: Store, *failures: str) -> None:
        self.actions: Any = FailingActions(store.actions, failures)
        self.alarms = store.alarms


@pytest.mark.parametrize("failures", [("before",), ("after",), ("", "before"), ("", "after"), ("after", "before", "after")])
async def test_advice_is_given_once_however_the_store_fails(
    store: Store, failures: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.01)
    parts = Parts(store, *failures)
    async with Stage(store, parts=parts).leading() as bridge:
        bridge.service.on_prediction(prediction(over_2000=0.62))
        await until(lambda: bridge.advised, 5, "it is told")
    assert len(bridge.advised) == 1
    assert len(await history(store)) == 1
