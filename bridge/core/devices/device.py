"""A device: its registered attributes, its reported state, its presence and its reporting interval.

Times are milliseconds since the epoch, UTC; intervals are seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from bridge.core.access.texts import is_plain
from bridge.core.errors import DeviceError
from bridge.core.payload import quote
from bridge.core.readings.measurements import Scalar
from bridge.core.readings.reading import Reading
from bridge.core.reasons import with_cause
from bridge.core.timestamp import iso, parse_time

ONLINE, OFFLINE = "online", "offline"
SOCKET, MQTT = "socket", "mqtt"

MISSED_INTERVALS = 3
"""A device that is silent for this many reporting intervals is offline."""

INTERVAL_RANGE_SECONDS = (0.1, 7 * 86_400.0)
"""The bounds of an operator's `expectedInterval`."""

LEARNT_RANGE_SECONDS = (1.0, 86_400.0)
_SILENCE_FLOOR_SECONDS = 10.0  # with a learnt interval: one late message does not make a fast device offline
_LATE_MS = 60_000  # a reading this much older than its arrival was buffered on its way: no sign of life
_MIN_INTERVALS = 4  # intervals observed before the estimate is used
_MIN_STEP = 0.05

ATTRIBUTES_LIMIT = 64
VALUE_DEPTH = 6
DOCUMENT_BYTES = 16 * 1024
_NAME_LENGTH = 64
TEXT_LENGTH = 1024

TEXT_ATTRIBUTES = ("name", "type", "site", "room", "locationId")
"""The text attributes that an operator sets, by their public names. `locationId` is that of a named location."""

RESERVED = frozenset(
    {"id", *TEXT_ATTRIBUTES, "expectedInterval", "status", "statusAt", "connection", "lastSeen", "interval", "createdAt"}
    | {"lastReading", "state", "attributes", "_id", "partOf", "parts", "timezone", "clockOffset", "units", "alsoSends"}
    | {"retired", "retiredAt"}
)
"""Names that a custom attribute may not have."""


ALSO_SENDS_LIMIT = 64
_KEY_LENGTH = 128
_REASON_LENGTH = 200


class AlsoSent(NamedTuple):
    """A key of a device's messages that is not taken: since when, and why."""

    reason: str
    since_ms: int


class Telemetry(NamedTuple):
    """A telemetry message as the device's socket sent it: its JSON text, and when it arrived.

    `order` rises with each message, whatever the clock; 0 for one from the store.
    """

    text: str
    at_ms: int
    order: int = 0


@dataclass(slots=True)
class ReportingInterval:
    """The learnt reporting interval of a device: a running estimate of the median interval, without storing them.

    Each interval moves the estimate one step towards it, whatever the distance: a large step at first (a half after two, a
    third after three), never less than 5 %. So a night of silence counts no more than any other interval. Messages less than
    a second apart count as one arrival; otherwise a gateway's bursts would look like a fast device.
    """

    seconds: float = 0.0
    count: int = 0
    last_ms: int = 0
    """By a monotonic clock; 0 for none."""

    def observe(self, now_ms: int) -> bool:
        """Return whether the estimate may have changed. `now_ms` is of a monotonic clock."""
        low, high = LEARNT_RANGE_SECONDS
        interval = (now_ms - self.last_ms) / 1000
        if self.last_ms and interval < low:
            return False
        learns, self.last_ms = bool(self.last_ms), now_ms
        if learns:
            self._learn(min(interval, high))
        return learns

    def _learn(self, interval: float) -> None:
        self.count += 1
        if self.count == 1:
            self.seconds = interval
            return
        step = 1 + max(1 / self.count, _MIN_STEP)
        self.seconds = min(interval, self.seconds * step) if interval > self.seconds else max(interval, self.seconds / step)

    @property
    def is_known(self) -> bool:
        return self.count >= _MIN_INTERVALS


