"""What the bridge advises people to do."""

from enum import StrEnum


class AdviceKind(StrEnum):
    """The words of each are in `bridge/analysis/advice/sentences.py`."""

    VENTILATE = "ventilate"
    """Air the room: the source is inside, or the air outside is known to be better."""
    CLEAN_AIR = "clean_air"
    """Run an air purifier: it is not known whether the air outside is better."""
    CLOSE_WINDOWS = "close_windows"
    """A device outdoors shows that the pollution comes from outside."""
    FIND_SOURCE = "find_source"
    """A gas that a purifier does not remove, and it is not known whether the air outside is better."""
    DEHUMIDIFY = "dehumidify"
    HEAT = "heat"
    COOL = "cool"
    CHECK_SENSOR = "check_sensor"
