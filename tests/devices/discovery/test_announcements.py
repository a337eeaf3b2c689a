"""Home Assistant discovery and Zigbee2MQTT's device list, on a running bridge and a real broker."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from bridge.app import Bridge
from bridge.sources.mqtt.client import mqtt_sender
from tests.running import start_bridge
from tests.senders import patient
from tests.servers import until

KITCHEN = {"ids": ["z_1"], "name": "Kitchen sensor", "mdl": "X1", "mf": "Acme", "sa": "Kitchen"}
GARDEN = {"ids": ["z_2"], "name": "Garden sensor"}
STATE = "z/shared"


def sensor(device: Mapping[str, object], key: str, **more: object) -> dict[str, object]:
    return {
        "stat_t": STATE,
        "val_tpl": f"{{{{ value_json.{key} }}}}",
        "dev_cla": "temperature",
        "unit_of_meas": "°C",
        "uniq_id": f"{device['ids']}{key}",
        "dev": device,
        **more,
    }


CONFIGS: dict[str, dict[str, object]] = {
    "homeassistant/sensor/z1/temperature/config": sensor(KITCHEN, "t1"),
    "homeassistant/sensor/z1/fridge_temperature/config": sensor(KITCHEN, "t2", unit_of_meas="°F"),
    "homeassistant/sensor/z1/voc/config": sensor(
        KITCHEN, "voc", dev_cla="volatile_organic_compounds", unit_of_meas="µg/m³", val_tpl="{{ value_json.voc | round(1) }}"
    ),
    "homeassistant/sensor/z2/temperature/config": sensor(GARDEN, "t3"),
}
BODY = {"t1": 21, "t2": 41, "voc": 46.04, "t3": 9, "timestamp": 1_767_000_000}
LATEST = {
    "z_1": {"temperature": 21, "tvoc": 10},
    "z_1.fridge_temperature": {"temperature": 5},
    "z_2": {"temperature": 9},
}


class Broker:
    """Publishes to a broker, and runs bridges on it that keep their session and their store."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self._folder = folder

    async def publish(self, topic: str, body: object, *, retain: bool = False) -> None:
        payload = body if isinstance(body, bytes) else orjson.dumps(body)
        async with mqtt_sender(patient(self.url)) as sender:
            await sender.publish(topic, payload, retain=retain)

    @asynccontextmanager
    async def bridge(self, **mqtt: object) -> AsyncIterator[Client]:
        started = start_bridge(
            self.url, f"sqlite:///{self._folder}/bridge.db", client_id="one", mqtt={"discovery": True, **mqtt}
        )
        async with started as bridge, aiohttp.ClientSession(f"http://127.0.0.1:{bridge.port}") as session:
            yield Client(bridge, session)


class Client:
    def __init__(self, bridge: Bridge, session: aiohttp.ClientSession) -> None:
        self.bridge = bridge
        self._session = session

    async def get(self, path: str) -> Any:
        async with self._session.get(path) as response:
            return await response.json()

    async def latest(self) -> dict[str, dict[str, Any]]:
        return {one["deviceId"]: one for one in (await self.get("/api/v1/readings/latest"))["readings"]}

    async def count(self) -> int:
        return len((await self.get("/api/v1/readings?limit=1000"))["readings"])

    async def stored(self, expected: Mapping[str, Mapping[str, object]]) -> None:
        """Wait until the latest readings have these values."""

        async def there() -> bool:
            latest = await self.latest()
            return all(device in latest and latest[device].items() >= values.items() for device, values in expected.items())

        await until(there, 20, what=f"{expected}")

    async def device(self, device_id: str, **expected: str) -> None:
        """Wait until a device has these attributes: it is known a moment after its reading is stored."""

        async def there() -> bool:
            found: dict[str, object] = await self.get(f"/api/v1/devices/{device_id}")
            return found.items() >= expected.items()

        await until(there, 20, what=f"{expected}")

    async def applied(self, **announced: int) -> None:
        async def there() -> bool:
            found: dict[str, object] = (await self.get("/api/v1/discovery"))["announced"]
            return found.items() >= announced.items()

        await until(there, 20, what=f"{announced}")

    @property
    def account(self) -> dict[str, int]:
        return self.bridge.ledger.account("mqtt").as_dict()


@pytest.fixture
def broker(broker_url: str, tmp_path: Path) -> Broker:
    return Broker(broker_url, tmp_path)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::5], ids=str)
