"""Ids that are numbers: devices and locations that are created without an id get the next one."""

import re
from collections.abc import Mapping
from typing import Any

_NUMBER = re.compile(r"0|[1-9][0-9]{0,14}", re.ASCII)  # JavaScript represents all of them exactly


def number_or_text(identity: str) -> int | str:
    """Return an id as channels and `/api/v1/sensors` send it: a number if it is written as one, otherwise the text."""
    return int(identity) if _NUMBER.fullmatch(identity) else identity


def text_of_id(value: object) -> object:
    """Return the text of an id that may be a whole number in JSON; any other value as it is."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def entity_of(public: Mapping[str, Any]) -> dict[str, Any]:
    """Return a public record as channels and `/api/v1/sensors` send it: ids that are numbers, and names with underscores."""
    entity = dict(public)
    if isinstance(public.get("id"), str):
        entity["id"] = number_or_text(public["id"])
    if "createdAt" in public:
        entity["created_at"] = public["createdAt"]
    if isinstance(public.get("locationId"), str):
        entity["location_id"] = number_or_text(public["locationId"])
    return entity
