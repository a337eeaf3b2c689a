"""The measurement table: bounds, flags and aliases of every field; and the public record."""

from __future__ import annotations

import math

import orjson
import pytest
from bson.objectid import ObjectId

from bridge.core.readings.measurements import (
    AQI_SCALES,
    MEASUREMENTS,
    MEASUREMENTS_BY_NAME,
    VALUE_NAMES,
    Flag,
    Measurement,
    Value,
    aqi_scale,
)
from bridge.core.readings.reading import Reading

PPM = (0, 1_000_000)
# Section 1 of the contract, row by row: unit, refuse outside, flag outside (None: nothing is flagged).
CONTRACT: dict[str, tuple[str, tuple[float, float], tuple[float, float] | None]] = {
    "temperature": ("°C", (-90, 200), (-40, 85)),
    "humidity": ("%RH", (-5, 105), (0, 100)),
    "aqi": ("", (0, 999), None),
    "eco2": ("ppm", (0, 65535), (400, 65000)),
    "tvoc": ("ppb", (0, 65535), (0, 65000)),
    "coPpm": ("ppm", PPM, (0, 1000)),
    "ch4Ppm": ("ppm", PPM, PPM),
    "lpgPpm": ("ppm", PPM, PPM),
    "co2": ("ppm", PPM, (300, 10000)),
    "alcohol": ("ppm", PPM, (0, 500)),
    "toluene": ("ppm", PPM, (0, 1000)),
    "acetone": ("ppm", PPM, (0, 5000)),
    "flameDetected": ("", (0, 1), None),
    "flameIntensity": ("", (0, 4095), None),
    "pm1": ("µg/m³", (0, 10000), (0, 1000)),
    "pm25": ("µg/m³", (0, 10000), (0, 1000)),
    "pm10": ("µg/m³", (0, 10000), (0, 1000)),
    "no2": ("ppb", PPM, (0, 20000)),
    "o3": ("ppb", PPM, (0, 20000)),
    "so2": ("ppb", PPM, (0, 20000)),
    "pressure": ("hPa", (100, 1200), (500, 1100)),
    "battery": ("%", (0, 100), None),
    "vocIndex": ("", (0, 1000), (1, 500)),
    "noxIndex": ("", (0, 1000), (1, 500)),
    "hcho": ("ppb", PPM, (0, 20000)),
    "nh3": ("ppm", PPM, (0, 1000)),
    "h2s": ("ppm", PPM, (0, 1000)),
    "h2": ("ppm", PPM, (0, 100_000)),
    "radon": ("Bq/m³", PPM, (0, 10_000)),
    "pm4": ("µg/m³", (0, 10000), (0, 1000)),
    "pm03Count": ("1/dl", (0, 10_000_000), (0, 1_000_000)),
    "illuminance": ("lx", (0, 1_000_000), (0, 200_000)),
    "noise": ("dB", (0, 200), (0, 140)),
    "batteryVoltage": ("V", (0, 100), (0, 60)),
    "rssi": ("dBm", (-200, 50), (-130, 0)),
}
NUMBERS = [name for name in CONTRACT if name != "flameDetected"]
FLAGGED = [name for name in NUMBERS if CONTRACT[name][2] is not None]


def usual(name: str) -> tuple[float, float]:
    bounds = CONTRACT[name][2]
    assert bounds is not None
    return bounds


def range_text(bounds: tuple[float, float]) -> str:
    return f"outside {int(bounds[0])}..{int(bounds[1])}"


def beyond(bounds: tuple[float, float]) -> tuple[float, float]:
    """The nearest floats outside the bounds."""
    return math.nextafter(bounds[0], -math.inf), math.nextafter(bounds[1], math.inf)


def test_table_has_the_fields_and_units_of_the_contract_in_order() -> None:
    assert {one.name: one.unit for one in MEASUREMENTS} == {name: row[0] for name, row in CONTRACT.items()}
    assert [one.name for one in MEASUREMENTS] == list(CONTRACT)
    assert all(one.label for one in MEASUREMENTS)


