"""Matching of foreign names to fields."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.formats.field_names import Sense, sense
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME


def match_field(name: str) -> str | None:
    found = sense(name, any_prefix=True)
    if found is None or (found.unit is not None and not _is_own_unit(found)):
        return None
    return found.field


def _is_own_unit(found: Sense) -> bool:
    own = MEASUREMENTS_BY_NAME[found.field].unit
    return found.unit == own or {found.unit, own} in ({"mbar", "hPa"}, {"%", "%RH"})


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
        ("battery_voltage", "batteryVoltage"),
        ("pm_4_0", "pm4"),
        ("temperature_2", "temperature"),
        ("kitchen_flame", "flameDetected"),
        ("flame_intensity", "flameIntensity"),
        ("CarbonDioxide", "co2"),
        ("roomTemperature", "temperature"),
        ("eCO2", "eco2"),
        ("ozone", "o3"),
        ("nitrogen_dioxide", "no2"),
        ("sulphur_dioxide", "so2"),
        ("sulfur_dioxide", "so2"),
    ],
)
def test_longer_name_matches_the_field_it_ends_with(object_id: str, field: str) -> None:
    assert match_field(object_id) == field


@pytest.mark.parametrize(
    "object_id",
    [
        "", "batt_co2", "absolute_humidity", "dew_point_temperature", "temperature_f", "tvoc_ppm", "pm_0_3",
        "pm_2_5_number_concentration", "wifi_signal", "cpu_temperature", "sea_level_pressure", "temperature_offset", "x" * 500,
        "pm25_aqi", "pm_2_5_aqi", "PM 2.5 AQI", "pm_10_air_quality_index", "o3_aqi", "voc_aqi", "aqi_pm25",
    ],
)  # fmt: skip
def test_name_of_another_quantity_or_unit_does_not_match(object_id: str) -> None:
    assert match_field(object_id) is None


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("temperature_2", Sense("temperature", None, "2")),
        ("temp_1_c", Sense("temperature", "°C", "1")),
        ("bme280_temperature_2", Sense("temperature", None, "bme280_2")),
        ("pm_10_0", Sense("pm10", None, "")),
        ("kitchen_temp_f", Sense("temperature", "°F", "kitchen")),
        ("foo_temperature", None),
        ("temp1", Sense("temperature", None, "1")),
        ("noise90", None),
        ("temperature_воды", None),
        ("wasser_temperatur", None),
        ("forecast_temperature", None),
        ("Luftfeuchte", Sense("humidity", None, "")),
        ("Feuchte", None),
        ("humidité", Sense("humidity", None, "")),
        ("tempe\u0301rature", Sense("temperature", None, "")),
        ("влажность", Sense("humidity", None, "")),
        ("давление", None),
        ("pm25_µg_m³", Sense("pm25", "µg/m³", "")),
    ],
)
def test_sense_has_unit_and_prefix(name: str, found: Sense | None) -> None:
    assert sense(name) == found


@given(st.text(max_size=140))
def test_matching_any_name_never_raises(name: str) -> None:
    match_field(name)