@dataclass(slots=True)
class Device:
    """A registered or discovered device. `attributes` are custom and stored unchanged; `state` is reported by the device.

    `connection` is `socket` (open) or `mqtt` (its `online` status and last will); None if the device only sends readings.
    `last_reading` is the newest by time of measurement, as in `ReadingStore.latest`. `part_of` is the device of a part.
    `also_sends` are keys of its messages that are not taken, at most `ALSO_SENDS_LIMIT`; `also_values` their last values, where
    they are scalars. A device that is retired has no status: it is neither online nor offline, and raises no alarms.
    """

    id: str
    name: str | None = None
    type: str | None = None
    site: str | None = None
    room: str | None = None
    locationId: str | None = None  # noqa: N815 - its public name
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
    part_of: str | None = None
    also_sends: dict[str, AlsoSent] = field(default_factory=dict)
    also_values: dict[str, Scalar] = field(default_factory=dict)
    telemetry: Telemetry | None = None
    """The last message of the device's socket."""
    retired_ms: int | None = None
    """Since when it is retired."""

    @property
    def is_retired(self) -> bool:
        return self.retired_ms is not None

    @property
    def online(self) -> bool:
        """Whether the device can receive commands."""
        return self.status is not None and self.status != OFFLINE

    @property
    def is_placeholder(self) -> bool:
        """Whether the device is only listed because it has credentials: nobody registered it, and it was never heard."""
        has_attributes = self.attributes or any(getattr(self, name) is not None for name in TEXT_ATTRIBUTES)
        return self.status == OFFLINE and self.last_seen_ms is None and self.last_reading is None and not has_attributes

    def record_reading(self, reading: Reading, now_ms: int) -> bool:
        """Record a stored reading of the device or of a part; return whether it is recent. Retained and delayed ones are not.

        A last reading that was received in the future is replaced: the bridge's clock was wrong then.
        """
        last = self.last_reading
        is_newest = last is None or reading.timestamp_ms >= last.timestamp_ms or last.received_ms > now_ms
        if is_newest and reading.device_id == self.id:
            self.last_reading = reading
        return not reading.retained and now_ms - min(reading.timestamp_ms, reading.received_ms) <= _LATE_MS

    def record_ignored(self, reading: Reading, now_ms: int) -> bool:
        """Record the keys that were not taken; return whether one is new or has another reason."""
        is_changed = False
        for key, reason in reading.ignored.items():
            known = self.also_sends.get(key)
            if (known is None or known.reason != reason) and self._add_ignored(key, reason[:_REASON_LENGTH], now_ms):
                is_changed = True
        for key, value in reading.extra.items():
            if key in self.also_sends:
                self.also_values[key] = value
        return is_changed

    def _add_ignored(self, key: str, reason: str, now_ms: int) -> bool:
        name = key if len(key) <= _KEY_LENGTH and key.isprintable() else quote(key)
        known = self.also_sends.get(name)
        if (known is None and len(self.also_sends) >= ALSO_SENDS_LIMIT) or (known is not None and known.reason == reason):
            return False
        self.also_sends[name] = AlsoSent(reason, now_ms if known is None else known.since_ms)
        return True

    def newest_telemetry(self) -> str | None:
        """Return the last telemetry message; None if there is none, or if a reading arrived later by another way."""
        telemetry, reading = self.telemetry, self.last_reading
        if telemetry is None or (reading is not None and reading.received_ms > telemetry.at_ms):
            return None
        return telemetry.text

    def silence_ms(self) -> int | None:
        """Return how long the device may be silent before it is offline; None if that is unknown or decided by its connection.

        An `expectedInterval` also applies to a device connected by MQTT. A socket has its own pings.
        """
        if self.connection == SOCKET or self.is_retired:
            return None
        if self.expected_seconds is not None:
            return round(self.expected_seconds * MISSED_INTERVALS * 1000)
        if self.connection is None and self.reporting_interval.is_known:
            return round(max(self.reporting_interval.seconds * MISSED_INTERVALS, _SILENCE_FLOOR_SECONDS) * 1000)
        return None

    def public(self) -> dict[str, Any]:
        record: dict[str, Any] = {
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
            "partOf": self.part_of,
            "retiredAt": None if self.retired_ms is None else iso(self.retired_ms),
        }
        record = {name: value for name, value in record.items() if value is not None}
        return record | {"state": self.state} | self.attributes

    def also_sends_public(self) -> dict[str, Any]:
        """Return `alsoSends` with the reason of each key that is not taken, and its last value; empty if there is none."""
        keys = {
            key: with_cause(
                {
                    "reason": sent.reason,
                    "since": iso(sent.since_ms),
                    **({"lastValue": self.also_values[key]} if key in self.also_values else {}),
                }
            )
            for key, sent in self.also_sends.items()
        }
        return {"alsoSends": keys} if keys else {}

    def to_document(self) -> dict[str, Any]:
        """Return the stored fields: JSON types, times in milliseconds. The last reading is stored with the readings."""
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
            "partOf": self.part_of,
            "retiredAt": self.retired_ms,
            "telemetry": None if self.telemetry is None else self.telemetry.text,
            "telemetryAt": None if self.telemetry is None else self.telemetry.at_ms,
            "alsoSends": [
                {"key": key, "reason": sent.reason, "since": sent.since_ms, "value": self.also_values.get(key)}
                for key, sent in self.also_sends.items()
            ],
        }

    def state_to_document(self) -> dict[str, Any]:
        """Return the stored fields without those that operators set."""
        return {name: value for name, value in self.to_document().items() if name not in _SET_BY_OPERATORS}

    def has_attributes_of(self, other: "Device") -> bool:
        """Whether operators have set the same at both."""
        mine = (self.expected_seconds, self.attributes, self.retired_ms)
        return mine == (other.expected_seconds, other.attributes, other.retired_ms) and all(
            getattr(self, name) == getattr(other, name) for name in TEXT_ATTRIBUTES
        )

    def with_attributes_of(self, other: "Device") -> "Device":
        """Return a copy with what operators have set at the other."""
        texts = {name: getattr(other, name) for name in TEXT_ATTRIBUTES}
        return replace(
            self.copy(),
            **texts,
            expected_seconds=other.expected_seconds,
            attributes=dict(other.attributes),
            retired_ms=other.retired_ms,
        )

    def copy(self) -> "Device":
        """Return a snapshot that later changes do not affect."""
        return replace(
            self,
            attributes=dict(self.attributes),
            state=dict(self.state),
            reporting_interval=replace(self.reporting_interval),
            also_sends=dict(self.also_sends),
            also_values=dict(self.also_values),
        )


