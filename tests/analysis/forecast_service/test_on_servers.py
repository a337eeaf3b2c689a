"""Forecasts of a running bridge, on every wire, from a history that was stored before it started."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.analysis.forecast_service import SETTLE_MS, ForecastService
from bridge.app import Bridge
from bridge.core.devices.device import Device
from bridge.core.timestamp import iso
from bridge.settings import AnalysisMqttSettings, AnalysisSettings, HomeAssistantSettings, StoreSettings
from bridge.stores import open_store
from tests.access.parts import guarded
from tests.analysis.forecast_service.stage import HOUR_MS, co2_of, reading
from tests.cluster.test_cluster import cluster
from tests.conftest import StartBridge
from tests.mqtt_out.rig import kept_bodies
from tests.realtime.clients import Listener, Plain, listening
from tests.servers import until

PATH = "/api/v1/predictions"


DEFAULTS: dict[str, Any] = ForecastService.__init__.__kwdefaults__  # type: ignore[assignment]


@pytest.fixture(autouse=True)
def same_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the forecasts' clock stand still: an hour that ends during a test would be one more to forecast after."""
    now_ms = time.time_ns() // 1_000_000
    monkeypatch.setitem(DEFAULTS, "clock", lambda: now_ms)


def complete_until() -> int:
    """The first hour that is not over, or not long enough."""
    return int((DEFAULTS["clock"]() - SETTLE_MS) // HOUR_MS)


@dataclass
class History:
    """`until` is the hour before which `office` was measured, every half an hour for 40 days."""

    url: str
    until: int


@asynccontextmanager
async def history(url: str, **more: Any) -> AsyncIterator[History]:
    end = complete_until()
    readings = [
        reading("office", hour, {"co2": co2_of(hour) + step}, minute=minute)
        for hour in range(end - 40 * 24, end)
        for minute, step in ((10, -5.0), (40, 5.0))
    ]
    async with open_store(StoreSettings.model_validate({"url": url})) as store:
        await store.prepare()
        if more.get("is_cluster") and store.log is not None:
            await store.log.prepare()
        for at in range(0, len(readings), 1000):
            await store.write(readings[at : at + 1000], [], [])
        await store.devices.save([Device("office", site="Kitchen", room="Office", created_ms=1)])
    yield History(url, end)


def service_of(bridge: Bridge) -> ForecastService:
    assert bridge._components is not None
    found = bridge._components.analysis.forecasts
    assert found is not None
    return found


async def get(bridge: Bridge, query: str = "") -> list[Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{bridge.port}{PATH}{query}") as answer,
    ):
        assert answer.status == 200, await answer.text()
        found: list[Any] = (await answer.json())["predictions"]
        return found


async def post_hour(bridge: Bridge, hour: int) -> None:
    """Send a reading of an hour, as the device does."""
    body = {"deviceId": "office", "co2": co2_of(hour), "timestamp": hour * HOUR_MS + 60_000}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{bridge.port}/api/v1/readings", json=body) as answer,
    ):
        assert answer.status == 201, await answer.text()


def pass_an_hour(bridge: Bridge) -> None:
    """Let the forecasts' clock be an hour ahead: the current hour is over for them."""
    service = service_of(bridge)
    clock = service._clock
    service._clock = lambda: clock() + HOUR_MS
    service._wake_up.set()


async def first_forecast(bridge: Bridge) -> None:
    """Wait until the first round is over: a prediction is served a moment before it is published."""
    await until(lambda: service_of(bridge).round_seconds > 0, 40, "the first round")
    await until(lambda: get(bridge), 10, "the first forecast")


def knows_another(bridge: Bridge) -> bool:
    assert bridge._components is not None
    assert bridge._components.cluster is not None
    cluster = bridge._components.cluster
    return len(cluster.members.alive) > 1 and cluster.messenger.is_connected


async def first_of(client: Listener, event: str, count: int = 1) -> list[Any]:
    await until(lambda: len(client.of(event)) >= count, 20, event)
    return client.of(event)