def test_aqi_scale_follows_aqi() -> None:
    assert [name for name in VALUE_NAMES if name != "aqiScale"] == list(CONTRACT)
    assert VALUE_NAMES.index("aqiScale") == VALUE_NAMES.index("aqi") + 1


@pytest.mark.parametrize("name", NUMBERS)
def test_value_at_a_refusal_bound_is_accepted(name: str) -> None:
    for value in CONTRACT[name][1]:
        accepted, _ = MEASUREMENTS_BY_NAME[name].accept(value)
        assert accepted is not None


@pytest.mark.parametrize("name", NUMBERS)
def test_value_beyond_a_refusal_bound_is_refused_with_the_range(name: str) -> None:
    bounds = CONTRACT[name][1]
    for value in beyond(bounds):
        assert MEASUREMENTS_BY_NAME[name].accept(value) == (None, range_text(bounds))


@pytest.mark.parametrize("name", FLAGGED)
def test_value_at_a_usual_bound_is_not_flagged(name: str) -> None:
    for value in usual(name):
        assert MEASUREMENTS_BY_NAME[name].accept(value) == (value, None)


@pytest.mark.parametrize("name", [name for name in FLAGGED if name != "humidity"])
def test_value_beyond_a_usual_bound_is_accepted_and_flagged(name: str) -> None:
    refused_low, refused_high = CONTRACT[name][1]
    for value in beyond(usual(name)):
        if refused_low <= value <= refused_high:
            assert MEASUREMENTS_BY_NAME[name].accept(value) == (value, range_text(usual(name)))


@pytest.mark.parametrize(("raw", "clamped"), [(-0.1, 0), (-5, 0), (100.1, 100), (105, 100)])
def test_humidity_outside_its_scale_is_clamped_and_flagged(raw: float, clamped: float) -> None:
    value, fault = MEASUREMENTS_BY_NAME["humidity"].accept(raw)
    assert value == clamped
    assert fault is not None
    assert fault.startswith("outside 0..100")


@pytest.mark.parametrize("name", ["aqi", "flameIntensity", "battery"])
def test_field_without_a_usual_range_is_never_flagged(name: str) -> None:
    low, high = CONTRACT[name][1]
    for value in (low, (low + high) / 2, high):
        assert MEASUREMENTS_BY_NAME[name].accept(value) == (value, None)


@pytest.mark.parametrize("name", [name for name in NUMBERS if CONTRACT[name][1][0] <= 0])
def test_zero_is_a_value(name: str) -> None:
    accepted, _ = MEASUREMENTS_BY_NAME[name].accept(0)
    assert accepted == 0
    assert accepted is not None


@pytest.mark.parametrize("raw", [-127, -1000, -273.15, 999.9, 85.5e3])
def test_error_value_of_a_thermometer_is_refused(raw: float) -> None:
    assert MEASUREMENTS_BY_NAME["temperature"].accept(raw) == (None, "outside -90..200")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("21.5", 21.5),
        (" 21 ", 21),
        ("-4", -4),
        ("+4", 4),
        (".5", 0.5),
        ("4.", 4.0),
        ("2e1", 20),
        ("25.0", 25.0),
        ("1.5E1", 15.0),
        ("0", 0),
    ],
)
def test_number_in_a_text_is_accepted(text: str, value: float) -> None:
    assert MEASUREMENTS_BY_NAME["temperature"].accept(text) == (value, None)


@pytest.mark.parametrize(
    "raw",
    [
        *(
            "",
            " ",
            "warm",
            "21,5",
            "0x10",
            "1_0",
            "nan",
            "NaN",
            "inf",
            "-Infinity",
            "1e999",
            "٢١",
            "21 °C",
            "1" * 65,
            "--1",
            ".",
        ),
        *(math.nan, math.inf, -math.inf, True, False, [], [21], {}, {"value": 21}),
    ],
    ids=repr,
)
def test_non_number_is_refused(raw: object) -> None:
    assert MEASUREMENTS_BY_NAME["temperature"].accept(raw) == (None, "not a number")


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        *((True, True), (False, False), (1, True), (0, False), (1.0, True), (0.0, False), ("1", True), ("0", False)),
        *(("ON", True), ("OFF", False), ("on", True), (" Off ", False), ("true", True), ("FALSE", False)),
    ],
    ids=repr,
)
def test_flag_is_accepted_in_every_notation(raw: object, value: bool) -> None:
    accepted, fault = MEASUREMENTS_BY_NAME["flameDetected"].accept(raw)
    assert accepted is value
    assert fault is None


