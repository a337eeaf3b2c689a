"""Each kind of fault in what sensors send, by its example: a value is stored with its meaning, or refused with the reason."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from bridge.core.decode import Decoder
from bridge.core.devices.profile_document import profile_from_document, profile_to_document
from bridge.core.devices.profiles import Profiles
from bridge.core.formats.registry import FormatName
from bridge.core.message import Decoded, Message
from bridge.core.timestamp import iso
from bridge.settings import SubscriptionSettings
from tests.core.test_decode import NullOrigin

NOW_MS = 1_795_860_000_000
HOUR_MS = 3_600_000


class Door:
    """A decoder with subscriptions; it collects what the messages become."""

    def __init__(self, **subscriptions: dict[str, Any]) -> None:
        """Subscriptions by pattern, `/` for `__`."""
        routes = [
            SubscriptionSettings(pattern=pattern.replace("__", "/"), **more).route for pattern, more in subscriptions.items()
        ]
        self._routes = routes
        self.profiles = Profiles()
        self.decoded: list[Decoded] = []
        self.start()

    def start(self) -> None:
        self._decoder = Decoder(self._routes, profiles=self.profiles)

    def send(self, topic: str, body: object, at_ms: int = NOW_MS) -> list[Any]:
        """Decode a message; return its readings."""
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        decoded = self._decoder.decode(Message("mqtt", topic, payload, at_ms, NullOrigin()))
        self.decoded.append(decoded)
        return list(getattr(decoded, "readings", [decoded] if hasattr(decoded, "values") else []))


def tasmota(**more: Any) -> Door:
    return Door(**{"tele__{deviceId}__SENSOR": {"format": "tasmota", **more}})


def plain() -> Door:
    return Door(**{"sensors__{deviceId}__data": {}})


def local(offset_hours: float, at_ms: int = NOW_MS) -> str:
    return iso(at_ms + round(offset_hours * HOUR_MS))[:19]


# --- K1: local time without a zone -----------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [-7, 1, 5.5])
def test_clock_in_local_time_is_stored_at_its_moment(offset: float) -> None:
    door = tasmota()
    for n in range(3):
        at = NOW_MS + n * 10_000
        (one,) = door.send(
            "tele/cold/SENSOR", {"Time": local(offset, at), "AM2301": {"Temperature": 20 + n, "Humidity": 50}}, at
        )
        assert one.timestamp_ms == at
        assert one.device_timestamp is None


def test_value_repeated_in_the_hour_that_comes_twice_is_no_duplicate() -> None:
    door = tasmota(timezone="Europe/Berlin")
    first, second = 1_792_888_200_000, 1_792_891_800_000  # 2026-10-25T00:30Z and T01:30Z: 02:30 in Berlin, twice
    ids = {
        door.send("tele/cold/SENSOR", {"Time": "2026-10-25T02:30:00", "AM2301": {"Temperature": 20}}, at)[0].id
        for at in (first, second)
    }
    assert len(ids) == 2


# --- K2: two measured things in one series -----------------------------------------------------------------------------


def test_two_probes_are_two_series() -> None:
    found = tasmota().send("tele/cold/SENSOR", {"DS18B20-1": {"Temperature": 44.3}, "DS18B20-2": {"Temperature": 2.4}})
    assert {one.device_id: one.values["temperature"] for one in found} == {"cold.DS18B20-1": 44.3, "cold.DS18B20-2": 2.4}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_probe_keeps_its_series_when_another_fails_whatever_comes_first(order: tuple[int, ...]) -> None:
    a, b = {"Id": "0A", "Temperature": 44.3}, {"Id": "0B", "Temperature": 2.4}
    messages: list[dict[str, object]] = [
        {"DS18B20-1": a, "DS18B20-2": b},
        {"DS18B20": b},
        {"DS18B20-1": a, "DS18B20-2": {"Id": "0B", "Temperature": None}},
    ]
    door = tasmota()
    series: dict[float, set[str]] = {}
    for index in order:
        for one in door.send("tele/cold/SENSOR", messages[index]):
            series.setdefault(one.values["temperature"], set()).add(one.device_id)
    assert all(len(names) == 1 for names in series.values())
    assert series[44.3] != series[2.4]


def restarted(door: Door) -> None:
    """Restart the decoder of a door with what was stored of its profiles."""
    stored = {name: profile_to_document(one) for name, one in door.profiles if name in door.profiles.changed}
    door.profiles = Profiles()
    for name, document in stored.items():
        door.profiles.put(name, profile_from_document(orjson.loads(orjson.dumps(document))))
    door.start()


def temperatures(door: Door, topic: str, *bodies: dict[str, object]) -> dict[float, str]:
    return {one.values["temperature"]: one.device_id for body in bodies for one in door.send(topic, body)}


ONE_VALUE = {"temperature": 21.5, "timestamp": NOW_MS}


@pytest.mark.parametrize("key", ["sensorId", "deviceId", "device_id", "SensorID"])
@pytest.mark.parametrize(
    "where", [{}, {"firmware": "1.2"}, {"in": {"humidity": 40}}], ids=["plain", "unknown key", "interpreted"]
)
def test_one_id_below_the_topic_of_a_device_is_the_device(key: str, where: dict[str, object]) -> None:
    for stated in ("room", "esp-1", 7):
        door = plain()
        for _ in range(3):
            found = door.send("sensors/room/data", {key: stated, **ONE_VALUE, **where})
            assert "room" in {one.device_id for one in found if "temperature" in one.values}
            assert not any("deviceId" in one.quality for one in found)


def test_second_id_below_the_topic_of_a_device_makes_each_a_part_and_is_said_once() -> None:
    door = plain()
    series = [door.send("sensors/gateway/data", {"sensorId": sensor, **ONE_VALUE})[0] for sensor in ("a", "b", "a", "b", "c")]
    assert [one.device_id for one in series] == ["gateway", "gateway.b", "gateway.a", "gateway.b", "gateway.c"]
    assert {one.sender for one in series} == {"gateway"}
    assert [one.quality for one in series] == [
        {},
        {"deviceId": "a second device on the topic of one: each is a part now"},
        {},
        {},
        {},
    ]
    assert all("sensorId" not in one.ignored for one in series)


@pytest.mark.parametrize("order", [("gateway", "b"), ("b", "gateway")])
def test_id_of_the_topic_is_the_device_beside_another_id(order: tuple[str, ...]) -> None:
    door = plain()
    for sensor in order:
        door.send("sensors/gateway/data", {"sensorId": sensor, **ONE_VALUE})
    found = {sensor: door.send("sensors/gateway/data", {"sensorId": sensor, **ONE_VALUE})[0].device_id for sensor in order}
    assert found == {"gateway": "gateway", "b": "gateway.b"}
    assert door.send("sensors/gateway/data", ONE_VALUE)[0].device_id == "gateway"


@pytest.mark.parametrize("first", ["a", "b", "c"])
def test_ids_below_the_topic_of_a_device_keep_their_series_after_a_restart(first: str) -> None:
    door = plain()
    for sensor in ("a", "b"):
        door.send("sensors/gateway/data", {"sensorId": sensor, **ONE_VALUE})
    restarted(door)
    for sensor in (first, "a", "b", "c"):
        assert door.send("sensors/gateway/data", {"sensorId": sensor, **ONE_VALUE})[0].device_id == f"gateway.{sensor}"


def test_first_id_is_remembered_over_a_restart() -> None:
    door = plain()
    assert door.send("sensors/gateway/data", {"sensorId": "a", **ONE_VALUE})[0].device_id == "gateway"
    restarted(door)
    assert door.send("sensors/gateway/data", {"sensorId": "b", **ONE_VALUE})[0].device_id == "gateway.b"


def test_ids_of_a_list_are_the_same_parts_in_messages_of_their_own() -> None:
    door = plain()
    door.send("sensors/gateway/data", [{"sensorId": "a", "temperature": 20}, {"sensorId": "b", "temperature": 30}])
    assert temperatures(
        door, "sensors/gateway/data", {"sensorId": "b", "temperature": 31}, {"sensorId": "a", "temperature": 21}
    ) == {31: "gateway.b", 21: "gateway.a"}


@pytest.mark.parametrize("stated", [None, "", True, 1.5, [], {}])
def test_value_that_is_no_id_makes_no_part(stated: object) -> None:
    door = plain()
    for body in ({"sensorId": "a", **ONE_VALUE}, {"sensorId": stated, **ONE_VALUE}):
        assert door.send("sensors/gateway/data", body)[0].device_id == "gateway"


def test_message_without_a_measurement_makes_no_parts() -> None:
    door = plain()
    for body in ({"sensorId": "a", **ONE_VALUE}, {"sensorId": "b", "temperature": "broken"}, {"sensorId": "b", "up": 1}):
        door.send("sensors/gateway/data", body)
    assert door.send("sensors/gateway/data", {"sensorId": "a", **ONE_VALUE})[0].device_id == "gateway"


def test_chip_of_another_device_never_shares_the_series_of_the_device() -> None:
    door = plain()
    bodies: list[dict[str, object]] = [
        {"sensorId": sensor, "BME280": {"temperature": value}} for sensor, value in (("gateway", 1), ("b", 2), ("c", 3))
    ]
    for _ in range(2):
        found = temperatures(door, "sensors/gateway/data", *bodies)
    assert found == {1: "gateway", 2: "gateway.b.BME280", 3: "gateway.c.BME280"}


def test_sensors_of_one_node_are_kept_apart() -> None:
    door = Door(**{"{deviceId}__sensor__{object}__state": {"format": "esphome"}})
    found = {
        name: door.send(f"node/sensor/{name}/state", value.encode())[0]
        for name, value in {"room_temperature": "21", "fridge_temperature": "4", "room_humidity": "50", "co2": "600"}.items()
    }
    assert found["room_temperature"].device_id == found["room_humidity"].device_id
    assert len({one.device_id for one in found.values()}) == 3
    assert found["co2"].device_id == "node"


# --- K3: units ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "field", "value"),
    [
        ({"temperature": 70.5, "unit": "F"}, "temperature", 21.3888888889),
        ({"o3": "0.02 ppm"}, "o3", 20),
        ({"battery": "3.01 V"}, "batteryVoltage", 3.01),
        ({"TVOC": 0.2, "tvoc_unit": "mg/m³"}, "tvoc", 43.4782608696),
    ],
)
def test_stated_unit_is_obeyed(body: object, field: str, value: float) -> None:
    (one,) = plain().send("sensors/a/data", body)
    assert one.values == {field: pytest.approx(value)}


@pytest.mark.parametrize("body", [{"battery": 3.01}, {"o3": 0.02}, {"TVOC": 0.2}])
def test_implausible_value_under_an_assumed_unit_is_flagged(body: dict[str, object]) -> None:
    (one,) = plain().send("sensors/a/data", body)
    assert len(one.quality) == 1


DEV = "sensors/a/data"
CHIRPSTACK = {"deviceInfo": {"devEui": "a"}}
TTN = {"end_device_ids": {"device_id": "a"}}
METRIC = {"name": "air", "tags": {}, "timestamp": 1795860000}
NOT_CELSIUS = [
    (FormatName.JSON, DEV, {"temperature": 70.7, "fahrenheit": True}),
    (FormatName.JSON, DEV, {"temperature": 70.7, "fahrenheit": True, "firmware": "1.2"}),
    (FormatName.THINGSBOARD, DEV, {"ts": NOW_MS, "values": {"temperature": 70.7, "unit_system": "imperial"}}),
    (FormatName.THINGSBOARD, DEV, {"temperature": 70.7, "scale": "F"}),
    (FormatName.CHIRPSTACK, DEV, CHIRPSTACK | {"object": {"temperature": 70.7, "scale": "F"}}),
    (FormatName.TTN, DEV, TTN | {"uplink_message": {"decoded_payload": {"temperature": 70.7, "imperial": True}}}),
    (FormatName.TELEGRAF, DEV, METRIC | {"fields": {"temperature": 70.7, "fahrenheit": True}}),
    (FormatName.TELEGRAF, DEV, METRIC | {"tags": {"unit": "F"}, "fields": {"temperature": 70.7}}),
    (FormatName.INFLUX, DEV, b"temperature,unit=F value=70.7 1795860000000000000"),
    (FormatName.INFLUX, DEV, b"air temperature=70.7,fahrenheit=true 1795860000000000000"),
]


@pytest.mark.parametrize("own", [True, False], ids=["own format", "auto"])
@pytest.mark.parametrize(("name", "topic", "body"), NOT_CELSIUS)
def test_scale_of_temperatures_is_obeyed_in_every_format_that_reads_plain_names(
    name: FormatName, topic: str, body: object, own: bool
) -> None:
    door = Door(**{"sensors__{deviceId}__data": {"format": name if own else "auto"}})
    (one,) = door.send(topic, body)
    assert (one.values, one.quality) == ({"temperature": 21.5}, {})


def test_unit_on_the_display_of_a_zigbee_device_is_not_that_of_its_messages() -> None:
    door = Door(**{"zigbee2mqtt__{deviceId}": {}})
    (one,) = door.send("zigbee2mqtt/a", {"temperature": 21.5, "linkquality": 80, "temperature_unit": "fahrenheit"})
    assert one.values == {"temperature": 21.5}
    assert one.ignored["temperature_unit"] == "a setting of the device's display: Zigbee2MQTT sends °C"


def test_raw_illuminance_is_no_lux_beside_the_value_in_lux() -> None:
    door = Door(**{"zigbee2mqtt__{deviceId}": {"format": "zigbee2mqtt"}})
    (one,) = door.send("zigbee2mqtt/a", {"illuminance": 16991, "illuminance_lux": 50, "linkquality": 80})
    assert one.values == {"illuminance": 50}
    assert one.ignored["illuminance"] == "a raw value, not in lux"


@pytest.mark.parametrize(("chip", "flagged"), [("DS18B20", True), ("AM2301", False)])
def test_power_on_value_of_a_probe_is_flagged(chip: str, flagged: bool) -> None:
    (one,) = tasmota().send("tele/cold/SENSOR", {chip: {"Temperature": 85.0}})
    assert one.values == {"temperature": 85}
    assert ("temperature" in one.quality) is flagged


# --- K4: the best guess hides what it drops ---------------------------------------------------------------------------


def test_payload_of_a_family_is_taken_whole_and_the_rest_is_named() -> None:
    body = {
        "rco2": 612,
        "pm02": 3,
        "pm10": 4,
        "atmp": 22.9,
        "rhum": 43,
        "tvocIndex": 100,
        "serialno": "84fce612f5b8",
        "boot": 6,
    }
    (one,) = plain().send("sensors/a/data", body)
    assert one.values == {"temperature": 22.9, "humidity": 43, "co2": 612, "pm25": 3, "pm10": 4, "vocIndex": 100}
    assert "boot" in one.ignored


def test_key_is_taken_by_sense_and_never_by_its_ending() -> None:
    (one,) = plain().send("sensors/a/data", {"temperature": 20, "batt_co2": 3, "battery.V": 3.01})
    assert "co2" not in one.values
    assert "battery" not in one.values
    assert "batt_co2" in one.ignored


# --- K5: several readings in one message -------------------------------------------------------------------------------


def test_list_of_readings_by_mqtt_gives_all_of_them() -> None:
    found = plain().send("sensors/a/data", [{"temperature": n, "timestamp": NOW_MS - n * 1000} for n in range(3)])
    assert [one.values["temperature"] for one in found] == [0, 1, 2]


@pytest.mark.parametrize("missing", [None, "SDS_P1", "BME280_temperature"])
def test_items_are_chosen_by_key_when_a_sensor_fails(missing: str | None) -> None:
    values = {
        "SDS_P1": "9.1",
        "SDS_P2": "4.2",
        "BME280_temperature": "21.5",
        "BME280_humidity": "43",
        "BME280_pressure": "100120",
    }
    values = {name: value for name, value in values.items() if name != missing}
    body = {"sensordatavalues": [{"value_type": name, "value": value} for name, value in values.items()], "esp8266id": "1"}
    (one,) = plain().send("sensors/a/data", body)
    assert one.values.get("humidity") == 43
    assert one.values.get("temperature") == (None if missing == "BME280_temperature" else 21.5)
    assert one.values.get("pm10") == (None if missing == "SDS_P1" else 9.1)


# --- K6: the device's own time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {"ts": NOW_MS - 60_000, "values": {"temperature": 20}},
        {"time": iso(NOW_MS - 60_000), "temperature": 20},
        {"datetime": iso(NOW_MS - 60_000).replace("-", "/").replace("T", " "), "temperature": 20},
        {"timestamp": (NOW_MS - 60_000) * 1000, "temperature": 20},
        {"timestamp": (NOW_MS - 60_000) * 1_000_000, "temperature": 20},
    ],
)
def test_time_of_the_device_is_taken(body: object) -> None:
    (one,) = plain().send("sensors/a/data", body)
    assert one.timestamp_ms == NOW_MS - 60_000


@pytest.mark.parametrize(
    "body",
    [
        {"date": "2026-11-28", "time": "09:59:00", "temperature": 20},
        {"time": "09:59", "date": "28.11.2026", "temperature": 20},
        {"date": "2026-11-28", "time": "10:59:00+01:00", "temperature": 20},
        {"date": "2026-11-28", "ts": 1_795_859_940, "temperature": 20},
        {"timestamp": "2026-11-28 09:59:00 UTC", "temperature": 20},
    ],
)
def test_date_and_time_of_day_are_one_moment(body: dict[str, object]) -> None:
    (one,) = plain().send("sensors/a/data", body)
    assert (one.timestamp_ms, one.quality) == (1_795_859_940_000, {})


@pytest.mark.parametrize("key", ["date", "timestamp", "time"])
def test_date_without_a_time_of_day_is_no_time_and_teaches_no_zone(key: str) -> None:
    door = plain()
    (one,) = door.send("sensors/a/data", {key: "2026-11-28", "temperature": 20})
    assert (one.timestamp_ms, one.device_timestamp) == (NOW_MS, "2026-11-28")
    assert one.quality == {"timestamp": "a date without a time of day"}
    (one,) = door.send("sensors/a/data", {"time": local(0), "temperature": 21})
    assert (one.timestamp_ms, one.quality) == (NOW_MS, {})


# --- K8, K13, K14: topics, dirt, and what is no reading ----------------------------------------------------------------


def test_id_over_several_levels_and_in_any_script_is_taken() -> None:
    door = Door(**{"zigbee2mqtt__{deviceId...}": {"format": "zigbee2mqtt"}})
    (one,) = door.send("zigbee2mqtt/floor1/кухня/air", {"temperature": 20, "linkquality": 90})
    assert one.device_id == "floor1/кухня/air"


@pytest.mark.parametrize(
    "payload",
    [
        b'{"temperature": 21.5}\0',
        b'{"temperature": "21,5"}',
        '{"temperature": "21.5 °C"}'.encode(),
        json.dumps('{"temperature": 21.5}').encode(),
    ],
)
def test_small_dirt_with_one_sensible_meaning_is_read(payload: bytes) -> None:
    (one,) = plain().send("sensors/a/data", payload)
    assert one.values == {"temperature": 21.5}


def test_binary_payload_is_refused_by_its_name() -> None:
    door = Door(**{"sensors__{deviceId}__data": {"format": "json"}})
    door.send("sensors/a/data", bytes.fromhex("a16474656d7015"))  # CBOR: {"temp": 21}
    assert "looks like CBOR: use format cbor" in door.decoded[0].reason  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("pattern", "family", "topic", "payload"),
    [
        ("zigbee2mqtt/{deviceId}", "zigbee2mqtt", "zigbee2mqtt/lamp", b'{"state": "ON", "brightness": 254, "linkquality": 90}'),
        ("{deviceId}/sensor/{object}/state", "esphome", "node/sensor/room_temperature/state", b"nan"),
        (
            "tele/{deviceId}/STATE",
            "tasmota",
            "tele/a/STATE",
            b'{"Time": "2026-11-28T10:00:00", "Wifi": {"RSSI": 90}, "Uptime": 5}',
        ),
    ],
)
def test_message_that_is_no_reading_is_ignored_and_not_quarantined(
    pattern: str, family: str, topic: str, payload: bytes
) -> None:
    door = Door(**{pattern.replace("/", "__"): {"format": family}})
    assert door.send(topic, payload) == []
    assert type(door.decoded[0]).__name__ == "Ignored"
