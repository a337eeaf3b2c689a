"""Format tasmota."""

from __future__ import annotations

import json

import pytest

from bridge.core.decode import Decoder
from bridge.core.formats.registry import FormatName
from bridge.core.message import Ignored, ReadingBatch
from tests.core.formats.decoding import decode, reading, route
from tests.core.test_decode import OWN_MS, message

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


def test_first_sensor_of_each_quantity_is_the_device_and_the_others_are_parts() -> None:
    decoded = decode(FormatName.TASMOTA, SENSOR)
    assert isinstance(decoded, ReadingBatch)
    values = {one.device_id: one.values for one in decoded.readings}
    assert values == {
        "a": {"temperature": 21.5, "humidity": 40.1, "aqi": 2, "eco2": 640, "tvoc": 120, "co2": 645, "pm25": 3.1, "pm10": 4.2},
        "a.BME280": {"temperature": 21.9, "pressure": 1001.2},
    }
    assert all(one.quality == {} for one in decoded.readings)


def test_time_without_a_zone_is_utc() -> None:
    body = {"Time": "2025-12-29T09:19:59", "AM2301": {"Temperature": 21.5}}
    assert reading(FormatName.TASMOTA, body).timestamp_ms == OWN_MS - 500
    with_zone = {**body, "Time": "2025-12-29T10:19:59+01:00"}
    assert reading(FormatName.TASMOTA, with_zone).timestamp_ms == OWN_MS - 500


def test_other_keys_are_counted_as_unknown_by_sensor_and_key() -> None:
    decoder = Decoder([route(FormatName.TASMOTA)])
    decoder.decode(message(json.dumps(SENSOR).encode(), "tele/a/SENSOR"))
    unknown = {key for _, key in decoder.unknown_keys}
    assert {"'Switch1'", "'AM2301.DewPoint'", "'MHZ19B.Temperature'", "'ESP32.Temperature'"} <= unknown
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
def test_units_are_converted(body: dict[str, object], values: dict[str, object]) -> None:
    assert reading(FormatName.TASMOTA, body).values == values


def test_state_without_a_measurement_is_ignored() -> None:
    state = {"Time": "2025-12-29T09:19:59", "Uptime": "0T00:10:15", "Wifi": {"RSSI": 100, "Signal": -50}}
    decoded = decode(FormatName.TASMOTA, state, "tele/a/STATE", pattern="tele/{deviceId}/STATE")
    assert decoded == Ignored("a state without measurements")
