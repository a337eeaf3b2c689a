"""The keys of messages that state the location of the device."""

from collections.abc import Mapping
from functools import lru_cache

SITE, ROOM = "site", "room"
_NAMES: Mapping[str, str] = {"enseigne": SITE, "site": SITE, "salle": ROOM, "room": ROOM}
"""In lower case. The French names are those of the measurements at `/ws`."""


@lru_cache(4096)
def location_key(path: str) -> str | None:
    """Return `SITE` or `ROOM` for a path in a message that states it, or None. It stands in the object of the reading itself,
    alone or in a list: `salle`, `0.salle`.
    """
    parent, _, name = path.rpartition(".")
    return _NAMES.get(name.lower()) if not parent or parent.isdecimal() else None