_SET_BY_OPERATORS = frozenset((*TEXT_ATTRIBUTES, "expectedInterval", "attributes", "retiredAt"))

TIMES = ("statusAt", "lastSeen", "createdAt", "telemetryAt", "retiredAt")
"""The keys of `Device.to_document` that are times."""


def device_from_document(device_id: str, document: Mapping[str, Any]) -> Device:
    """Inverse of `Device.to_document`; every key may be missing, because a status alone creates a device."""
    also_sends = document.get("alsoSends") or ()
    return Device(
        id=device_id,
        **{name: document.get(name) for name in TEXT_ATTRIBUTES},
        expected_seconds=_within(document.get("expectedInterval"), INTERVAL_RANGE_SECONDS),
        attributes=dict(document.get("attributes") or {}),
        state=dict(document.get("state") or {}),
        status=document.get("status"),
        status_ms=document.get("statusAt"),
        connection=document.get("connection"),
        last_seen_ms=document.get("lastSeen"),
        created_ms=document.get("createdAt") or document.get("statusAt") or 0,
        reporting_interval=_learnt(document.get("interval"), document.get("intervals")),
        part_of=document.get("partOf"),
        also_sends={row["key"]: AlsoSent(row["reason"], row["since"]) for row in also_sends},
        also_values={row["key"]: row["value"] for row in also_sends if row.get("value") is not None},
        telemetry=Telemetry(document["telemetry"], document["telemetryAt"]) if document.get("telemetry") else None,
        retired_ms=document.get("retiredAt"),
    )


def _within(seconds: float | None, bounds: tuple[float, float]) -> float | None:
    """Return a stored interval; None if it is damaged."""
    return seconds if seconds is not None and bounds[0] <= seconds <= bounds[1] else None


def _learnt(seconds: float | None, count: int | None) -> ReportingInterval:
    known = _within(seconds, (0, LEARNT_RANGE_SECONDS[1]))
    return ReportingInterval(known, count) if known and count else ReportingInterval()