@pytest.mark.parametrize(
    "raw", [2, -1, 0.5, math.nan, math.inf, "high", "", "maybe", [], [True], {}, 10**400], ids=lambda raw: repr(raw)[:9]
)
def test_non_flag_is_refused(raw: object) -> None:
    assert MEASUREMENTS_BY_NAME["flameDetected"].accept(raw) == (None, "not true or false")


def test_names_and_aliases_are_unique() -> None:
    names = [name.lower() for one in MEASUREMENTS for name in (one.name, *one.aliases)]
    assert len(names) == len(set(names))


def test_flame_detected_is_the_only_flag() -> None:
    assert [one.name for one in MEASUREMENTS if isinstance(one, Flag)] == ["flameDetected"]


def test_humidity_is_the_only_clamped_field() -> None:
    assert [one.name for one in MEASUREMENTS if one.clamp] == ["humidity"]


@pytest.mark.parametrize(
    ("aqi", "named", "scale"),
    [
        (0, None, "uba"),
        (1, None, "uba"),
        (5, None, "uba"),
        (5.1, None, "epa"),
        (500, None, "epa"),
        (3, "epa", "epa"),
        (80, "uba", "uba"),
    ],
)
def test_index_uses_its_named_scale_or_the_one_it_fits(aqi: float, named: str | None, scale: str) -> None:
    assert aqi_scale(aqi, named) == scale


def test_index_scales_are_those_of_the_contract() -> None:
    assert dict(AQI_SCALES) == {"uba": (1, 5), "epa": (0, 500)}


def reading(**more: object) -> Reading:
    values: dict[str, Value] = {"temperature": 25.5, "flameDetected": False}
    return Reading(ObjectId(), "a", values, 1_767_000_000_123, 1_767_000_000_456, seq=7, **more)  # type: ignore[arg-type]


def test_public_record_has_id_then_values_then_times() -> None:
    one = reading()
    assert list(one.public().items()) == [
        ("_id", str(one.id)),
        ("temperature", 25.5),
        ("flameDetected", False),
        ("timestamp", "2025-12-29T09:20:00.123Z"),
        ("deviceId", "a"),
        ("receivedAt", "2025-12-29T09:20:00.456Z"),
        ("seq", 7),
    ]


def test_optional_keys_are_omitted_without_a_value() -> None:
    assert not {"quality", "deviceTimestamp", "retained", "extra"} & set(reading().public())
    assert b"null" not in orjson.dumps(reading().public())


def test_optional_keys_are_sent_with_a_value() -> None:
    public = reading(quality={"eco2": "outside 400..65000"}, device_timestamp=0, retained=True, extra={"uptime": 5}).public()
    assert public["quality"] == {"eco2": "outside 400..65000"}
    assert public["deviceTimestamp"] == 0
    assert public["retained"] is True
    assert public["extra"] == {"uptime": 5}


@pytest.mark.parametrize(
    ("name", "doubtful"), [("tvoc", 0.2), ("o3", 0.02), ("hcho", 0.5), ("humidity", 0.43), ("battery", 3.01), ("battery", 0.9)]
)
def test_fraction_that_is_probably_in_another_unit_is_kept_and_flagged(name: str, doubtful: float) -> None:
    value, fault = MEASUREMENTS_BY_NAME[name].accept(doubtful)
    assert value == doubtful
    assert fault is not None
    assert fault.endswith("state its unit")
    assert MEASUREMENTS_BY_NAME[name].accept(1) == (1, None)


def test_range_is_written_without_exponents() -> None:
    one = Measurement("x", "X", "", (0, 1_000_000), (0.5, 20_000))
    assert one.accept(2_000_000) == (None, "outside 0..1000000")
    assert one.accept(0.25) == (0.25, "outside 0.5..20000")
