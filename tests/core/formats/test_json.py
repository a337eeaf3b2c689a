"""Format json: what is taken by its sense, in its unit, and what is named as not taken."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.core.decode import Decoder, Route
from bridge.core.devices.profiles import DeviceProfile, Profiles
from bridge.core.formats.flat import extract_flat
from bridge.core.formats.format import Sample
from bridge.core.formats.json import read_json
from bridge.core.formats.leaves import walk
from bridge.core.formats.registry import auto_format
from bridge.core.message import Decoded, ReadingBatch, Rejection
from bridge.core.payload import PayloadError
from bridge.core.readings.extraction import extract_leaves
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME
from bridge.core.readings.reading import Reading
from bridge.core.topic import TopicPattern
from tests.core.test_decode import NOW_MS, OWN, OWN_MS, message

ROUTE = Route(TopicPattern.parse("sensors/{deviceId}/data"), format=auto_format)


def decode(body: object, decoder: Decoder | None = None) -> Decoded:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return (decoder or Decoder([ROUTE])).decode(message(payload))


def readings(body: object, decoder: Decoder | None = None) -> dict[str, dict[str, Any]]:
    """Return the values by series."""
    decoded = decode(body, decoder)
    assert isinstance(decoded, Reading | ReadingBatch), decoded
    every = [decoded] if isinstance(decoded, Reading) else decoded.readings
    return {one.device_id: dict(one.values) for one in every}


def reading(body: object) -> Reading:
    decoded = decode(body)
    assert isinstance(decoded, Reading), decoded
    return decoded


# --- units -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "values"),
    [
        ({"temperature": 70.5, "unit": "F"}, {"temperature": 21.3888888889}),
        ({"temperature": 70.5, "humidity": 40, "unit": "°F"}, {"temperature": 21.3888888889, "humidity": 40}),
        ({"temperature": 70.5, "temperature_unit": "Fahrenheit"}, {"temperature": 21.3888888889}),
        ({"temperature": 70.5, "tempUnit": "F"}, {"temperature": 21.3888888889}),
        ({"temperature": 294.15, "units": {"temperature": "K"}}, {"temperature": 21}),
        ({"temp_f": 70.5}, {"temperature": 21.3888888889}),
        ({"temperatureC": 21.5}, {"temperature": 21.5}),
        ({"temperature": "21.5 °C"}, {"temperature": 21.5}),
        ({"temperature": "70.5°F"}, {"temperature": 21.3888888889}),
        ({"temperature": "21,5"}, {"temperature": 21.5}),
        ({"temperature": {"value": 70.5, "unit": "°F"}}, {"temperature": 21.3888888889}),
        ({"pressure_pa": 101325}, {"pressure": 1013.25}),
        ({"pressure": 101.325, "pressure_unit": "kPa"}, {"pressure": 1013.25}),
        ({"battery": 3.01, "unit": "V"}, {"batteryVoltage": 3.01}),
        ({"battery": "3010 mV"}, {"batteryVoltage": 3.01}),
        ({"battery_voltage": 3.01}, {"batteryVoltage": 3.01}),
        ({"battery": {"value": 0.5, "unit": "/"}}, {"battery": 50}),
        ({"o3": 0.02, "unit": "ppm"}, {"o3": 20}),
        ({"o3": 0.02, "o3_unit": "ppm"}, {"o3": 20}),
        ({"tvoc": 0.46, "unit": "mg/m³"}, {"tvoc": 100}),
        ({"TVOC": "460 µg/m3"}, {"tvoc": 100}),
        ({"pm25_mg_m3": 0.012}, {"pm25": 12}),
        ({"co2": "0.0645 %"}, {"co2": 645}),
        ({"radon": 2, "unit": "pCi/L"}, {"radon": 74}),
        ({"temperature": "21,5 °\u0421"}, {"temperature": 21.5}),
        ({"pressure": "750 мм рт. ст."}, {"pressure": 999.9179025}),
        ({"values": {"temperature": 70.5, "unit": "F"}}, {"temperature": 21.3888888889}),
        ({"unit": "F", "values": {"temperature": 70.5, "humidity": 40}}, {"temperature": 21.3888888889, "humidity": 40}),
        ({"units": {"temperature": "F"}, "data": {"temperature": 70.5}}, {"temperature": 21.3888888889}),
        ({"tempUnit": "F", "readings": [{"name": "temperature", "value": 70.5}]}, {"temperature": 21.3888888889}),
        ({"status": {"temperature": 70.5}, "status_units": {"temperature": "°F"}}, {"temperature": 21.3888888889}),
        ({"temperature": 70.5, "humidity": 40, "units": "imperial"}, {"temperature": 21.3888888889, "humidity": 40}),
        ({"temperature": 21, "units": "metric"}, {"temperature": 21}),
    ],
)  # fmt: skip
def test_stated_unit_is_obeyed_wherever_it_stands(body: object, values: dict[str, object]) -> None:
    one = reading(body)
    assert one.values == values
    assert one.quality == {}
    assert one.ignored == {}


FAHRENHEIT: list[dict[str, object]] = [
    {"fahrenheit": True}, {"fahrenheit": 1}, {"fahrenheit": "true"}, {"isFahrenheit": True}, {"use_fahrenheit": "ON"},
    {"temp_in_fahrenheit": True}, {"celsius": False, "fahrenheit": True}, {"isF": True}, {"imperial": True},
    {"imperial_units": True}, {"usUnits": 1}, {"scale": "F"}, {"scale": "fahrenheit"}, {"tempScale": "F"},
    {"temperature_scale": "°F"}, {"degrees": "F"}, {"temp_format": "F"}, {"unit_system": "imperial"}, {"unitSystem": "US"},
    {"units": "us"}, {"units": "English"}, {"measurement_system": "us_customary"}, {"system": "imperial"},
    {"temp_mode": "Fahrenheit"}, {"tempType": "degrees Fahrenheit"}, {"unit": "F"}, {"temperature_unit": "fahrenheit"},
]  # fmt: skip
CELSIUS: list[dict[str, object]] = [
    {"fahrenheit": False}, {"celsius": True}, {"celsius": "yes"}, {"metric": True}, {"imperial": 0}, {"scale": "C"},
    {"unit_system": "metric"}, {"unit_system": "SI"}, {"usUnits": 0}, {"isF": False},
]  # fmt: skip
NOT_KNOWN: list[tuple[dict[str, object], str]] = [
    ({"celsius": False}, "not celsius"), ({"metric": "false"}, "not metric"), ({"unit_system": "nautical"}, "nautical"),
    ({"temp_scale": "R"}, "R"), ({"fahrenheit": True, "kelvin": True}, "F and K"),
    ({"unit": "C", "fahrenheit": True}, "C and F"),
    ({"temperature_unit": "R"}, "R"),
]  # fmt: skip
NO_SCALE: list[dict[str, object]] = [
    {"fahrenheit": 70.7}, {"scale": 10}, {"scale": "us"}, {"display_unit": 5}, {"display": "fahrenheit"}, {"usec": 0},
    {"name": "Fahrenheit"}, {"mode": "F"}, {"standard": "us"}, {"scale": "kitchen"}, {"metric": "temperature"},
]  # fmt: skip


def places(body: dict[str, object], temperature: float) -> list[object]:
    """The places that a statement may have beside or above a temperature."""
    return [
        body | {"temperature": temperature},
        {"temperature": temperature, "humidity": 40} | body,
        body | {"values": {"temperature": temperature}},
        {"data": {"temperature": temperature} | body},
        {"temperature": {"value": temperature} | body},
        [body | {"temperature": temperature}],
        body | {"readings": [{"name": "temperature", "value": temperature}]},
    ]


@pytest.mark.parametrize(
    ("statement", "stored"), [(one, 21.5) for one in FAHRENHEIT] + [(one, 70.7) for one in CELSIUS], ids=str
)
def test_scale_that_is_stated_in_any_way_is_obeyed(statement: dict[str, object], stored: float) -> None:
    for body in places(statement, 70.7):
        one = reading(body)
        assert (one.values["temperature"], one.quality, one.ignored) == (stored, {}, {}), body


@pytest.mark.parametrize(("statement", "unit"), NOT_KNOWN, ids=str)
def test_temperature_of_a_scale_that_is_not_clear_is_refused_with_the_reason(statement: dict[str, object], unit: str) -> None:
    for body in (
        {"temperature": 70.7, "humidity": 40} | statement,
        statement | {"values": {"temperature": 70.7, "humidity": 40}},
    ):
        one = reading(body)
        assert (one.values, one.ignored) == ({"humidity": 40}, {}), body
        assert one.quality == {"temperature": f"in unit '{unit}', not one of °C, °F, K"}, body


@pytest.mark.parametrize("statement", NO_SCALE, ids=str)
def test_key_that_states_no_scale_changes_no_temperature(statement: dict[str, object]) -> None:
    one = reading({"temperature": 21.5} | statement)
    assert one.values == {"temperature": 21.5}
    assert set(one.ignored) == set(statement)


@pytest.mark.parametrize(
    ("body", "field", "fault"),
    [
        ({"temperature": 530, "unit": "Rankine", "humidity": 40}, None, None),
        ({"temperature": "530 Rankine", "humidity": 40}, "temperature", "in unit 'Rankine', not one of °C, °F, K"),
        ({"temperature": "20 ppm", "humidity": 40}, "temperature", "in unit 'ppm', not one of °C, °F, K"),
        ({"temperature": "1,234", "humidity": 40}, "temperature", "not a number"),
    ],
)
def test_number_in_an_unknown_unit_is_refused(body: object, field: str | None, fault: str | None) -> None:
    one = reading(body)
    if field is None:
        assert one.ignored == {"unit": "unknown key"}
    else:
        assert field not in one.values
        assert one.quality == {field: fault}


@pytest.mark.parametrize(
    ("body", "flagged"),
    [
        ({"battery": 3.01}, "battery"), ({"o3": 0.02}, "o3"), ({"TVOC": 0.2}, "tvoc"), ({"humidity": 0.45}, "humidity"),
        ({"hcho": 0.03}, "hcho"), ({"battery": 0.9}, "battery"),
    ],
)  # fmt: skip
def test_implausible_value_under_the_assumed_unit_is_flagged(body: object, flagged: str) -> None:
    one = reading(body)
    assert list(one.quality) == [flagged]
    assert "state its unit" in one.quality[flagged]


@pytest.mark.parametrize("body", [{"battery": 3}, {"battery": 0}, {"o3": 0}, {"tvoc": 1}, {"humidity": 1}, {"o3": 41.5}])
def test_plausible_small_value_is_not_flagged(body: object) -> None:
    assert reading(body).quality == {}


def test_unit_set_for_the_device_is_used_where_none_is_stated() -> None:
    profiles = Profiles()
    profiles.put("a", DeviceProfile(units={"tvoc": "mg/m³", "temperature": "°F"}))
    decoder = Decoder([ROUTE], profiles=profiles)
    assert readings({"tvoc": 0.46, "temperature": 70.5}, decoder) == {"a": {"temperature": 21.3888888889, "tvoc": 100}}
    assert readings({"tvoc": "100 ppb", "humidity": 40}, decoder) == {"a": {"humidity": 40, "tvoc": 100}}


# --- sense -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "series"),
    [
        ({"bme280_temperature": 21, "scd41_co2": 600}, {"a": {"temperature": 21, "co2": 600}}),
        ({"bme280_temperature": 21, "scd41_temperature": 24}, {"a": {"temperature": 21}, "a.scd41": {"temperature": 24}}),
        ({"room_temperature": 21, "fridge_temperature": 4}, {"a.fridge": {"temperature": 4}, "a.room": {"temperature": 21}}),
        ({"temperature": 21, "outdoor_temperature": 4}, {"a": {"temperature": 21}, "a.outdoor": {"temperature": 4}}),
        ({"in": {"temperature": 21, "humidity": 40}, "out": {"temperature": 4}},
         {"a.in": {"temperature": 21, "humidity": 40}, "a.out": {"temperature": 4}}),
        ({"data": {"temperature": 21}, "co2": 600}, {"a": {"temperature": 21, "co2": 600}}),
        ([{"name": "temperature", "value": 21}, {"name": "co2", "value": 600}], {"a": {"temperature": 21, "co2": 600}}),
        ({"sensors": [{"type": "temperature", "value": 70, "unit": "F"}]}, {"a": {"temperature": 21.1111111111}}),
        ({"temp1": 5, "hum1": 40, "temp2": 6}, {"a.1": {"temperature": 5, "humidity": 40}, "a.2": {"temperature": 6}}),
        ({"Time": "2026-11-28T10:00:00", "temperature": 20, "data": {"humidity": 40}},
         {"a": {"temperature": 20, "humidity": 40}}),
        ([{"sensorId": "1", "temperature": 20}, {"sensorId": "2", "temperature": 5}],
         {"a.1": {"temperature": 20}, "a.2": {"temperature": 5}}),
        ({"sensorId": "1", "temperature": 20, "outdoor": {"temperature": 5}},
         {"a": {"temperature": 20}, "a.outdoor": {"temperature": 5}}),
        ({"unit": "F", "in": {"temperature": 50}, "out": {"temperature": 41, "unit": "C"}},
         {"a.in": {"temperature": 10}, "a.out": {"temperature": 41}}),
        ({"units": "F", "probes": [{"id": "A1", "temperature": 50}, {"id": "B2", "temperature": 41}]},
         {"a.A1": {"temperature": 10}, "a.B2": {"temperature": 5}}),
        ({"indoor_unit": {"temperature": 21}, "outdoor_unit": {"temperature": 4}},
         {"a.indoor_unit": {"temperature": 21}, "a.outdoor_unit": {"temperature": 4}}),
        ({"probes": [{"id": "A1", "temperature": 5}, {"id": "B2", "temperature": 6}]},
         {"a.A1": {"temperature": 5}, "a.B2": {"temperature": 6}}),
    ],
)  # fmt: skip
def test_each_measured_thing_is_a_series_of_its_own(body: object, series: dict[str, object]) -> None:
    assert readings(body) == series


@pytest.mark.parametrize(
    "key",
    [
        "batt_co2", "cpu_temperature", "dew_point_temperature", "target_temperature", "xyz_temperature", "absolute_humidity",
        "co2_alarm",
    ],
)  # fmt: skip
def test_key_of_another_quantity_is_not_taken_by_its_ending(key: str) -> None:
    one = reading({"temperature": 20, key: 21})
    assert one.values == {"temperature": 20}
    assert one.ignored == {key: "unknown key"}
    assert one.extra == {key: 21}


@pytest.mark.parametrize("key", ["pm25_aqi", "pm_2_5_aqi", "aqi_pm25", "pm10_aqi", "o3_aqi"])
def test_index_of_one_pollutant_is_not_taken_as_the_index_of_the_air(key: str) -> None:
    one = reading({key: 61, "co2": 600})
    assert one.values == {"co2": 600}
    assert one.ignored.keys() == {key}


def test_gases_are_taken_by_their_long_names() -> None:
    body = {"ozone": 31, "nitrogen_dioxide": 12, "sulphur_dioxide": 4}
    assert reading(body).values == {"no2": 12, "o3": 31, "so2": 4}
    assert reading({"sulfur_dioxide": 4}).values == {"so2": 4}


@pytest.mark.parametrize(
    "body",
    [
        {"ts": OWN_MS, "values": {"temperature": 20}},
        {"time": OWN, "temperature": 20},
        {"datetime": "2025/12/29 09:19:59.5Z", "temperature": 20},
        {"ts": OWN_MS * 1000, "temperature": 20},
        {"timestamp": OWN_MS * 1_000_000, "temperature": 20},
        {"epoch": OWN_MS / 1000, "temperature": 20},
        json.dumps(json.dumps({"temperature": 20, "time": OWN})).encode(),
        json.dumps({"temperature": 20, "time": OWN}).encode() + b"\0",
    ],
)
def test_time_of_the_device_is_taken_by_each_of_its_usual_names(body: object) -> None:
    one = reading(body)
    assert (one.timestamp_ms, one.quality, one.ignored) == (OWN_MS, {}, {})


def test_second_time_is_named_as_not_taken() -> None:
    one = reading({"temperature": 20, "timestamp": OWN, "ts": NOW_MS})
    assert one.timestamp_ms == OWN_MS
    assert one.ignored == {"ts": "timestamp is already taken from another key"}


def test_items_of_a_list_are_readings_with_one_rejection_for_the_others() -> None:
    decoded = decode([{"temperature": 20, "time": OWN}, {"temperature": 21, "ts": NOW_MS}, {"temperature": 999}, {"foo": 1}])
    assert isinstance(decoded, ReadingBatch)
    assert [one.timestamp_ms for one in decoded.readings] == [OWN_MS, NOW_MS]
    (rejection,) = decoded.rejections
    assert rejection.reason == "1 of 3 readings: no valid measurement: temperature is outside -90..200"


def test_rejected_batch_that_is_repeated_gives_the_same_records() -> None:
    decoder = Decoder([ROUTE])
    first = decode([{"temperature": 20}, {"temperature": 21}, {"temperature": "x"}], decoder)
    assert isinstance(first, ReadingBatch)
    (rejection,) = first.rejections
    again = message(rejection.message.payload)
    again.id = rejection.id
    second = decoder.decode(again)
    assert isinstance(second, ReadingBatch)
    assert [one.id for one in second.readings] == [one.id for one in first.readings]


# --- nothing silent --------------------------------------------------------------------------------------------------

KEYS = st.one_of(
    st.sampled_from(
        [*MEASUREMENTS_BY_NAME, "temp", "unit", "ts", "time", "deviceId", "values", "data", "sensors", "battery_v", "temp_f",
         "scale", "fahrenheit"]
    ),
    st.text(min_size=1, max_size=12),
)  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=12),
    st.sampled_from(["F", "21.5 °C", "ppm", "imperial"]),
)  # fmt: skip
BODIES = st.dictionaries(
    KEYS,
    st.one_of(
        SCALARS,
        st.dictionaries(KEYS, SCALARS, max_size=8),
        st.lists(SCALARS, max_size=4),
        st.lists(st.dictionaries(KEYS, SCALARS, max_size=4), max_size=4),
    ),
    max_size=200,
)


@settings(max_examples=400)
@given(BODIES)
def test_every_key_is_either_taken_or_named_as_not_taken(body: dict[str, object]) -> None:
    parsed = read_json(body)
    fields = [extract_leaves(parsed.common), *(extract_leaves(sample.leaves) for sample in parsed.samples)]
    named = Counter(path for one in fields for path in (*one.taken, *one.ignored))
    leaves = Counter(path for path, _ in walk(body)) if body else Counter()
    assert named == leaves


@settings(max_examples=200)
@given(BODIES)
def test_decoded_reading_names_all_keys_that_it_does_not_take(body: dict[str, object]) -> None:
    decoded = decode(body)
    if isinstance(decoded, Rejection):
        return
    every = [decoded] if isinstance(decoded, Reading) else decoded.readings if isinstance(decoded, ReadingBatch) else []
    paths = {path for path, _ in walk(body)}
    for one in every:
        assert set(one.ignored) <= paths
        assert set(one.extra) <= set(one.ignored)
        assert len(one.extra) <= 32


@pytest.mark.parametrize("body", [[], [1, 2], "x", 5, None, True, [{"a": 1}, 2]])
def test_value_without_keys_is_no_reading(body: object) -> None:
    with pytest.raises(PayloadError):
        read_json(body)


@settings(max_examples=400)
@given(st.dictionaries(KEYS, SCALARS | st.dictionaries(KEYS, SCALARS, max_size=8), max_size=20))
@example({"values": {}, "temperature": 21.5})
def test_fast_path_gives_what_interpreting_every_key_gives(body: dict[str, object]) -> None:
    flat = extract_flat(body)
    if flat is None:
        return
    parsed = read_json(body)
    [sample] = parsed.samples or [Sample([])]
    fields = extract_leaves([*sample.leaves, *parsed.common])
    assert (flat.values, flat.quality) == (fields.values, fields.quality)
    assert (flat.timestamp, flat.device_id) == (fields.timestamp, fields.device_id)
    assert (flat.ignored.keys(), flat.extra) == (fields.ignored.keys(), fields.extra)
    assert list(flat.values) == list(fields.values)


@pytest.mark.parametrize("key", ["room", "salle", "note"])
def test_scale_that_is_spelled_out_is_obeyed_under_any_key_among_the_values(key: str) -> None:
    assert extract_flat({"temperature": 70.5, "values": {key: "Fahrenheit", "co2": 500}}) is None
