"""Devices and locations as channels and `/api/v1/sensors` send them."""

from collections.abc import Mapping
from typing import Any

from bridge.core.readings.identity import number_or_text


def entity_of(public: Mapping[str, Any]) -> dict[str, Any]:
    """Return a public record with ids that are numbers where they are written as one, and names with underscores added."""
    entity = dict(public)
    if isinstance(public.get("id"), str):
        entity["id"] = number_or_text(public["id"])
    if "createdAt" in public:
        entity["created_at"] = public["createdAt"]
    if isinstance(public.get("locationId"), str):
        entity["location_id"] = number_or_text(public["locationId"])
    return entity
