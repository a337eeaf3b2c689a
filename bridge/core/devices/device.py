"""A device: what its operator said of it, what it said of itself, and how often it is to be heard from.

Times are milliseconds since the epoch, UTC; intervals are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bridge.core.errors import DeviceError
from bridge.core.readings.reading import Reading
from bridge.core.timestamp import iso

ONLINE, OFFLINE = "online", "offline"
SOCKET, MQTT = "socket", "mqtt"

MISSED_INTERVALS = 3
"""A device that was not heard from for so many of its intervals is offline."""

INTERVAL_RANGE_SECONDS = (0.1, 7 * 86_400.0)
"""What an operator may set."""

LEARNT_RANGE_SECONDS = (1.0, 86_400.0)
_SILENCE_FLOOR_SECONDS = 10.0  # with a learnt interval: one late message is no reason to call a fast device offline
_LATE_MS = 60_000  # a reading measured so long before it came was kept back by somebody: no sign of life
_ENOUGH = 4  # intervals to have seen before the estimate is used
_LEAST_STEP = 0.05

ATTRIBUTES_LIMIT = 64
VALUE_DEPTH = 6
DOCUMENT_BYTES = 16 * 1024
_NAME_LENGTH = 64
_TEXT_LENGTH = 1024

TEXT_ATTRIBUTES = ("name", "type", "site", "room")
"""What an operator says of a device, each a text."""

RESERVED = frozenset(
    {"id", *TEXT_ATTRIBUTES, "expectedInterval", "status", "statusAt", "connection", "lastSeen", "interval", "createdAt"}
    | {"lastReading", "state", "attributes", "_id"}
)
"""Names that no attribute of the operator's own may have."""


@dataclass(slots=True)
class ReportingInterval:
    """How often a device is heard from, learnt: the median of the intervals, followed without keeping them.

    Each interval moves the estimate a step towards it, however far away it is: a large step at first (half of the way after
    two, a third after three), never less than 5 %. So a night of silence counts no more than any other interval. Messages
    less than a second apart are one arrival, or a gateway's bursts would pass for a fast device.
    """

    seconds: float = 0.0
    count: int = 0
    last_ms: int = 0

    def observe(self, now_ms: int) -> None:
        """Something came."""
        low, high = LEARNT_RANGE_SECONDS
        interval = (now_ms - self.last_ms) / 1000
        if self.last_ms and interval < low:
            return
        if self.last_ms:
            self._learn(min(interval, high))
        self.last_ms = now_ms

    def _learn(self, interval: float) -> None:
        self.count += 1
        if self.count == 1:
            self.seconds = interval
            return
        step = 1 + max(1 / self.count, _LEAST_STEP)
        self.seconds = min(interval, self.seconds * step) if interval > self.seconds else max(interval, self.seconds / step)

    @property
    def is_known(self) -> bool:
        """Enough was heard to tell."""
        return self.count >= _ENOUGH


@dataclass(slots=True)
class Device:
    """A record of the registry. `attributes` are those we give no meaning to, kept as given; `state` is the device's own.

    `connection` is how it is known to be connected: an open socket, or MQTT by its own `online` and the broker's last will;
    None when it was only heard. `last_reading` is the newest by time of measurement.
    """

    id: str
    name: str | None = None
    type: str | None = None
    site: str | None = None
    room: str | None = None
    expected_seconds: float | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    status: str | None = None
    status_ms: int | None = None
    connection: str | None = None
    last_seen_ms: int | None = None
    created_ms: int = 0
    reporting_interval: ReportingInterval = field(default_factory=ReportingInterval)
    last_reading: Reading | None = None

    @property
    def online(self) -> bool:
        """It may be sent something."""
        return self.status is not None and self.status != OFFLINE

    def record_seen(self, reading: Reading, now_ms: int) -> bool:
        """A reading was stored; whether it is a sign of life. A retained one is not, nor one that was kept back, by the device
        or by us, nor what came before it went offline.
        """
        last = self.last_reading
        if last is None or reading.timestamp_ms >= last.timestamp_ms:
            self.last_reading = reading
        came_ms = reading.received_ms
        if reading.retained or now_ms - min(reading.timestamp_ms, came_ms) > _LATE_MS:
            return False
        if self.status == OFFLINE and came_ms <= (self.status_ms or 0):
            return False
        if self.last_seen_ms is None or came_ms > self.last_seen_ms:
            self.last_seen_ms = came_ms
            self.reporting_interval.observe(came_ms)
        return True

    def silence_ms(self) -> int | None:
        """How long it may be silent; None when nobody can tell, or its connection tells.

        An operator's word counts also for a device connected by MQTT. A socket is asked whether it is there by itself.
        """
        if self.connection == SOCKET:
            return None
        if self.expected_seconds is not None:
            return round(self.expected_seconds * MISSED_INTERVALS * 1000)
        if self.connection is None and self.reporting_interval.is_known:
            return round(max(self.reporting_interval.seconds * MISSED_INTERVALS, _SILENCE_FLOOR_SECONDS) * 1000)
        return None

    def public(self) -> dict[str, Any]:
        """The device as clients see it; what is unknown is absent."""
        known: dict[str, Any] = {
            "id": self.id,
            **{name: value for name in TEXT_ATTRIBUTES if (value := getattr(self, name)) is not None},
            "expectedInterval": self.expected_seconds,
            "interval": round(self.reporting_interval.seconds, 3) if self.reporting_interval.is_known else None,
            "status": self.status,
            "statusAt": None if self.status_ms is None else iso(self.status_ms),
            "connection": self.connection,
            "lastSeen": None if self.last_seen_ms is None else iso(self.last_seen_ms),
            "createdAt": iso(self.created_ms),
            "lastReading": None if self.last_reading is None else self.last_reading.public(),
        }
        known = {name: value for name, value in known.items() if value is not None}
        return known | {"state": self.state} | self.attributes

    def to_document(self) -> dict[str, Any]:
        """What a store keeps: JSON types, times as milliseconds. The last reading stands among the readings."""
        return {
            **{name: getattr(self, name) for name in TEXT_ATTRIBUTES},
            "expectedInterval": self.expected_seconds,
            "interval": self.reporting_interval.seconds if self.reporting_interval.count else None,
            "intervals": self.reporting_interval.count,
            "attributes": self.attributes,
            "state": self.state,
            "status": self.status,
            "statusAt": self.status_ms,
            "connection": self.connection,
            "lastSeen": self.last_seen_ms,
            "createdAt": self.created_ms,
        }

    def copy(self) -> Device:
        """As it is now; the registry's own goes on changing."""
        return replace(
            self, attributes=dict(self.attributes), state=dict(self.state), reporting_interval=replace(self.reporting_interval)
        )


