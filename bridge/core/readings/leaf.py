"""A leaf: one scalar of a payload, and the field that a format takes it as."""

from typing import NamedTuple

UNKNOWN = "unknown key"
TIMESTAMP, DEVICE_ID, AQI_SCALE, UNIT = "timestamp", "deviceId", "aqiScale", "unit"
"""Targets of a leaf that are not measurements. `UNIT` is for a key that was read as the unit of another one."""

TIME_KEYS = frozenset({
    "timestamp", "time", "ts", "datetime", "date", "measured_at", "measuredat", "received_at", "lastseen", "last_seen",
    "dateutc", "epoch", "utc", "sampled_at", "created_at", "unixtime",
})  # fmt: skip
"""The keys under which devices send a time, in lower case."""


class Leaf(NamedTuple):
    """One scalar of a payload.

    `path` is its place, as `BME280.Temperature`. `field` is a measurement or one of the targets above; None: the format does
    not take it, for `reason`. `unit` is the unit that the payload states; None: the unit of the field. With `is_assumed` it is
    only usual in the family: a unit that a person set for the device wins.
    """

    path: str
    value: object
    field: str | None = None
    unit: str | None = None
    reason: str = UNKNOWN
    is_assumed: bool = False