@pytest.mark.parametrize("kind", ["mongo", "sqlite"])
async def test_prediction_is_served_and_told_on_every_wire_and_known_after_a_restart(
    start_bridge: StartBridge, broker_url: str, mongo_url: str, tmp_path: Path, kind: str
) -> None:
    async with AsyncExitStack() as stack:
        past = await stack.enter_async_context(history(mongo_url if kind == "mongo" else f"sqlite:///{tmp_path}/bridge.db"))
        async with start_bridge(broker_url, past.url) as bridge:
            await first_forecast(bridge)
            [first] = await get(bridge)
            assert (first["deviceId"], first["field"], first["model"], first["made"]) == (
                "office", "co2", "profile", iso(past.until * HOUR_MS),
            )  # fmt: skip
            assert [(one["limit"], one["within"]) for one in first["exceeds"]] == [(1000, 3), (2000, 3), (5000, 3)]
            await post_hour(bridge, past.until)
            async with (
                Plain.connected(bridge) as plain,
                Plain.connected(bridge, "/api/v1/ws?channel=predictions") as channel,
                listening(bridge) as client,
            ):
                assert (await plain.call(type="subscribe", topics=["predictions"]))["topics"] == ["predictions", "all"]
                pass_an_hour(bridge)
                told = await plain.receive("prediction")
                [second] = await get(bridge)
                assert told == {
                    "type": "prediction",
                    "timestamp": second["made"],
                    "sensor_id": "office",
                    "enseigne": "Kitchen",
                    "salle": "Office",
                    **{name: value for name, value in second.items() if name != "deviceId"},
                }
                updated, completed = [await channel.receive("entity_event") for _ in range(2)]
                both = await first_of(client, "prediction", 2)
            assert second["made"] == iso((past.until + 1) * HOUR_MS)
            value = first["values"][0]
            is_within = value["low"] <= co2_of(past.until) <= value["high"]
            outcome = {"actual": co2_of(past.until), "within": is_within}
            for event, kind_, body, action in (
                (updated, "updated", first | outcome, "update_prediction"),
                (completed, "prediction_completed", second, "predict"),
            ):
                assert (event["event_type"], event["entity_type"], event["data"]) == (kind_, "prediction", body)
                assert event["entity_id"] == f"office/co2/{body['made']}"
                assert event["metadata"] == {"action": action}
            assert [(one["kind"], one["data"]) for one in both] == [("updated", first | outcome), ("completed", second)]
        async with start_bridge(broker_url, past.url) as bridge, listening(bridge) as client:
            assert await get(bridge) == [second]
            await until(lambda: service_of(bridge).round_seconds > 0, 20, "a round")
            assert client.of("prediction") == []


