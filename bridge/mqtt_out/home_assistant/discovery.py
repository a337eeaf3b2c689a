"""Announcements of Home Assistant's MQTT discovery: one message for each device, with all its sensors as components.

The shape `{prefix}/device/{node}/{object}/config` is the one that Home Assistant's documentation recommends since 2024.12.
The node is the bridge's, so that it recognizes its own announcements among those of others.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from bridge.alarms.rules import Rule
from bridge.core.devices.device import Device
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME
from bridge.core.topic import hashed_level
from bridge.mqtt_out.home_assistant.alarms import CONNECTIVITY, binary_sensor
from bridge.mqtt_out.home_assistant.sensors import forecast_sensor, sensor

ONLINE, OFFLINE = b"online", b"offline"
"""Home Assistant's usual payloads of availability."""

_BRIDGE = "bridge"
_ALARM, _FORECAST = "alarm-", "forecast-"
_FORMER, _FORMER_LIMIT = "-", 100
_ORIGIN = "Sensor Bridge"


@dataclass(frozen=True, slots=True)
class HomeAssistantTopics:
    """`prefix` is Home Assistant's, `node` the bridge's level there, `base` the first levels of the states."""

    prefix: str
    node: str
    base: str

    @property
    def bridge_availability(self) -> str:
        """The topic of the bridge's last will."""
        return f"{self.base}/status"

    @property
    def bridge_alarms(self) -> str:
        return f"{self.base}/alarms"

    @property
    def bridge_config(self) -> str:
        return f"{self.prefix}/device/{self.node}/{_BRIDGE}/config"

    def config(self, device_id: str) -> str:
        return f"{self.prefix}/device/{self.node}/{hashed_level(device_id)}/config"

    def availability(self, device_id: str) -> str:
        return f"{self.base}/{device_id}/availability"

    def state(self, device_id: str) -> str:
        return f"{self.base}/{device_id}/state"

    def alarms(self, device_id: str) -> str:
        return f"{self.base}/{device_id}/alarms"

    def forecast(self, device_id: str) -> str:
        return f"{self.base}/{device_id}/forecast"

    def identifier(self, device_id: str | None) -> str:
        return f"{self.node}-{_BRIDGE if device_id is None else hashed_level(device_id)}"


def component_keys(fields: Iterable[str], rules: Iterable[Rule], forecasts: Iterable[str] = ()) -> list[str]:
    """Return the keys of the components of a device. `forecasts` are the fields that have a forecast."""
    return [*fields, *(f"{_FORECAST}{field}" for field in forecasts), *(f"{_ALARM}{rule.id}" for rule in rules)]


def memo_of(before: str, keys: Sequence[str]) -> str:
    """Return what to remember of an announcement with these components, after what was remembered of the last one.

    Keys of former components follow, each after a `-`: Home Assistant may be away when the announcement without them is sent.
    """
    former = [key.removeprefix(_FORMER) for key in before.split()]
    return " ".join([*keys, *(f"{_FORMER}{key}" for key in former if key not in keys)][: len(keys) + _FORMER_LIMIT])


def removed_keys(memo: str) -> list[str]:
    return [key.removeprefix(_FORMER) for key in memo.split() if key.startswith(_FORMER)]


def remembered_fields(memo: str) -> list[str]:
    """Return the fields among the components of an announcement."""
    return [key for key in memo.split() if key in MEASUREMENTS_BY_NAME]


def remembered_forecasts(memo: str) -> list[str]:
    """Return the fields whose forecasts are among the components of an announcement."""
    keys = (key.removeprefix(_FORECAST) for key in memo.split() if key.startswith(_FORECAST))
    return [key for key in keys if key in MEASUREMENTS_BY_NAME]


class Announcer:
    """Composes the announcements."""

    def __init__(self, topics: HomeAssistantTopics, version: str) -> None:
        self._topics = topics
        self._origin = {"name": _ORIGIN, "sw_version": version}

    def device(
        self,
        device: Device,
        fields: Sequence[str],
        rules: Sequence[Rule],
        removed: Iterable[str],
        forecasts: Sequence[str] = (),
    ) -> bytes:
        """Announce a device with its fields, the rules that apply to it, and the fields that have a forecast.

        `removed` are the keys of former components.
        """
        topics, own = self._topics, self._topics.identifier(device.id)
        sensors = {field: {**sensor(field), "unique_id": f"{own}-{field}"} for field in fields}
        topic = topics.forecast(device.id)
        for field in forecasts:
            key = f"{_FORECAST}{field}"
            sensors[key] = {**forecast_sensor(field, topic), "unique_id": f"{own}-{key}"}
        described = {
            "identifiers": [own],
            "name": device.name or device.id,
            "model": device.type,
            "suggested_area": device.room,
            "via_device": topics.identifier(device.part_of),
        }
        return orjson.dumps(
            {
                "device": {key: value for key, value in described.items() if value is not None},
                "origin": self._origin,
                "availability": [{"topic": topics.bridge_availability}, {"topic": topics.availability(device.id)}],
                "availability_mode": "all",
                "state_topic": topics.state(device.id),
                "components": {**_removed(removed), **sensors, **self._alarms(own, rules, topics.alarms(device.id))},
            }
        )

    def bridge(self, rules: Sequence[Rule], removed: Iterable[str]) -> bytes:
        """Announce the bridge itself: whether it is connected, and its own alarms."""
        topics, own = self._topics, self._topics.identifier(None)
        connection = {
            "platform": "binary_sensor",
            "unique_id": f"{own}-connection",
            "name": "Connection",
            "device_class": CONNECTIVITY,
            "entity_category": "diagnostic",
            "state_topic": topics.bridge_availability,
            "payload_on": ONLINE.decode(),
            "payload_off": OFFLINE.decode(),
        }
        return orjson.dumps(
            {
                "device": {"identifiers": [own], "name": _ORIGIN, "sw_version": self._origin["sw_version"]},
                "origin": self._origin,
                "components": {
                    **_removed(removed),
                    "connection": connection,
                    **self._alarms(own, rules, topics.bridge_alarms),
                },
            }
        )

    def _alarms(self, own: str, rules: Iterable[Rule], topic: str) -> dict[str, dict[str, Any]]:
        """The components of rules. They are available while the bridge is: a silent device may have an alarm."""
        available = {"availability": [{"topic": self._topics.bridge_availability}]}
        return {
            f"{_ALARM}{rule.id}": {**binary_sensor(rule, topic), "unique_id": f"{own}-{_ALARM}{rule.id}", **available}
            for rule in rules
        }


def _removed(keys: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return components of nothing but their platform, by which Home Assistant removes them."""
    return {key: {"platform": "binary_sensor" if key.startswith(_ALARM) else "sensor"} for key in keys}