async def test_two_devices_of_one_topic_are_right_in_any_order_of_arrival_and_after_a_restart(
    broker: Broker, order: tuple[int, ...]
) -> None:
    configs = list(CONFIGS.items())
    async with broker.bridge() as one:
        await broker.publish(STATE, BODY, retain=True)  # before any announcement
        for index in order:
            await broker.publish(*configs[index], retain=True)
        await one.stored(LATEST)
        assert (await one.latest()).keys() == LATEST.keys()
        assert one.account["rejected"] == 0
    await broker.publish(STATE, BODY | {"t1": 22, "timestamp": 1_767_000_060})  # waits in the session at the broker
    async with broker.bridge() as one:
        await one.stored(LATEST | {"z_1": {"temperature": 22, "tvoc": 10}})
        assert one.account["rejected"] == 0
        assert await one.count() == 6


async def test_message_that_waited_for_the_bridge_is_read_although_nobody_announces_its_sensors_any_more(
    broker: Broker,
) -> None:
    for topic, config in CONFIGS.items():
        await broker.publish(topic, config, retain=True)
    async with broker.bridge() as one:
        await one.applied(topics=1, sensors=4)

        async def is_subscribed() -> bool:  # the broker has made it part of the session
            await broker.publish(STATE, BODY | {"t1": 20, "timestamp": 1_766_999_940})
            return "z_1" in await one.latest()

        await until(is_subscribed, 20, "the subscription")
    for topic in CONFIGS:
        await broker.publish(topic, b"", retain=True)
    await broker.publish(STATE, BODY)
    async with broker.bridge() as one:
        await one.stored(LATEST)


async def test_name_model_and_area_become_attributes_unless_a_person_set_them(broker: Broker) -> None:
    async with broker.bridge() as one:
        for topic, config in CONFIGS.items():
            await broker.publish(topic, config, retain=True)
        await broker.publish(STATE, BODY, retain=True)
        await one.stored(LATEST)
        await one.device("z_1", name="Kitchen sensor", type="Acme X1", room="Kitchen")
        await one.device("z_1.fridge_temperature", name="Kitchen sensor fridge_temperature")
        async with one._session.patch("/api/v1/devices/z_1", json={"name": "Mine"}) as response:
            assert response.status == 200
    async with broker.bridge() as one:
        assert (await one.get("/api/v1/devices/z_1"))["name"] == "Mine"


async def test_removed_announcement_ends_its_subscription_and_a_new_one_begins_without_a_restart(broker: Broker) -> None:
    async with broker.bridge() as one:
        config = "homeassistant/sensor/a/co2/config"
        body = {
            "state_topic": "a/co2",
            "device_class": "carbon_dioxide",
            "unit_of_measurement": "ppm",
            "device": {"identifiers": "a"},
        }
        await broker.publish(config, body, retain=True)
        await broker.publish("a/co2", b"650", retain=False)

        async def repeated(topic: str, payload: bytes) -> bool:
            await broker.publish(topic, payload)
            return "a" in await one.latest()

        await until(lambda: repeated("a/co2", b"650"))
        await broker.publish(config, b"", retain=True)
        await broker.publish(
            "homeassistant/sensor/b/co2/config", body | {"state_topic": "b/co2", "device": {"ids": "b"}}, retain=True
        )

        async def other() -> bool:
            await broker.publish("b/co2", b"700")
            return "b" in await one.latest()

        await until(other)
        await broker.publish("b/co2", b"702")
        await one.stored({"b": {"co2": 702}})  # after all that were sent before
        before = one.account["received"]
        await broker.publish("a/co2", b"651")
        await broker.publish("b/co2", b"701")
        await one.stored({"b": {"co2": 701}})
        assert one.account["received"] == before + 1
        assert one.account["rejected"] == 0


async def test_device_announcement_with_components_is_taken(broker: Broker) -> None:
    body = {
        "dev": {"ids": "ea334450945afc", "name": "Kitchen", "mf": "Bla", "mdl": "xya"},
        "o": {"name": "bla2mqtt"},
        "stat_t": "bla/state",
        "cmps": {
            "t": {
                "p": "sensor",
                "dev_cla": "temperature",
                "unit_of_meas": "°C",
                "val_tpl": "{{ value_json.t }}",
                "uniq_id": "t",
            },
            "h": {"p": "sensor", "dev_cla": "humidity", "unit_of_meas": "%", "val_tpl": "{{ value_json.h }}", "uniq_id": "h"},
            "gone": {"p": "sensor"},
            "led": {"p": "light", "cmd_t": "x"},
        },
    }
    await broker.publish("homeassistant/device/ea33/config", body, retain=True)
    await broker.publish("bla/state", {"t": 21.5, "h": 40, "timestamp": 1_767_000_000}, retain=True)
    async with broker.bridge() as one:
        await one.stored({"ea334450945afc": {"temperature": 21.5, "humidity": 40}})
        assert await one.count() == 1