TIMES = ("statusAt", "lastSeen", "createdAt")
"""The names in `Device.kept` that are times."""


def device_from_document(device_id: str, kept: Mapping[str, Any]) -> Device:
    """The inverse of `Device.kept`; all of it may be missing: a status alone makes a device too."""
    return Device(
        id=device_id,
        **{name: kept.get(name) for name in TEXT_ATTRIBUTES},
        expected_seconds=kept.get("expectedInterval"),
        attributes=dict(kept.get("attributes") or {}),
        state=dict(kept.get("state") or {}),
        status=kept.get("status"),
        status_ms=kept.get("statusAt"),
        connection=kept.get("connection"),
        last_seen_ms=kept.get("lastSeen"),
        created_ms=kept.get("createdAt") or kept.get("statusAt") or 0,
        reporting_interval=ReportingInterval(kept.get("interval") or 0.0, kept.get("intervals") or 0),
    )


def apply_changes(device: Device, given: Mapping[str, Any]) -> Device:
    """A copy with what an operator gave: null removes. Raises `DeviceError` naming each bad field."""
    changed, bad = device.copy(), {}
    for name, value in given.items():
        try:
            _set(changed, name, value)
        except ValueError as error:
            bad[name[:_NAME_LENGTH]] = str(error)
    if len(changed.attributes) > ATTRIBUTES_LIMIT:
        bad["attributes"] = f"{len(changed.attributes)} of them, more than the {ATTRIBUTES_LIMIT} allowed"
    if bad:
        raise DeviceError(bad)
    return changed


def _set(device: Device, name: str, value: Any) -> None:  # noqa: ANN401 - JSON
    if name in TEXT_ATTRIBUTES:
        setattr(device, name, None if value is None else _text(value))
    elif name == "expectedInterval":
        device.expected_seconds = None if value is None else _interval(value)
    elif name in RESERVED:
        raise ValueError("is the bridge's to say")
    elif value is None:
        device.attributes.pop(name, None)
    else:
        check_storable(name, value)
        device.attributes[name] = value


def _text(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _TEXT_LENGTH:
        raise ValueError(f"must be a text of 1 to {_TEXT_LENGTH} characters, or null")
    return value


def _interval(value: object) -> float:
    low, high = INTERVAL_RANGE_SECONDS
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"must be a number of seconds from {low:g} to {high:g}, or null")
    return value


def check_storable(name: str, value: object, depth: int = VALUE_DEPTH) -> None:
    """Raises `ValueError` for what not every store holds: odd names, numbers of more than 64 bits, deep nesting."""
    if not 0 < len(name) <= _NAME_LENGTH or name.startswith("$") or "." in name or "\0" in name or name == "__proto__":
        raise ValueError(f"a name has 1 to {_NAME_LENGTH} characters, no dot, does not begin with $, and is not __proto__")
    inner = value.items() if isinstance(value, dict) else [(name, one) for one in value] if isinstance(value, list) else ()
    if inner and not depth:
        raise ValueError(f"is nested deeper than {VALUE_DEPTH} levels")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("is a number of more than 64 bits")
    for key, one in inner:
        check_storable(key, one, depth - 1)


def merge_state(state: Mapping[str, Any], news: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """A device's state with what it said now, and how many keys found no place: odd ones, and those past the limit."""
    after, left = dict(state), 0
    for name, value in news.items():
        try:
            check_storable(name, value)
        except ValueError:
            left += 1
            continue
        if value is None:
            after.pop(name, None)
        elif name in after or len(after) < ATTRIBUTES_LIMIT:
            after[name] = value
        else:
            left += 1
    return after, left
