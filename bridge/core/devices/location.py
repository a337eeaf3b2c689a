"""The location of a device."""

from typing import NamedTuple


class Location(NamedTuple):
    """A room at a site; empty texts are unknown. A tuple, because one is created for each reading sent by topic."""

    site: str = ""
    room: str = ""


UNKNOWN_LOCATION = Location()
