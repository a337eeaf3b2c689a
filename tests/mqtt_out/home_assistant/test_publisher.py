"""What Home Assistant is told of devices: on a running bridge with a real broker, and its timing with a clock of the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson
import pytest
from bson.objectid import ObjectId

from bridge.alarms.defaults import profile_rules
from bridge.alarms.record import AlarmState
from bridge.alarms.rules import Rule
from bridge.app import Bridge
from bridge.core.devices.device import Device
from bridge.core.events import EntityEvent
from bridge.core.message import DeviceStatus
from bridge.core.readings.reading import Reading
from bridge.mqtt_out.home_assistant.discovery import HomeAssistantTopics
from bridge.mqtt_out.home_assistant.publisher import VALUE_MS, HomeAssistant
from bridge.mqtt_out.retained import RetainedMessages
from bridge.settings import AlarmsMqttSettings, AlarmsSettings, HomeAssistantSettings, SubscriptionSettings
from bridge.sources.mqtt.client import mqtt_sender
from tests.fakes import MemoryStore
from tests.mqtt_out.rig import START_MS, changed, kept, kept_bodies
from tests.running import start_bridge
from tests.senders import patient
from tests.servers import Mosquitto, until

TOPICS = HomeAssistantTopics("homeassistant", "one", "one")
EVERYTHING = SubscriptionSettings(pattern="{deviceId...}")
DATA = SubscriptionSettings(pattern="sensors/{deviceId...}/data")


class HouseOnTest:
    """A bridge that tells Home Assistant, on a broker and a store that stay."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self._store = f"sqlite:///{folder}/bridge.db"

    @asynccontextmanager
    async def bridge(self, *subscriptions: SubscriptionSettings, tells: bool = True, **mqtt: object) -> AsyncIterator[Bridge]:
        async with start_bridge(
            self.url,
            self._store,
            client_id="one",
            subscriptions=subscriptions or (DATA,),
            alarms=AlarmsSettings(mqtt=AlarmsMqttSettings(enabled=tells)),
            home_assistant=HomeAssistantSettings(discovery=tells, every_seconds=1),
            mqtt=mqtt,
        ) as bridge:
            yield bridge

    async def send(self, device_id: str, **values: object) -> None:
        async with mqtt_sender(patient(self.url)) as sender:
            await sender.publish(f"sensors/{device_id}/data", orjson.dumps(values))

    async def body(self, topic: str, key: str) -> Any:
        """The retained JSON message of a topic, when it has a key."""
        found: dict[str, Any] = {}

        async def has_key() -> bool:
            found.update(await kept_bodies(self.url, topic))
            return key in str(found.get(topic))

        await until(has_key, what=f"{key} on {topic}")
        return found[topic]

    async def text(self, topic: str, expected: bytes) -> None:
        async def is_expected() -> bool:
            return (await kept(self.url, topic)).get(topic) == expected

        await until(is_expected, what=f"{expected!r} on {topic}")


@pytest.fixture
def house(broker_url: str, tmp_path: Path) -> HouseOnTest:
    return HouseOnTest(broker_url, tmp_path)


@pytest.mark.parametrize("device_id", ["kitchen", "floor1/Küche 2", "日本/温度"])
async def test_device_is_announced_with_its_measurements_presence_and_alarms(house: HouseOnTest, device_id: str) -> None:
    async with house.bridge():
        await house.send(device_id, co2=812, temperature=21.5)
        config = await house.body(TOPICS.config(device_id), "'co2'")
        assert config["device"]["name"] == device_id
        assert config["components"]["co2"]["device_class"] == "carbon_dioxide"
        assert {"alarm-co2-danger", "alarm-no-data", "alarm-heat"} <= config["components"].keys()
        assert not {"alarm-co-dose", "alarm-flame", "alarm-store-unavailable"} & config["components"].keys()
        assert await house.body(config["state_topic"], "co2") == {"co2": 812, "temperature": 21.5}
        for one in config["availability"]:
            await house.text(one["topic"], b"online")
        await house.text(config["components"]["alarm-heat"]["state_topic"], b"{}")
        bridge = await house.body(TOPICS.bridge_config, "connection")
        assert {"alarm-store-unavailable", "alarm-broker-unavailable", "connection"} == bridge["components"].keys()
    await house.text("one/status", b"offline")