async def test_topic_of_a_subscription_is_left_to_the_subscription(broker: Broker) -> None:
    topic, config = "sensors/kitchen/data", sensor(KITCHEN, "temperature")
    await broker.publish("homeassistant/sensor/z1/t/config", config | {"stat_t": topic}, retain=True)
    async with broker.bridge() as one:
        await one.applied(sensors=1)
        await broker.publish(topic, {"temperature": 21})
        await one.stored({"kitchen": {"temperature": 21}})
        assert (await one.latest()).keys() == {"kitchen"}


async def test_without_the_setting_nothing_is_taken_in(broker: Broker) -> None:
    for topic, config in CONFIGS.items():
        await broker.publish(topic, config, retain=True)
    await broker.publish(STATE, BODY, retain=True)
    async with broker.bridge(discovery=False) as one:
        await broker.publish("sensors/a/data", {"temperature": 1})
        await one.stored({"a": {"temperature": 1}})
        assert (await one.latest()).keys() == {"a"}


async def test_thousand_announcements_apply_within_seconds(broker: Broker) -> None:
    async with mqtt_sender(patient(broker.url)) as sender:
        for number in range(1000):
            config = sensor({"ids": f"d{number}"}, "t", stat_t=f"d/{number}")
            await sender.publish(f"homeassistant/sensor/d{number}/t/config", orjson.dumps(config), retain=True)
            await sender.publish(f"d/{number}", orjson.dumps({"t": 20, "timestamp": 1_767_000_000}), retain=True)
    async with broker.bridge() as one:

        async def all_there() -> bool:
            return len(await one.latest()) == 1000

        await until(all_there, 30)
        assert one.account["rejected"] == 0


# --- Zigbee2MQTT -----------------------------------------------------------------------------------------------------


def listed(name: str, **units: str) -> dict[str, object]:
    exposes = [{"type": "numeric", "property": key, "unit": unit, "access": 1} for key, unit in units.items()]
    return {"friendly_name": name, "definition": {"vendor": "Acme", "model": "AQ1", "exposes": exposes}}


ZIGBEE = {"subscriptions": [{"pattern": "home/z2m/{deviceId...}", "format": "zigbee2mqtt"}], "discovery": False}


async def test_units_of_the_device_list_are_used_from_the_first_message_on_and_after_a_restart(broker: Broker) -> None:
    devices = [listed("floor1/air", voc="µg/m³", temperature="°F"), listed("cellar", voc="ppb", pressure="kPa")]
    await broker.publish("home/z2m/bridge/devices", devices, retain=True)
    body = {"voc": 460, "temperature": 68, "pressure": 101.3, "linkquality": 3}
    async with broker.bridge(**ZIGBEE) as one:

        async def converted() -> bool:
            await broker.publish("home/z2m/floor1/air", body)
            air = (await one.latest()).get("floor1/air", {})
            return (air.get("tvoc"), air.get("temperature")) == (100, 20)

        await until(converted)
        await broker.publish("home/z2m/cellar", body)
        await one.stored({"cellar": {"tvoc": 460, "pressure": 1013}, "floor1/air": {"temperature": 20}})
        await one.device("cellar", type="Acme AQ1")
    await broker.publish("home/z2m/bridge/devices", b"", retain=True)
    await broker.publish("home/z2m/floor1/air", body | {"voc": 920})
    async with broker.bridge(**ZIGBEE) as one:
        await one.stored({"floor1/air": {"tvoc": 200}})


async def test_list_of_a_subscription_that_is_added_later_is_read(broker: Broker) -> None:
    await broker.publish("z2m/bridge/devices", [listed("air", voc="mg/m³")], retain=True)
    async with broker.bridge(discovery=False) as one:
        async with one._session.post(
            "/api/v1/subscriptions", json={"pattern": "z2m/{deviceId}", "format": "zigbee2mqtt"}
        ) as added:
            assert added.status == 201

        async def converted() -> bool:
            await broker.publish("z2m/air", {"voc": 0.46, "linkquality": 1})
            return (await one.latest()).get("air", {}).get("tvoc") == 100

        await until(converted)