async def test_predictions_are_filtered_by_device_and_field_and_checked(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    async with history(f"sqlite:///{tmp_path}/bridge.db") as past, start_bridge(broker_url, past.url) as bridge:
        await first_forecast(bridge)
        assert len(await get(bridge, "?device=office&field=co2&field=pm25")) == 1
        assert await get(bridge, "?device=cellar") == await get(bridge, "?field=pm25") == []
        async with aiohttp.ClientSession() as session:
            for query in ("?field=coPpm", "?limit=1"):
                async with session.get(f"http://127.0.0.1:{bridge.port}{PATH}{query}") as answer:
                    assert answer.status in (400, 422), query
            async with session.delete(f"http://127.0.0.1:{bridge.port}/api/v1/devices/office") as answer:
                assert answer.status == 204
        assert await get(bridge) == []
        await until(lambda: len(service_of(bridge)) == 0, 20, "it is forgotten")


async def test_settings_turn_forecasts_off(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> None:
    settings = AnalysisSettings(forecasts=False)
    async with (
        history(f"sqlite:///{tmp_path}/bridge.db") as past,
        start_bridge(broker_url, past.url, analysis=settings) as bridge,
    ):
        assert bridge._components is not None
        assert bridge._components.analysis.forecasts is None
        assert await get(bridge) == []


async def test_zone_is_that_of_the_settings_else_of_the_device_else_utc(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    for number, (zone, expected) in enumerate([("Asia/Tokyo", "Asia/Tokyo"), (None, "Europe/Paris")]):
        settings = AnalysisSettings(timezone=zone)
        url = f"sqlite:///{tmp_path}/{number}.db"
        async with (
            history(url) as past,
            start_bridge(broker_url, past.url, analysis=settings) as bridge,
            aiohttp.ClientSession() as session,
            session.patch(f"http://127.0.0.1:{bridge.port}/api/v1/devices/office", json={"timezone": "Europe/Paris"}) as answer,
        ):
            assert answer.status == 200
            assert str(service_of(bridge)._zone("office")) == expected
            assert str(service_of(bridge)._zone("cellar")) == (zone or "UTC")


async def test_reader_receives_only_predictions_of_its_devices(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    async with history(f"sqlite:///{tmp_path}/bridge.db") as past, guarded(start_bridge, broker_url, past.url) as made:

        async def seen_by(who: str, query: str = "") -> list[str]:
            status, found = await made.as_(who, "GET", PATH + query)
            assert status == 200, found
            return [one["deviceId"] for one in found["predictions"]]

        await until(lambda: seen_by("viewer"), 30, "the first forecast")
        assert await seen_by("kitchen") == await seen_by("see") == ["office"]
        assert await seen_by("one") == await seen_by("one", "?device=office") == []
        assert (await made.ask("GET", PATH))[0] == 401
        assert (await made.as_("send", "GET", PATH))[0] == 403
        async with (
            Plain.connected(made.bridge, additional_headers=made.showing("kitchen")) as kitchen,
            Plain.connected(made.bridge, additional_headers=made.showing("one")) as one,
        ):
            body = {"deviceId": "office", "co2": co2_of(past.until), "timestamp": past.until * HOUR_MS + 60_000}
            assert (await made.as_("send", "POST", "/api/v1/readings", body))[0] == 201
            pass_an_hour(made.bridge)
            assert (await kitchen.receive("prediction"))["sensor_id"] == "office"
            await one.send(type="ping")
            assert (await one.receive("prediction", "pong"))["type"] == "pong"


async def test_last_predictions_are_retained_and_announced_to_home_assistant(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    more: dict[str, Any] = {
        "analysis": AnalysisSettings(mqtt=AnalysisMqttSettings(enabled=True, topic="air")),
        "home_assistant": HomeAssistantSettings(discovery=True, topic="ha", every_seconds=1),
        "client_id": "bridge",
    }
    async with history(f"sqlite:///{tmp_path}/bridge.db") as past:
        async with start_bridge(broker_url, past.url, **more) as bridge:
            await first_forecast(bridge)
            [body] = await get(bridge)

            async def is_announced() -> bool:
                found = await kept_bodies(broker_url, "homeassistant/device/bridge/+/config")
                return any("forecast-co2" in one["components"] for one in found.values())

            await until(is_announced, 30, "the announcement")
            retained = {"air/predictions/office": {"deviceId": "office", "made": body["made"], "predictions": [body]}}

            async def is_retained() -> bool:
                return await kept_bodies(broker_url, "air/#") == retained

            await until(is_retained, 20, "the prediction is retained")
            found = await kept_bodies(broker_url, "homeassistant/device/bridge/+/config")
            [sensor] = [one["components"]["forecast-co2"] for one in found.values() if "forecast-co2" in one["components"]]
            assert sensor["enabled_by_default"] is False
            assert (sensor["platform"], sensor["device_class"], sensor["unit_of_measurement"]) == (
                "sensor",
                "carbon_dioxide",
                "ppm",
            )
            states: list[dict[str, Any]] = []

            async def has_state() -> bool:
                states[:] = (await kept_bodies(broker_url, sensor["state_topic"])).values()
                return bool(states)

            await until(has_state, 20, "its state, which follows its announcement")
            state = states[0]["co2"]
            assert {name: state[name] for name in ("mean", "low", "high", "at")} == body["values"][0]
            assert len(state["hours"]) == 6
        async with start_bridge(broker_url, past.url, **more) as bridge:
            await until(lambda: service_of(bridge).round_seconds > 0, 20, "a round")
            assert await kept_bodies(broker_url, "air/#") == retained, "it stands also after a restart without a new hour"
            async with (
                aiohttp.ClientSession() as session,
                session.delete(f"http://127.0.0.1:{bridge.port}/api/v1/devices/office") as answer,
            ):
                assert answer.status == 204

            async def is_gone() -> bool:
                return await kept_bodies(broker_url, "air/#") == {} and not await kept_bodies(broker_url, "ha/office/#")

            await until(is_gone, 20, "nothing is retained of a removed device")


async def test_bridges_that_do_not_lead_answer_and_tell_the_predictions_of_the_leader(
    start_bridge: StartBridge, broker_url: str, mongo_url: str
) -> None:
    async with history(mongo_url, is_cluster=True) as past, AsyncExitStack() as stack:
        bridges = [await stack.enter_async_context(start_bridge(broker_url, past.url, cluster=cluster())) for _ in range(2)]
        for bridge in bridges:
            await until(lambda bridge=bridge: get(bridge), 40, "the first forecast")
        await until(lambda: any(service_of(bridge).round_seconds for bridge in bridges), 40, "the first round")
        await until(lambda: all(map(knows_another, bridges)), 20, "the bridges know each other")
        leader, other = sorted(bridges, key=lambda one: not one._components.cluster.leadership.leads)  # type: ignore[union-attr]
        assert await get(leader) == await get(other)
        assert service_of(other).round_seconds == 0
        client = await stack.enter_async_context(listening(other))
        await post_hour(other, past.until)

        def is_measured() -> bool:
            last = service_of(leader)._devices.get("office").last_reading
            return last is not None and last.timestamp_ms >= past.until * HOUR_MS

        await until(is_measured, 20, "the reading at the leader")
        pass_an_hour(leader)
        made = iso((past.until + 1) * HOUR_MS)
        await until(lambda: made in [one["data"]["made"] for one in client.of("prediction")], 20, "the second forecast")
        both = client.of("prediction")[-2:]  # the first forecast may have come late
        assert [one["kind"] for one in both] == ["updated", "completed"]
        assert await get(other) == [both[1]["data"]]
