"""A person's note about a moment at a device, such as "window opened", shown in its charts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bridge.core.timestamp import iso

TEXT_LENGTH = 500
DEVICE_LIMIT = 200
"""The most notes of one device."""
LIMIT = 10_000
"""The most notes in all: beyond it the oldest are deleted, also those of devices that no longer exist."""

TIMES = ("at", "createdAt")
"""The keys of `Note.to_document` that are times."""


@dataclass(frozen=True, slots=True)
class Note:
    """A note of a person (`by`) about `at_ms`; with a `field`, about that measurement. The id begins with its creation."""

    id: str
    device_id: str
    at_ms: int
    text: str
    by: str
    created_ms: int
    field: str | None = None

    def public(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "device": self.device_id,
            "field": self.field,
            "at": iso(self.at_ms),
            "text": self.text,
            "by": self.by,
            "createdAt": iso(self.created_ms),
        }

    def to_document(self) -> dict[str, Any]:
        return {
            "device": self.device_id,
            "field": self.field,
            "at": self.at_ms,
            "text": self.text,
            "by": self.by,
            "createdAt": self.created_ms,
        }


def note_from_document(identity: str, document: Mapping[str, Any]) -> Note:
    return Note(
        identity,
        document["device"],
        document["at"],
        document["text"],
        document["by"],
        document["createdAt"],
        document.get("field"),
    )
