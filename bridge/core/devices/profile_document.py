"""The stored form of a device's profile."""

from collections.abc import Mapping
from typing import Any

from bridge.core.devices.profiles import DeviceProfile

_PART_LENGTH = 256


def profile_to_document(profile: DeviceProfile) -> dict[str, Any]:
    """Return the stored fields. Lists, because names of parts come from payloads and are not fit for keys of a document; a part
    whose name no store takes is left out and learned again.
    """
    return {
        "parts": [{"part": part, "own": own} for part, own in profile.own.items() if _is_storable(part)],
        "fields": [{"field": name, "part": part} for name, part in profile.fields.items() if _is_storable(part)],
        "zoneMinutes": profile.zone_minutes,
        "zoneName": profile.zone_name,
        "units": [{"field": name, "unit": unit} for name, unit in profile.units.items()],
        "statedId": profile.stated_id,
        "hasSeveralIds": profile.has_several_ids,
    }


def profile_from_document(document: Mapping[str, Any]) -> DeviceProfile:
    """Inverse of `profile_to_document`; every key may be missing."""
    return DeviceProfile(
        own={str(row["part"]): bool(row["own"]) for row in document.get("parts") or ()},
        fields={str(row["field"]): str(row["part"]) for row in document.get("fields") or ()},
        zone_minutes=document.get("zoneMinutes"),
        zone_name=document.get("zoneName"),
        units={str(row["field"]): str(row["unit"]) for row in document.get("units") or ()},
        stated_id=document.get("statedId"),
        has_several_ids=bool(document.get("hasSeveralIds")),
    )


def _is_storable(part: str) -> bool:
    return len(part) <= _PART_LENGTH and (part.isprintable() or part == "")