async def test_field_that_is_new_is_announced_and_stays_so_after_a_restart(house: HouseOnTest) -> None:
    async with house.bridge():
        await house.send("kitchen", co2=812)
        await house.body(TOPICS.config("kitchen"), "'co2'")
        await house.send("kitchen", temperature=21)
        config = await house.body(TOPICS.config("kitchen"), "'temperature'")
        assert "co2" in config["components"]
        assert await house.body("one/kitchen/state", "temperature") == {"co2": 812, "temperature": 21}
    async with house.bridge():
        await house.send("kitchen", humidity=50)
        config = await house.body(TOPICS.config("kitchen"), "'humidity'")
        assert {"co2", "temperature", "humidity"} <= config["components"].keys()


async def test_own_messages_are_neither_readings_nor_announcements_for_the_bridge_itself(house: HouseOnTest) -> None:
    async with house.bridge(EVERYTHING):
        pass
    async with house.bridge(EVERYTHING) as bridge:
        await house.send("kitchen", co2=812)
        await house.body("one/sensors/kitchen/data/state", "co2")
        async with aiohttp.ClientSession(f"http://127.0.0.1:{bridge.port}") as page:
            await house.send("cellar", co2=700)
            await house.body("one/sensors/cellar/data/state", "co2")
            async with page.get("/api/v1/devices") as answer:
                devices = [device["id"] for device in (await answer.json())["devices"]]
    assert devices == ["sensors/cellar/data", "sensors/kitchen/data"]


async def test_own_announcements_are_not_taken_in_by_the_bridge_that_listens_for_others(house: HouseOnTest) -> None:
    async with house.bridge(discovery=True) as bridge:
        await house.send("kitchen", co2=812)
        await house.body(TOPICS.config("kitchen"), "'co2'")
        other = {
            "stat_t": "other/state",
            "uniq_id": "u",
            "dev": {"ids": "other"},
            "dev_cla": "temperature",
            "unit_of_meas": "°C",
        }
        async with mqtt_sender(patient(house.url)) as sender:
            await sender.publish("homeassistant/sensor/other/config", orjson.dumps(other), retain=True)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{bridge.port}") as page:

            async def announced() -> int:
                async with page.get("/api/v1/discovery") as answer:
                    return int((await answer.json())["announced"]["sensors"])

            await until(announced, what="the announcement of another")
            assert await announced() == 1


async def test_alarm_is_told_from_when_it_is_raised_until_it_is_normal_again(house: HouseOnTest) -> None:
    topic, states = "alarms/floor1/boiler/co-ceiling", "one/floor1/boiler/alarms"

    async def act(bridge: Bridge, action: str) -> None:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{bridge.port}") as page:
            async with page.get("/api/v1/alarms") as answer:
                [alarm] = (await answer.json())["alarms"]
            async with page.post(f"/api/v1/alarms/{alarm['id']}/{action}", json={}) as answer:
                assert answer.status == 200, await answer.text()

    async with house.bridge() as bridge:
        for _ in range(3):
            await house.send("floor1/boiler", coPpm=250)
        assert (await house.body(topic, "unacknowledged"))["message"] == "Carbon monoxide 250 ppm at floor1/boiler"
        assert (await house.body(states, "co-ceiling"))["co-ceiling"]["priority"] == "critical"
        await act(bridge, "acknowledge")
        await house.body(topic, "'state': 'acknowledged'")
    async with mqtt_sender(patient(house.url)) as sender:
        await sender.publish(topic, b"", retain=True)
    async with house.bridge() as bridge:
        assert (await house.body(topic, "'state': 'acknowledged'"))["acknowledgedBy"] == "anyone", (
            "published again at the start"
        )
        for _ in range(3):
            await house.send("floor1/boiler", coPpm=0)
        await house.body(topic, "'state': 'latched'")
        assert "co-ceiling" in await house.body(states, "co-ceiling")
        await act(bridge, "reset")
        await house.text(states, b"{}")

        async def is_removed() -> bool:
            return await kept(house.url, "alarms/#") == {}

        await until(is_removed, what="the removal")


