"""What a person sees of a device's profile, and may change about it."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import timedelta, timezone
from typing import Any

from bridge.core.devices.local_time import parse_zone
from bridge.core.devices.profiles import DeviceProfile
from bridge.core.errors import DeviceError, UnitError
from bridge.core.payload import join_names, quote
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME, Flag
from bridge.core.readings.units import conversion

PROFILE_NAMES = ("timezone", "units", "parts")
"""The attributes of a device that are changed in its profile."""

OWN, SHARED = "own", "shared"
"""Whether a part is a series of its own, or belongs to the series of its device."""

_ZONE_LENGTH = 64
_ZONE_RULE = "must be an IANA time zone such as Europe/Paris, an offset such as +02:00, or null"

FieldsOfPart = Callable[[str], Collection[str]]
"""The fields that a part was last seen to measure."""


def public_profile(profile: DeviceProfile, part_ids: Callable[[str], str]) -> dict[str, Any]:
    """Return the keys that a device has by its profile. `part_ids` returns the id of the series of a part."""
    public: dict[str, Any] = {}
    if profile.zone_name is not None:
        public["timezone"] = profile.zone_name
    if profile.zone_minutes is not None:
        public["clockOffset"] = _offset(profile.zone_minutes)
    if profile.units:
        public["units"] = dict(profile.units)
    if profile.own:
        public["parts"] = {
            part: {"series": OWN, "id": part_ids(part)} if own else {"series": SHARED} for part, own in profile.own.items()
        }
    return public


def change_profile(profile: DeviceProfile, changes: Mapping[str, Any], fields_of_part: FieldsOfPart) -> DeviceProfile:
    """Return a copy with a person's changes; null removes. Raises `DeviceError` naming each invalid field."""
    changed = replace(profile, own=dict(profile.own), fields=dict(profile.fields), units=dict(profile.units))
    faults: dict[str, str] = {}
    for name, value in changes.items():
        try:
            if name == "timezone":
                changed.zone_name = None if value is None else _zone(value)
            elif name == "units":
                faults |= _change_units(changed, value)
            else:
                faults |= _change_parts(changed, value, fields_of_part)
        except ValueError as error:
            faults[name] = str(error)
    if faults:
        raise DeviceError(faults)
    return changed


def _zone(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _ZONE_LENGTH:
        raise ValueError(_ZONE_RULE)
    try:
        parse_zone(value)
    except ValueError:
        raise ValueError(_ZONE_RULE) from None
    return value


def _change_units(profile: DeviceProfile, value: object) -> dict[str, str]:
    """Set the units of some fields; null removes one, or all."""
    if value is None:
        profile.units = {}
        return {}
    if not isinstance(value, dict):
        raise ValueError("must be an object of fields and their units, or null")  # noqa: TRY004
    faults = {}
    for name, unit in value.items():
        place = f"units.{name[:64]}"
        measurement = MEASUREMENTS_BY_NAME.get(name)
        if measurement is None or isinstance(measurement, Flag):
            faults[place] = f"is not a measurement with a unit; allowed are {join_names(_fields_with_units())}"
        elif unit is None:
            profile.units.pop(name, None)
        elif not isinstance(unit, str):
            faults[place] = "must be a unit as text, or null"
        else:
            try:
                conversion(name, unit)
            except UnitError as error:
                faults[place] = str(error)
            else:
                profile.units[name] = unit
    return faults


def _fields_with_units() -> list[str]:
    return [name for name, measurement in MEASUREMENTS_BY_NAME.items() if not isinstance(measurement, Flag)]


def _change_parts(profile: DeviceProfile, value: object, fields_of_part: FieldsOfPart) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError(f'must be an object of parts and "{OWN}" or "{SHARED}"')  # noqa: TRY004
    faults = {}
    for part, series in value.items():
        place = f"parts.{part[:64]}"
        if part not in profile.own:
            known = ", ".join(map(quote, profile.own))
            faults[place] = f"is not a part of this device; allowed are {known}" if known else "the device has no parts"
        elif series not in (OWN, SHARED):
            faults[place] = f'must be "{OWN}" or "{SHARED}"'
        elif series == OWN:
            _separate(profile, part)
        elif measured := [name for name in fields_of_part(part) if profile.fields.get(name) == ""]:
            faults[place] = f"cannot share the series of its device, which measures {join_names(measured)} itself"
        else:
            _share(profile, part, fields_of_part(part))
    return faults


def _separate(profile: DeviceProfile, part: str) -> None:
    profile.own[part] = True
    profile.fields = {name: owner for name, owner in profile.fields.items() if owner != part}


def _share(profile: DeviceProfile, part: str, fields: Collection[str]) -> None:
    """Give the device's series to `part`. Other parts that measured one of its fields there become series of their own."""
    for name in fields:
        other = profile.fields.get(name)
        if other not in (None, part):
            _separate(profile, str(other))
    profile.own[part] = False
    profile.fields |= dict.fromkeys(fields, part)


def _offset(minutes: int) -> str:
    """Return `+07:00`."""
    return str(timezone(timedelta(minutes=minutes)))[3:] or "+00:00"
