"""The location of a device: as an operator registered it, or as its messages state it."""

from collections.abc import Mapping
from typing import NamedTuple

from bridge.core.readings.location_keys import ROOM, SITE, location_key


class Location(NamedTuple):
    """A room at a site; empty texts are unknown. A tuple, because one is created for each reading sent by topic."""

    site: str = ""
    room: str = ""


UNKNOWN_LOCATION = Location()


def stated_location(extra: Mapping[str, object]) -> Location:
    """Return the location that a message states, from the values kept of it. Only texts with a visible character count."""
    found: dict[str, str] = {}
    for path, value in extra.items():
        if isinstance(value, str) and (name := location_key(path)) is not None and (text := value.strip()):
            found.setdefault(name, text)
    return Location(found.get(SITE, ""), found.get(ROOM, "")) if found else UNKNOWN_LOCATION