async def test_removed_device_is_removed_from_home_assistant(house: HouseOnTest) -> None:
    async with house.bridge() as bridge:
        await house.send("floor1/kitchen", co2=812)
        await house.send("cellar", co2=812)
        await house.body("one/floor1/kitchen/state", "co2")
        await house.body("one/cellar/state", "co2")
        await house.body(TOPICS.config("cellar"), "'co2'")
        for _ in range(3):
            await house.send("floor1/kitchen", coPpm=250)
        await house.body("alarms/floor1/kitchen/co-ceiling", "unacknowledged")
        async with aiohttp.ClientSession(f"http://127.0.0.1:{bridge.port}") as page:
            async with page.delete(f"/api/v1/devices/{quote('floor1/kitchen', safe='')}") as answer:
                assert answer.status < 300

        async def is_gone() -> bool:
            return not any("kitchen" in topic for topic in await kept(house.url, "#"))

        await until(is_gone, what="the removal")
        assert TOPICS.config("cellar") in await kept(house.url, "#")


async def test_everything_is_removed_when_the_setting_is_turned_off(house: HouseOnTest) -> None:
    async with house.bridge():
        await house.send("kitchen", co2=812)
        await house.body("one/kitchen/state", "co2")
    async with house.bridge(tells=False):

        async def is_empty() -> bool:
            return not [one for one in await kept(house.url, "#") if one.startswith(("one/", "homeassistant/", "alarms/"))]

        await until(is_empty, what="the removal")


async def test_bridge_that_is_cut_off_is_unavailable_by_its_last_will_and_announced_again(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "broker")
    broker.start()
    house = HouseOnTest(broker.url, tmp_path)
    try:
        async with house.bridge() as bridge:
            await house.send("kitchen", co2=812)
            await house.body("one/kitchen/state", "co2")
            broker.kill()
            await until(lambda: not bridge.health.ready)
            (tmp_path / "broker" / "mosquitto.db").unlink(missing_ok=True)
            broker.start()
            await house.text("one/status", b"online")
            await house.body(TOPICS.config("kitchen"), "'co2'")
            await house.body("one/kitchen/state", "co2")
    finally:
        broker.kill()


# --- timing ------------------------------------------------------------------------------------------------------------------


class Registry:
    """Devices by id."""

    def __init__(self, *devices: Device) -> None:
        self.by_id = {device.id: device for device in devices}

    def __contains__(self, device_id: object) -> bool:
        return device_id in self.by_id

    def get(self, device_id: str) -> Device:
        return self.by_id[device_id]

    def all(self) -> Iterable[Device]:
        return self.by_id.values()


