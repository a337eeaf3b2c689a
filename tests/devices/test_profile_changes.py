"""What a person may change about a device's clock, units and parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.devices.profile_document import profile_from_document, profile_to_document
from bridge.core.devices.profiles import DeviceProfile
from bridge.core.errors import DeviceError
from bridge.devices.profile_changes import change_profile, public_profile

PROFILE = DeviceProfile(
    own={"DS18B20-1": False, "DS18B20-2": True, "BME280": True},
    fields={"temperature": "DS18B20-1", "humidity": ""},
    zone_minutes=420,
)
FIELDS: Mapping[str, list[str]] = {
    "DS18B20-1": ["temperature"],
    "DS18B20-2": ["temperature"],
    "BME280": ["humidity", "pressure"],
}


def changed(**changes: Any) -> DeviceProfile:
    before = profile_to_document(PROFILE)
    after = change_profile(PROFILE, changes, lambda part: FIELDS[part])
    assert profile_to_document(PROFILE) == before, "the profile in use is unchanged"
    return after


def test_profile_is_shown_by_the_names_of_the_api() -> None:
    assert public_profile(PROFILE, lambda part: f"cold.{part}") == {
        "clockOffset": "+07:00",
        "parts": {
            "DS18B20-1": {"series": "shared"},
            "DS18B20-2": {"series": "own", "id": "cold.DS18B20-2"},
            "BME280": {"series": "own", "id": "cold.BME280"},
        },
    }
    assert public_profile(DeviceProfile(), str) == {}
    assert public_profile(DeviceProfile(zone_minutes=0), str) == {"clockOffset": "+00:00"}
    assert public_profile(DeviceProfile(zone_minutes=-210), str) == {"clockOffset": "-03:30"}


@pytest.mark.parametrize("zone", ["Europe/Paris", "UTC", "+02:00", "-09:30"])
def test_time_zone_is_set_and_removed(zone: str) -> None:
    assert changed(timezone=zone).zone_name == zone
    assert changed(timezone=None).zone_name is None


def test_unit_of_a_field_is_set_beside_the_others_and_removed() -> None:
    assert changed(units={"tvoc": "mg/m³", "temperature": "°F"}).units == {"tvoc": "mg/m³", "temperature": "°F"}
    once = change_profile(DeviceProfile(units={"tvoc": "ppm", "co2": "%"}), {"units": {"tvoc": None}}, lambda _: ())
    assert once.units == {"co2": "%"}
    assert change_profile(once, {"units": None}, lambda _: ()).units == {}


def test_part_made_its_own_series_leaves_the_fields_of_the_device() -> None:
    after = changed(parts={"DS18B20-1": "own"})
    assert after.own["DS18B20-1"] is True
    assert after.fields == {"humidity": ""}


def test_part_made_shared_takes_its_fields_from_the_part_that_had_them() -> None:
    after = changed(parts={"DS18B20-2": "shared"})
    assert (after.own["DS18B20-1"], after.own["DS18B20-2"]) == (True, False)
    assert after.fields == {"temperature": "DS18B20-2", "humidity": ""}


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"timezone": "Mars/Olympus"}, "timezone", "must be an IANA time zone such as Europe/Paris"),
        ({"timezone": "../../etc/passwd"}, "timezone", "must be an IANA time zone"),
        ({"timezone": "+99:00"}, "timezone", "must be an IANA time zone"),
        ({"timezone": ""}, "timezone", "must be an IANA time zone"),
        ({"timezone": 2}, "timezone", "must be an IANA time zone"),
        ({"timezone": "x" * 65}, "timezone", "must be an IANA time zone"),
        ({"units": []}, "units", "must be an object of fields and their units, or null"),
        ({"units": {"colour": "red"}}, "units.colour", "is not a measurement with a unit; allowed are temperature"),
        ({"units": {"flameDetected": "1"}}, "units.flameDetected", "is not a measurement with a unit"),
        ({"units": {"tvoc": 5}}, "units.tvoc", "must be a unit as text, or null"),
        ({"units": {"temperature": "ppm"}}, "units.temperature", "ppm"),
        ({"parts": None}, "parts", 'must be an object of parts and "own" or "shared"'),
        ({"parts": {"x": "own"}}, "parts.x", "is not a part of this device; allowed are 'DS18B20-1', 'DS18B20-2', 'BME280'"),
        ({"parts": {"BME280": "other"}}, "parts.BME280", 'must be "own" or "shared"'),
        (
            {"parts": {"BME280": "shared"}},
            "parts.BME280",
            "cannot share the series of its device, which measures humidity itself",
        ),
    ],
)
def test_invalid_change_is_refused_with_its_place_and_what_is_allowed(change: dict[str, Any], field: str, reason: str) -> None:
    with pytest.raises(DeviceError) as refused:
        changed(**change)
    assert list(refused.value.fields) == [field]
    assert reason in refused.value.fields[field]


def test_device_without_parts_says_so() -> None:
    with pytest.raises(DeviceError, match="the device has no parts"):
        change_profile(DeviceProfile(), {"parts": {"x": "own"}}, lambda _: ())


@given(
    st.builds(
        DeviceProfile,
        own=st.dictionaries(st.text(max_size=10), st.booleans(), max_size=4),
        fields=st.dictionaries(st.sampled_from(["temperature", "co2"]), st.text(max_size=10)),
        zone_minutes=st.none() | st.integers(-720, 840),
        zone_name=st.none() | st.just("UTC"),
        units=st.dictionaries(st.sampled_from(["tvoc"]), st.text(max_size=5)),
    )
)
def test_stored_profile_is_the_profile_without_parts_that_no_store_takes(profile: DeviceProfile) -> None:
    again = profile_from_document(profile_to_document(profile))
    assert again.own.items() <= profile.own.items()
    assert (again.zone_minutes, again.zone_name, again.units) == (profile.zone_minutes, profile.zone_name, profile.units)
    assert profile_from_document(profile_to_document(again)) == again
