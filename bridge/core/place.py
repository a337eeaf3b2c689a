"""Where a device stands."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """A room of a site; empty where nobody has said."""

    site: str = ""
    room: str = ""


NOWHERE = Place()
