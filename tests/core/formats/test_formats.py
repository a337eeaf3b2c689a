"""Payload formats: each shape becomes a reading by the one decoder, and no bytes in any format ever raise."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.core.decode import Decoder, Route
from bridge.core.errors import FormatError
from bridge.core.formats.field_names import match_field
from bridge.core.formats.mapping import FieldPath, scale_value
from bridge.core.formats.registry import FormatName, make_format
from bridge.core.message import Decoded, Rejection, RejectionReason, StaleRetained
from bridge.core.readings.reading import Reading
from bridge.core.topic import TopicPattern
from tests.core.test_decode import JSON, NOW_MS, OBJECTS, OWN, OWN_MS, assert_readable, assert_well_formed, message

PATHS = {"temperature": FieldPath.parse("t.0.val", 0.1, -40), "co2": FieldPath.parse("gas.co2")}
TOPICS = {
    FormatName.JSON: "sensors/a/data",
    FormatName.SCALAR: "sensors/a/temperature",
    FormatName.TASMOTA: "tele/a/SENSOR",
    FormatName.ESPHOME: "a/sensor/room_temperature/state",
    FormatName.ZIGBEE2MQTT: "zigbee2mqtt/a",
    FormatName.MAPPING: "sensors/a/data",
}


def route(name: FormatName, pattern: str | None = None, fields: dict[str, FieldPath] | None = None) -> Route:
    parsed = TopicPattern.parse(pattern or name.spec.usual_pattern)
    if name is FormatName.MAPPING and fields is None:
        fields = PATHS
    return Route(parsed, format=make_format(name, parsed, fields))


def decode(name: FormatName, body: object, topic: str | None = None, **more: Any) -> Decoded:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    retained = more.pop("retained", False)
    return Decoder([route(name, **more)]).decode(message(payload, topic or TOPICS[name], retained=retained))


def reading(name: FormatName, body: object, topic: str | None = None, **more: Any) -> Reading:
    decoded = decode(name, body, topic, **more)
    assert isinstance(decoded, Reading), decoded
    return decoded


def rejection(name: FormatName, body: object, topic: str | None = None, **more: Any) -> Rejection:
    decoded = decode(name, body, topic, **more)
    assert isinstance(decoded, Rejection), decoded
    assert_readable(decoded.reason)
    return decoded


# --- scalar ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "payload", "values"),
    [
        ("temperature", b"21.5", {"temperature": 21.5}),
        ("temp", b" 21 \n", {"temperature": 21}),
        ("PM2.5", b'"8.5"', {"pm25": 8.5}),
        ("pm1_0", b"+3", {"pm1": 3}),
        ("tvoc", b"0", {"tvoc": 0}),
        ("flameDetected", b"ON", {"flameDetected": True}),
        ("flame_detected", b"off", {"flameDetected": False}),
        ("flameDetected", b"true", {"flameDetected": True}),
        ("flameDetected", b"0", {"flameDetected": False}),
    ],
)
def test_a_scalar_is_the_field_that_its_topic_names(level: str, payload: bytes, values: dict[str, object]) -> None:
    one = reading(FormatName.SCALAR, payload, f"sensors/a/{level}")
    assert (one.device_id, one.values, one.quality) == ("a", values, {})
    assert one.timestamp_ms == NOW_MS


def test_an_unusual_scalar_is_kept_and_named() -> None:
    assert reading(FormatName.SCALAR, b"399", "sensors/a/eco2").quality == {"eco2": "outside 400..65000"}


@pytest.mark.parametrize(
    ("level", "payload", "code", "reason"),
    [
        ("temperature", b"nan", RejectionReason.NO_MEASUREMENT, "temperature is not a number"),
        ("temperature", b"NaN", RejectionReason.NO_MEASUREMENT, "temperature is not a number"),
        ("temperature", b"ON", RejectionReason.NO_MEASUREMENT, "temperature is not a number"),
        ("temperature", b"true", RejectionReason.NO_MEASUREMENT, "temperature is not a number"),
        ("temperature", b"-127", RejectionReason.NO_MEASUREMENT, "outside -90..200"),
        ("temperature", b"", RejectionReason.NO_MEASUREMENT, "the payload is empty"),
        ("temperature", b"null", RejectionReason.NO_MEASUREMENT, "the payload is null"),
        ("temperature", b'{"value": 1}', RejectionReason.NOT_SCALAR, "not one value but an object"),
        ("temperature", b"[1]", RejectionReason.NOT_SCALAR, "not one value but a list"),
        ("temperature", b"\xff\xfe", RejectionReason.NO_MEASUREMENT, "not a number"),
        ("uptime", b"12", RejectionReason.NO_MEASUREMENT, "unknown key 'uptime'"),
        ("temperature", b"1" * 70_000, RejectionReason.TOO_LARGE, "more than the 65536 allowed"),
    ],
)
def test_what_is_no_scalar_is_rejected(level: str, payload: bytes, code: RejectionReason, reason: str) -> None:
    one = rejection(FormatName.SCALAR, payload, f"sensors/a/{level}")
    assert one.code is code
    assert reason in one.reason


def test_a_retained_scalar_is_no_new_reading() -> None:
    assert decode(FormatName.SCALAR, b"21.5", retained=True) == StaleRetained()


# --- esphome ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("object_id", "field"),
    [
        ("temperature", "temperature"),
        ("living_room_temperature", "temperature"),
        ("bme280-humidity", "humidity"),
        ("pm_2_5", "pm25"),
        ("pm_2_5m_concentration", "pm25"),
        ("pm__2_5__m_weight_concentration", "pm25"),
        ("pm_1_0m_concentration", "pm1"),
        ("pm_10_0um_concentration", "pm10"),
        ("pm10", "pm10"),
        ("co2_value", "co2"),
        ("scd41_co2_ppm", "co2"),
        ("carbon_dioxide", "co2"),
        ("bme680_co2_equivalent", "eco2"),
        ("ens160_eco2", "eco2"),
        ("tvoc_ppb", "tvoc"),
        ("mq7_carbon_monoxide", "coPpm"),
        ("air_quality_index", "aqi"),
        ("battery_level", "battery"),
        ("temperature_2", "temperature"),
        ("kitchen_flame", "flameDetected"),
        ("flame_intensity", "flameIntensity"),
        ("CarbonDioxide", "co2"),
        ("roomTemperature", "temperature"),
        ("eCO2", "eco2"),
    ],
)
def test_a_longer_name_means_the_field_that_it_ends_in(object_id: str, field: str) -> None:
    assert match_field(object_id) == field


@pytest.mark.parametrize(
    "object_id",
    [
        "", "battery_voltage", "absolute_humidity", "dew_point_temperature", "temperature_f", "tvoc_ppm", "pm_4_0", "pm_0_3",
        "pm_2_5_number_concentration", "wifi_signal", "cpu_temperature", "sea_level_pressure", "temperature_offset", "x" * 500,
    ],
)  # fmt: skip
def test_another_quantity_or_unit_means_nothing(object_id: str) -> None:
    assert match_field(object_id) is None


def test_an_esphome_sensor_makes_a_reading_of_its_one_field() -> None:
    one = reading(FormatName.ESPHOME, b"21.5", "node-1/sensor/living_room_temperature/state")
    assert (one.device_id, one.values) == ("node-1", {"temperature": 21.5})


def test_a_binary_sensor_of_esphome_is_a_flag() -> None:
    pattern = "{deviceId}/binary_sensor/{object}/state"
    one = reading(FormatName.ESPHOME, b"ON", "node/binary_sensor/flame/state", pattern=pattern)
    assert one.values == {"flameDetected": True}


def test_nan_of_esphome_is_a_bad_field() -> None:
    assert rejection(FormatName.ESPHOME, b"nan").field == "temperature"


def test_an_object_id_that_names_no_field_is_said() -> None:
    assert "'wifi_signal'" in rejection(FormatName.ESPHOME, b"-60", "node/sensor/wifi_signal/state").reason


# --- tasmota ---------------------------------------------------------------------------------------------------------

SENSOR: dict[str, object] = {
    "Time": "2025-12-29T09:19:59",
    "Switch1": "ON",
    "AM2301": {"Temperature": 21.5, "Humidity": 40.1, "DewPoint": 7.4},
    "ENS160": {"AQI": 2, "TVOC": 120, "eCO2": 640},
    "MHZ19B": {"Model": "B", "CarbonDioxide": 645, "Temperature": 33.0},
    "SDS0X1": {"PM2.5": 3.1, "PM10": 4.2},
    "BME280": {"Temperature": 21.9, "Pressure": 1001.2, "SeaPressure": 1013.1},
    "SGP30": {"aHumidity": 9.8},
    "ESP32": {"Temperature": 53.3},
    "PressureUnit": "hPa",
    "TempUnit": "C",
}


def test_the_sensors_of_a_tasmota_device_are_one_reading() -> None:
    one = reading(FormatName.TASMOTA, SENSOR)
    assert one.values == {
        "temperature": 21.5, "humidity": 40.1, "aqi": 2, "eco2": 640, "tvoc": 120, "co2": 645, "pm25": 3.1, "pm10": 4.2,
        "pressure": 1001.2,
    }  # fmt: skip
    assert (one.device_id, one.quality) == ("a", {})


def test_tasmotas_time_without_a_zone_is_utc() -> None:
    assert reading(FormatName.TASMOTA, SENSOR).timestamp_ms == OWN_MS - 500
    with_zone = {**SENSOR, "Time": "2025-12-29T10:19:59+01:00"}
    assert reading(FormatName.TASMOTA, with_zone).timestamp_ms == OWN_MS - 500


def test_what_tasmota_says_besides_is_unknown_by_sensor_and_key() -> None:
    decoder = Decoder([route(FormatName.TASMOTA)])
    decoder.decode(message(json.dumps(SENSOR).encode(), "tele/a/SENSOR"))
    unknown = {key for _, key in decoder.unknown_keys}
    assert {"'Switch1'", "'AM2301.DewPoint'", "'MHZ19B.Temperature'", "'BME280.Temperature'", "'ESP32.Temperature'"} <= unknown
    assert not any("Unit" in key for key in unknown)


@pytest.mark.parametrize(
    ("body", "values"),
    [
        ({"AM2301": {"Temperature": 71.6}, "TempUnit": "F"}, {"temperature": 22.0}),
        ({"AM2301": {"Temperature": -40}, "TempUnit": "F"}, {"temperature": -40.0}),
        ({"BMP280": {"Pressure": 750}, "PressureUnit": "mmHg"}, {"pressure": 999.9179025}),
        ({"BMP280": {"Pressure": 30}, "PressureUnit": "inHg"}, {"pressure": 1015.916601}),
        ({"BMP280": {"Pressure": 1000}, "PressureUnit": ["hPa"]}, {"pressure": 1000}),
        ({"SI7021": {"Temperature": None, "Humidity": None}, "BME280": {"Temperature": 20}}, {"temperature": 20}),
    ],
)
def test_tasmotas_units_are_converted(body: dict[str, object], values: dict[str, object]) -> None:
    assert reading(FormatName.TASMOTA, body).values == values


def test_a_state_without_a_measurement_is_rejected_as_such() -> None:
    state = {"Time": "2025-12-29T09:19:59", "Uptime": "0T00:10:15", "Wifi": {"RSSI": 100}}
    one = rejection(FormatName.TASMOTA, state, "tele/a/STATE", pattern="tele/{deviceId}/STATE")
    assert one.code is RejectionReason.NO_MEASUREMENT


# --- zigbee2mqtt -----------------------------------------------------------------------------------------------------


def test_a_zigbee_device_makes_a_reading() -> None:
    body = {
        "temperature": 21.5, "humidity": 40, "pressure": 1001, "co2": 645, "voc": 120, "pm25": 3, "battery": 97,
        "linkquality": 120, "voltage": 3000, "smoke": False, "gas": True, "carbon_monoxide": False, "last_seen": OWN_MS,
    }  # fmt: skip
    one = reading(FormatName.ZIGBEE2MQTT, body, "zigbee2mqtt/0x00158d0001a2b3c4")
    assert one.values == {
        "temperature": 21.5, "humidity": 40, "tvoc": 120, "co2": 645, "pm25": 3, "pressure": 1001, "battery": 97,
    }  # fmt: skip
    assert (one.device_id, one.timestamp_ms, one.quality) == ("0x00158d0001a2b3c4", OWN_MS, {})


@pytest.mark.parametrize("last_seen", [OWN, OWN_MS, "2025-12-29T10:19:59.500+01:00"])
def test_last_seen_is_the_time_of_the_reading(last_seen: object) -> None:
    assert reading(FormatName.ZIGBEE2MQTT, {"temperature": 1, "last_seen": last_seen}).timestamp_ms == OWN_MS


def test_a_friendly_name_that_is_no_device_id_is_said() -> None:
    one = rejection(FormatName.ZIGBEE2MQTT, {"temperature": 1}, "zigbee2mqtt/Living Room")
    assert one.code is RejectionReason.NO_DEVICE_ID
    assert "the topic is 'Living Room'" in one.reason


# --- mapping ---------------------------------------------------------------------------------------------------------


def test_each_field_of_a_mapping_has_its_path_scale_and_offset() -> None:
    one = reading(FormatName.MAPPING, {"t": [{"val": 613}], "gas": {"co2": 645}, "temperature": 5})
    assert one.values == {"temperature": 21.3, "co2": 645}
    assert type(one.values["co2"]) is int


def test_device_and_time_have_paths_too() -> None:
    fields = {name: FieldPath.parse(path) for name, path in {"co2": "0.v", "deviceId": "1.id", "timestamp": "1.at"}.items()}
    one = reading(FormatName.MAPPING, [{"v": 645}, {"id": "b", "at": OWN}], "up", pattern="up", fields=fields)
    assert (one.device_id, one.timestamp_ms, one.values) == ("b", OWN_MS, {"co2": 645})


def test_a_path_that_finds_nothing_leaves_its_field_out() -> None:
    assert reading(FormatName.MAPPING, {"t": [], "gas": {"co2": 645}}).values == {"co2": 645}


@pytest.mark.parametrize("body", [{}, [], {"t": {"0": None}}, {"gas": {"co2": None}}, {"gas": 5}])
def test_a_mapping_that_finds_nothing_says_where_it_looked(body: object) -> None:
    one = rejection(FormatName.MAPPING, body)
    assert one.code is RejectionReason.NO_MEASUREMENT
    assert one.reason == "no measurement: no value at 't.0.val', 'gas.co2'"


@pytest.mark.parametrize(
    ("body", "code"), [(b"21.5", RejectionReason.NOT_OBJECT), (b"x", RejectionReason.NOT_JSON), (b"", RejectionReason.NOT_JSON)]
)
def test_a_mapping_needs_an_object_or_a_list(body: bytes, code: RejectionReason) -> None:
    assert rejection(FormatName.MAPPING, body).code is code


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("a", ("a",)),
        ("a.b.0.c", ("a", "b", "0", "c")),
        ("a\\.b.c", ("a.b", "c")),
        ("a\\\\.b", ("a\\", "b")),
        ("Air Pressure.ä", ("Air Pressure", "ä")),
    ],
)
def test_a_path_is_steps_between_dots(text: str, steps: tuple[str, ...]) -> None:
    assert FieldPath.parse(text).steps == steps


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a..b", "a\\", "a\\b", "x" * 257])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(FormatError, match="is not a path") as caught:
        FieldPath.parse(text)
    assert_readable(str(caught.value))


@pytest.mark.parametrize(
    ("raw", "converted"),
    [(213, 21.3), (3, 0.3), ("215", 21.5), (-0.0, 0.0), ("x", "x"), (True, True), (None, None), ([1], [1])],
)
def test_only_numbers_are_converted_and_without_noise(raw: object, converted: object) -> None:
    assert scale_value(raw, 0.1) == converted


# --- what does not fit -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "pattern", "fields", "said"),
    [
        (FormatName.SCALAR, "sensors/{deviceId}/x", {}, "needs a level {field}"),
        (FormatName.SCALAR, "sensors/{field}", {}, "needs a level {deviceId}"),
        (FormatName.ESPHOME, "{deviceId}/sensor/+/state", {}, "needs a level {object}"),
        (FormatName.TASMOTA, "tele/+/SENSOR", {}, "needs a level {deviceId}"),
        (FormatName.ZIGBEE2MQTT, "zigbee2mqtt/+", {}, "needs a level {deviceId}"),
        (FormatName.JSON, "a/{deviceId}", {"co2": "x"}, "`fields` are for format mapping"),
        (FormatName.MAPPING, "a/{deviceId}", {}, "needs `fields`"),
        (FormatName.MAPPING, "a/{deviceId}", {"timestamp": "x"}, "needs `fields`"),
        (FormatName.MAPPING, "a/b", {"co2": "x"}, "the path of `deviceId`"),
        (FormatName.MAPPING, "a/{deviceId}", {"co2": "x", "co3": "y"}, "fields.co3 is not a field"),
    ],
)
def test_a_format_that_does_not_fit_says_why(name: FormatName, pattern: str, fields: dict[str, str], said: str) -> None:
    with pytest.raises(FormatError) as caught:
        make_format(name, TopicPattern.parse(pattern), {field: FieldPath.parse(path) for field, path in fields.items()})
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("field", "scale", "offset"),
    [("flameDetected", 2, 0), ("timestamp", 1000, 0), ("deviceId", 1, 1), ("co2", 0, 0), ("co2", float("nan"), 0)],
)
def test_a_scale_that_makes_no_sense_is_refused(field: str, scale: float, offset: float) -> None:
    fields = {"temperature": FieldPath.parse("t"), field: FieldPath.parse("x", scale, offset)}
    with pytest.raises(FormatError, match=f"fields.{field}"):
        make_format(FormatName.MAPPING, TopicPattern.parse("a/{deviceId}"), fields)


def test_all_that_does_not_fit_is_said_at_once() -> None:
    with pytest.raises(FormatError) as caught:
        make_format(FormatName.SCALAR, TopicPattern.parse("a"), {"co2": FieldPath.parse("x")})
    assert str(caught.value).count(";") == 2


# --- whatever comes --------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(list(FormatName))
LEVELS = st.one_of(st.sampled_from(["temperature", "flameDetected", "values", "deviceId", "aqiScale", "room_co2"]), st.text())
SENSORS = st.dictionaries(
    st.sampled_from(["Time", "TempUnit", "PressureUnit", "AM2301", "ESP32", "", "-", "t", "gas", "last_seen", "voc"]),
    st.one_of(
        st.sampled_from(["F", "inHg", OWN, OWN_MS]),
        st.dictionaries(st.sampled_from(["Temperature", "Pressure", "eCO2", "temp", "co2"]), JSON, max_size=4),
        st.lists(st.dictionaries(st.just("val"), JSON), max_size=2),
        JSON,
    ),
    max_size=6,
)


def topic_of(name: FormatName, level: str) -> str:
    return TOPICS[name].replace("room_temperature", level).replace("a/temperature", f"a/{level}")


@given(NAMES, LEVELS, st.one_of(st.binary(max_size=200), st.text(max_size=30).map(str.encode)), st.booleans())
@example(FormatName.SCALAR, "temperature", b"[" * 60_000, False)
@example(FormatName.SCALAR, "temperature", b"1" * 5000, False)
@example(FormatName.MAPPING, "", b'{"t": [{"val": 1%s}]}' % (b"0" * 400), False)
@example(FormatName.MAPPING, "", b'{"t": %s%s}' % (b"[" * 1000, b"]" * 1000), False)
def test_any_bytes_mean_something_in_every_format(name: FormatName, level: str, payload: bytes, retained: bool) -> None:
    assert_well_formed(Decoder([route(name)]).decode(message(payload, topic_of(name, level), retained=retained)))


@given(NAMES, LEVELS, st.one_of(JSON, OBJECTS, SENSORS))
def test_any_json_means_something_in_every_format(name: FormatName, level: str, body: object) -> None:
    payload = json.dumps(body).encode()
    assert_well_formed(Decoder([route(name)]).decode(message(payload, topic_of(name, level))))


@given(st.text())
def test_any_path_is_read_or_refused(text: str) -> None:
    try:
        path = FieldPath.parse(text)
    except FormatError:
        return
    assert path.find({path.steps[0]: None}) is None


@given(st.text(max_size=140))
def test_any_name_means_a_field_or_nothing(name: str) -> None:
    match_field(name)
