"""Stored subscriptions by HTTP, on a running bridge and a real broker."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from bridge.devices.discovery import stored_subscriptions
from bridge.settings import StoreSettings
from bridge.settings.alarms import AlarmsMqttSettings, AlarmsSettings
from bridge.sources.mqtt.client import mqtt_sender
from bridge.stores import open_store
from tests.api.test_ingest import Poster, posting
from tests.conftest import StartBridge
from tests.senders import patient
from tests.servers import Mosquitto, until

PATH = "/api/v1/subscriptions"
TASMOTA = {"pattern": "tele/{deviceId}/SENSOR", "format": "tasmota"}


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/bridge.db"


@pytest.fixture
async def poster(start_bridge: StartBridge, broker_url: str, store_url: str) -> AsyncIterator[Poster]:
    async with posting(start_bridge, broker_url, store_url) as one:
        yield one


async def publish(url: str, messages: Mapping[str, object], *, retain: bool = False) -> None:
    async with mqtt_sender(patient(url)) as sender:
        for topic, body in messages.items():
            await sender.publish(topic, orjson.dumps(body), retain=retain)


async def add(poster: Poster, body: Any) -> tuple[int, Any]:
    status, answer, _ = await poster.post(body, PATH)
    return status, answer


async def remove(poster: Poster, identity: str) -> int:
    async with poster.session.delete(f"{poster.base}{PATH}/{identity}") as answer:
        return answer.status


async def latest(poster: Poster) -> dict[str, Any]:
    return {one["deviceId"]: one for one in (await poster.get("/api/v1/readings/latest"))["readings"]}


async def stored(poster: Poster, *devices: str) -> None:
    async def there() -> bool:
        return (await latest(poster)).keys() >= set(devices)

    await until(there, what=f"readings of {devices}")


async def test_subscription_applies_at_once_and_after_a_restart(
    start_bridge: StartBridge, broker_url: str, store_url: str
) -> None:
    async with posting(start_bridge, broker_url, store_url, client_id="one") as poster:
        status, added = await add(poster, TASMOTA)
        assert (status, added["origin"], added["format"]) == (201, "stored", "tasmota")
        await publish(broker_url, {"tele/cold/SENSOR": {"AM2301": {"Temperature": 3}}})
        await stored(poster, "cold")
    await publish(broker_url, {"tele/warm/SENSOR": {"AM2301": {"Temperature": 30}}})  # waits in the session at the broker
    async with posting(start_bridge, broker_url, store_url, client_id="one") as poster:
        await stored(poster, "cold", "warm")
        listed = (await poster.get(PATH))["subscriptions"]
        assert [one["origin"] for one in listed] == ["file"] * 4 + ["stored"]
        assert poster.bridge.ledger.account("mqtt").rejected == 0


async def test_removed_subscription_ends_at_once_and_is_not_there_after_a_restart(
    start_bridge: StartBridge, broker_url: str, store_url: str
) -> None:
    async with posting(start_bridge, broker_url, store_url, client_id="one") as poster:
        _, added = await add(poster, TASMOTA)
        assert await remove(poster, added["id"]) == 204
        await publish(broker_url, {"tele/cold/SENSOR": {"A": {"Temperature": 3}}, "sensors/a/data": {"temperature": 1}})
        await stored(poster, "a")
        assert await remove(poster, added["id"]) == 404
    await publish(broker_url, {"tele/cold/SENSOR": {"A": {"Temperature": 3}}, "sensors/b/data": {"temperature": 1}})
    async with posting(start_bridge, broker_url, store_url, client_id="one") as poster:
        await stored(poster, "a", "b")
        account = poster.bridge.ledger.account("mqtt")
        assert (account.received, account.stored) == (1, 1)


async def test_subscription_survives_a_reconnection(start_bridge: StartBridge, tmp_path: Path, store_url: str) -> None:
    broker = Mosquitto(tmp_path / "mosquitto")
    broker.start()
    try:
        async with posting(start_bridge, broker.url, store_url) as poster:
            await add(poster, TASMOTA)
            broker.kill()
            await until(lambda: not poster.bridge.health.ready)
            await add(poster, {"pattern": "z2m/{deviceId}", "format": "zigbee2mqtt"})
            broker.start()
            await until(lambda: poster.bridge.health.ready)
            await publish(broker.url, {"tele/cold/SENSOR": {"A": {"Temperature": 3}}, "z2m/air": {"co2": 640}})
            await stored(poster, "cold", "air")
    finally:
        broker.kill()


async def test_retained_message_of_a_new_subscription_is_received(poster: Poster, broker_url: str) -> None:
    await publish(broker_url, {"shop/a": {"temperature": 3, "timestamp": 1_767_000_000}}, retain=True)
    await add(poster, {"pattern": "shop/{deviceId}"})
    await stored(poster, "a")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"pattern": "a/#/b"}, "pattern"),
        ({}, "pattern"),
        ({"pattern": "a/{deviceId}", "format": "nonsense"}, "format"),
        ({"pattern": "a/{deviceId}", "qos": 2}, "qos"),
        ({"pattern": "a/{deviceId}", "nonsense": 1}, "nonsense"),
        ({"pattern": "a", "format": "scalar"}, ""),
    ],
)
async def test_wrong_subscription_is_refused_with_its_field(poster: Poster, body: Any, field: str) -> None:
    status, answer = await add(poster, body)
    assert status == 400
    assert field in [error["field"] for error in answer["errors"]]
    assert len((await poster.get(PATH))["subscriptions"]) == 4


@pytest.mark.parametrize("pattern", ["sensors/{deviceId}/data", "sensors/+/data", "shop/{deviceId}"])
async def test_pattern_that_is_there_already_is_refused(poster: Poster, pattern: str) -> None:
    await add(poster, {"pattern": "shop/{deviceId}"})
    status, answer = await add(poster, {"pattern": pattern})
    assert (status, "matches the same topics" in answer["detail"]) == (409, True)


async def test_topics_of_the_bridges_own_messages_are_refused(
    start_bridge: StartBridge, broker_url: str, store_url: str
) -> None:
    own = AlarmsSettings(mqtt=AlarmsMqttSettings(enabled=True, topic="house/alarms"))
    async with posting(start_bridge, broker_url, store_url, alarms=own) as poster:
        status, answer = await add(poster, {"pattern": "house/alarms/{deviceId}/x"})
        assert (status, "topics of the bridge's own messages (alarms.mqtt.topic)" in answer["detail"]) == (409, True)
        assert (await add(poster, {"pattern": "house/{deviceId}/data"}))[0] == 201


async def test_number_and_size_are_limited(poster: Poster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_subscriptions, "SUBSCRIPTIONS_LIMIT", 3)
    statuses = [(await add(poster, {"pattern": f"t{number}/{{deviceId}}"}))[0] for number in range(4)]
    assert statuses == [201, 201, 201, 507]
    assert (await add(poster, {"pattern": "x" * 10_000}))[0] == 413


async def test_concurrent_changes_are_all_kept(poster: Poster) -> None:
    answers = await asyncio.gather(*(add(poster, {"pattern": f"t{number}/{{deviceId}}"}) for number in range(20)))
    assert {status for status, _ in answers} == {201}
    assert len({one["id"] for one in (await poster.get(PATH))["subscriptions"]} - {None}) == 20


async def test_stored_subscription_that_is_no_longer_valid_does_not_stop_the_bridge(
    start_bridge: StartBridge, broker_url: str, store_url: str
) -> None:
    async with open_store(StoreSettings.model_validate({"url": store_url})) as store:
        await store.prepare()
        await store.put("subscriptions", '[{"pattern": "a/{deviceId}", "format": "gone"}, {"pattern": "b/{deviceId}"}]')
    async with posting(start_bridge, broker_url, store_url) as poster:
        assert [one["pattern"] for one in (await poster.get(PATH))["subscriptions"]][4:] == ["b/{deviceId}"]


async def test_overlapping_subscription_applies_at_once_and_no_message_is_stored_twice(poster: Poster, broker_url: str) -> None:
    assert (await add(poster, {"pattern": "sensors/{deviceId...}"}))[0] == 201
    times = itertools.count(1_767_000_000)

    async def there() -> bool:
        """A second copy of a reading with a time of its own would be counted as a duplicate."""
        topics = ("sensors/a/data", "sensors/floor1/b")
        await publish(broker_url, {topic: {"temperature": 1, "timestamp": next(times)} for topic in topics})
        return (await latest(poster)).keys() >= {"a", "floor1/b"}

    await until(there)
    account = poster.bridge.ledger.account("mqtt")
    await until(lambda: account.waiting == 0)
    assert (account.duplicate, account.rejected, account.stored) == (0, 0, account.received)