def apply_changes(device: Device, changes: Mapping[str, Any], now_ms: int = 0) -> Device:
    """Return a copy with an operator's changes; null removes. Raises `DeviceError` naming each invalid field."""
    changed, faults = device.copy(), {}
    for name, value in changes.items():
        try:
            if name == "retired":
                changed.retired_ms = _retired_ms(device, value, now_ms)
            else:
                _set(changed, name, value)
        except ValueError as error:
            faults[name[:_NAME_LENGTH]] = str(error)
    if len(changed.attributes) > ATTRIBUTES_LIMIT:
        faults["attributes"] = f"{len(changed.attributes)} of them, more than the {ATTRIBUTES_LIMIT} allowed"
    if faults:
        raise DeviceError(faults)
    return changed


def _set(device: Device, name: str, value: Any) -> None:  # noqa: ANN401 - JSON
    if name in TEXT_ATTRIBUTES:
        setattr(device, name, None if value is None else text_attribute(value))
    elif name == "expectedInterval":
        device.expected_seconds = None if value is None else _interval(value)
    elif name == "alsoSends" and value is None:
        device.also_sends, device.also_values = {}, {}
    elif name in RESERVED:
        raise ValueError("is set by the bridge")
    elif value is None:
        device.attributes.pop(name, None)
    else:
        check_storable(name, value)
        device.attributes[name] = value


def _retired_ms(device: Device, value: object, now_ms: int) -> int | None:
    if value is not None and not isinstance(value, bool):
        raise ValueError("must be true, false or null")
    return (device.retired_ms or now_ms) if value else None


def text_attribute(value: object) -> str:
    """Return a text that people read in lists and logs. Raises `ValueError`."""
    if not isinstance(value, str) or not 0 < len(value) <= TEXT_LENGTH:
        raise ValueError(f"must be a text of 1 to {TEXT_LENGTH} characters, or null")
    if not is_plain(value):
        raise ValueError("must not have control characters, such as line breaks")
    return value


def _interval(value: object) -> float:
    low, high = INTERVAL_RANGE_SECONDS
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"must be a number of seconds from {low:g} to {high:g}, or null")
    return value


def check_storable(name: str, value: object, depth: int = VALUE_DEPTH) -> None:
    """Raises `ValueError` for a value that some store rejects: special names, numbers of more than 64 bits, deep nesting."""
    if not 0 < len(name) <= _NAME_LENGTH or name.startswith("$") or "." in name or "\0" in name or name == "__proto__":
        raise ValueError(f"a name must have 1 to {_NAME_LENGTH} characters, no dot, no leading $, and not be __proto__")
    children = value.items() if isinstance(value, dict) else [(name, item) for item in value] if isinstance(value, list) else ()
    if children and not depth:
        raise ValueError(f"is nested deeper than {VALUE_DEPTH} levels")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("is a number of more than 64 bits")
    for key, child in children:
        check_storable(key, child, depth - 1)


def merge_state(state: Mapping[str, Any], update: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """Return a device's state with an update merged in, and the number of keys ignored: invalid or above the limit."""
    merged, ignored = dict(state), 0
    for name, value in update.items():
        try:
            check_storable(name, value)
        except ValueError:
            ignored += 1
            continue
        if value is None:
            merged.pop(name, None)
        elif name in merged or len(merged) < ATTRIBUTES_LIMIT:
            merged[name] = value
        else:
            ignored += 1
    return merged, ignored


def with_public(device: Device, public: Mapping[str, Any]) -> Device:
    """Return a copy with the attributes and the state of `Device.public` of another bridge."""
    changed = device.copy()
    for name in TEXT_ATTRIBUTES:
        setattr(changed, name, public.get(name))
    changed.expected_seconds, changed.part_of = public.get("expectedInterval"), public.get("partOf")
    changed.state = dict(public.get("state") or {})
    changed.retired_ms = None if (retired := public.get("retiredAt")) is None else parse_time(retired)
    changed.attributes = {name: value for name, value in public.items() if name not in RESERVED}
    return changed
