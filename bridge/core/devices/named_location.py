"""Locations that devices refer to: a site, a room, a name, and anything else that an operator keeps with them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from bridge.core.devices.device import ATTRIBUTES_LIMIT, DOCUMENT_BYTES, check_storable, text_attribute
from bridge.core.devices.location import Location
from bridge.core.errors import LocationError
from bridge.core.timestamp import iso, parse_time

TEXTS = ("name", "site", "room")
RESERVED = frozenset(("id", "_id", "attributes", "createdAt", "created_at", "devices"))
"""Names that a custom attribute may not have."""

_NAME_LENGTH = 64


@dataclass(frozen=True, slots=True)
class NamedLocation:
    """A location with an id. `attributes` are custom and stored unchanged."""

    id: str
    name: str | None = None
    site: str | None = None
    room: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    created_ms: int = 0

    @property
    def place(self) -> Location:
        """The site and room of devices that refer to this location."""
        return Location(self.site or "", self.room or "")

    def public(self) -> dict[str, Any]:
        texts = {name: text for name in TEXTS if (text := getattr(self, name)) is not None}
        return {"id": self.id, **texts, **self.attributes, "createdAt": iso(self.created_ms)}

    def to_document(self) -> dict[str, Any]:
        texts = {name: getattr(self, name) for name in TEXTS}
        return {**texts, "attributes": dict(self.attributes), "createdAt": self.created_ms}


TIMES = ("createdAt",)
"""The keys of `NamedLocation.to_document` that are times."""


def location_from_document(identity: str, document: Mapping[str, Any]) -> NamedLocation:
    texts = {name: document.get(name) for name in TEXTS}
    return NamedLocation(identity, **texts, attributes=dict(document["attributes"]), created_ms=document["createdAt"])


def location_from_public(identity: str, public: Mapping[str, Any]) -> NamedLocation:
    """Inverse of `NamedLocation.public`."""
    texts = {name: public.get(name) for name in TEXTS}
    attributes = {name: value for name, value in public.items() if name not in RESERVED and name not in TEXTS}
    return NamedLocation(identity, **texts, attributes=attributes, created_ms=parse_time(public.get("createdAt")) or 0)


def change_location(location: NamedLocation, changes: Mapping[str, Any]) -> NamedLocation:
    """Return the location with an operator's changes; null removes. Raises `LocationError` naming each invalid field."""
    texts = {name: getattr(location, name) for name in TEXTS}
    attributes, faults = dict(location.attributes), dict[str, str]()
    for name, value in changes.items():
        try:
            _check(name, value)
        except ValueError as error:
            faults[name[:_NAME_LENGTH]] = str(error)
            continue
        if name in TEXTS:
            texts[name] = value
        elif value is None:
            attributes.pop(name, None)
        else:
            attributes[name] = value
    if len(attributes) > ATTRIBUTES_LIMIT:
        faults["attributes"] = f"{len(attributes)} of them, more than the {ATTRIBUTES_LIMIT} allowed"
    elif not faults and (size := len(orjson.dumps(attributes))) > DOCUMENT_BYTES:
        faults["attributes"] = f"{size} bytes in all, more than the {DOCUMENT_BYTES} allowed"
    if faults:
        raise LocationError(faults)
    return replace(location, **texts, attributes=attributes)


def _check(name: str, value: object) -> None:
    if name in RESERVED:
        raise ValueError("is set by the bridge")
    if name in TEXTS and value is not None:
        text_attribute(value)
    check_storable(name, value)