class Rig:
    """Home Assistant's publisher with a broker that takes everything, and a clock."""

    def __init__(self, *devices: Device, memory: MemoryStore | None = None) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.now = 100.0
        self.devices = Registry(*devices)
        self.rules: list[Rule] = profile_rules("home")
        self.retained = RetainedMessages(self._send, memory or MemoryStore())
        self.home = HomeAssistant(
            TOPICS, "1", self.retained, self.devices, lambda: self.rules, every_seconds=10, clock=lambda: self.now
        )

    async def _send(self, topic: str, payload: bytes) -> None:
        self.sent.append((topic, payload))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.retained.load()
        self.home.start(())
        self.retained.on_connected()
        task = asyncio.create_task(self.retained.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait((task,))

    async def published(self, topic: str) -> list[Any]:
        self.home.tick()
        await until(lambda: not self.retained.waiting and not self.retained.sending)
        return [orjson.loads(payload) for one, payload in self.sent if one == topic]

    def read(self, device_id: str, at_ms: int = START_MS, **values: float | bool) -> None:
        self.home.on_event(Reading(ObjectId(), device_id, dict(values), at_ms, at_ms))


async def test_measurements_are_published_at_most_once_in_the_time_of_the_setting() -> None:
    rig = Rig(Device("a"))
    async with rig.running():
        for number in range(100):
            rig.read("a", START_MS + number * 300, co2=800 + number)
            await rig.published("")
            rig.now += 0.3
        states = await rig.published("one/a/state")
        assert [state["co2"] for state in states] == [800, 834, 868, *([899] if rig.now >= 130 else [])]


async def test_older_reading_does_not_replace_a_newer_value() -> None:
    rig = Rig(Device("a"))
    async with rig.running():
        rig.read("a", START_MS, co2=800)
        rig.read("a", START_MS - 1000, co2=700, temperature=20)
        assert await rig.published("one/a/state") == [{"co2": 800, "temperature": 20}]


async def test_value_that_is_no_longer_sent_is_left_out_after_an_hour() -> None:
    rig = Rig(Device("a"))
    async with rig.running():
        rig.read("a", START_MS, co2=800, temperature=20)
        rig.read("a", START_MS + VALUE_MS + 1, co2=801)
        assert await rig.published("one/a/state") == [{"co2": 801}]


async def test_reading_of_a_device_that_is_not_registered_is_not_told() -> None:
    rig = Rig(Device("a"))
    async with rig.running():
        rig.read("b", co2=800)
        rig.home.on_event(DeviceStatus("b", "online", START_MS))
        rig.home.on_event(changed("b"))
        await rig.published("")
        assert not [topic for topic, _ in rig.sent if topic.startswith("one/b/")]


async def test_alarm_turns_its_binary_sensor_on_and_off_at_once() -> None:
    rig = Rig(Device("a"))
    async with rig.running():
        await rig.published("")
        rig.home.on_event(changed("a", "co-dose"))
        (before, raised) = await rig.published("one/a/alarms")
        assert (before, raised["co-dose"]["message"]) == ({}, "Carbon monoxide 212 ppm")
        rig.home.on_event(changed("a", "co-dose", "past", state=AlarmState.NORMAL))
        rig.home.on_event(changed(None, "store-unavailable"))
        assert list((await rig.published("one/alarms"))[-1]) == ["store-unavailable"]
        rig.home.on_event(changed("a", "co-dose", "reset", state=AlarmState.NORMAL))
        assert (await rig.published("one/a/alarms"))[2:] == [{}]


async def test_rule_that_no_longer_applies_is_removed_also_after_a_restart() -> None:
    memory = MemoryStore()
    first = Rig(Device("a"), memory=memory)
    async with first.running():
        first.read("a", co2=800)
        (config,) = (await first.published(TOPICS.config("a")))[-1:]
        assert "device_class" in config["components"]["alarm-co2-danger"]
    second = Rig(Device("a"), memory=memory)
    second.rules = [rule for rule in second.rules if rule.id != "co2-danger"]
    async with second.running():
        (config,) = (await second.published(TOPICS.config("a")))[-1:]
        assert config["components"]["alarm-co2-danger"] == {"platform": "binary_sensor"}
        assert "state_class" in config["components"]["co2"]
        second.rules = profile_rules("home")
        (config,) = (await second.published(TOPICS.config("a")))[-1:]
        assert "device_class" in config["components"]["alarm-co2-danger"]


async def test_change_of_a_device_is_announced_and_no_change_is_not() -> None:
    rig = Rig(Device("a"))
    async with rig.running():
        assert len(await rig.published(TOPICS.config("a"))) == 1
        rig.home.on_event(EntityEvent("sensor", "updated", "a"))
        assert len(await rig.published(TOPICS.config("a"))) == 1
        rig.devices.get("a").name = "Kitchen"
        rig.home.on_event(EntityEvent("sensor", "updated", "a"))
        assert [body["device"]["name"] for body in await rig.published(TOPICS.config("a"))] == ["a", "Kitchen"]
