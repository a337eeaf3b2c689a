"""Where a device stands."""

from __future__ import annotations

from typing import NamedTuple


class Location(NamedTuple):
    """A room of a site; empty where nobody has said. A tuple, being made for each reading that is sent by topic."""

    site: str = ""
    room: str = ""


UNKNOWN_LOCATION = Location()
