"""A reading: one device's measurements at one time, and its public record."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bson.objectid import ObjectId

from bridge.core.readings.measurements import Scalar, Value
from bridge.core.timestamp import iso


@dataclass(slots=True)
class Reading:
    """One device's measurements at one time; both the stored and the sent record are built from it.

    Times are milliseconds since the epoch, UTC. `values` has accepted fields only, in the order of `VALUE_NAMES`.
    `seq` is the cursor, microseconds since the epoch at storing time, assigned by the pipeline (0 until then).
    `extra` has scalars of the message that are no measurement; they are stored and sent, never judged. `changed_ms` is when a
    person corrected the reading. `ignored` has every path of the message that was not taken, with the reason, `family` the
    format that was chosen, and `part_of` the device that sent the reading of a part; none of them is stored. An old reading
    that is imported `is_quiet`: several bridges do not publish it.
    """

    id: ObjectId
    device_id: str
    values: dict[str, Value]
    timestamp_ms: int
    received_ms: int
    quality: dict[str, str] = field(default_factory=dict)
    device_timestamp: Value | None = None
    retained: bool = False
    seq: int = 0
    extra: dict[str, Scalar] = field(default_factory=dict)
    ignored: Mapping[str, str] = field(default_factory=dict)
    family: str = ""
    part_of: str | None = None
    changed_ms: int | None = None
    is_quiet: bool = False

    @property
    def sender(self) -> str:
        """The device that sent the reading, which has the right to: the device itself, or that of the part."""
        return self.part_of or self.device_id

    def optional_keys(self) -> dict[str, Any]:
        """Return the keys that only some records have: `quality`, `deviceTimestamp`, `retained`, `extra`, `changedAt`."""
        optional: dict[str, Any] = {}
        if self.quality:
            optional["quality"] = self.quality
        if self.device_timestamp is not None:
            optional["deviceTimestamp"] = self.device_timestamp
        if self.retained:
            optional["retained"] = True
        if self.extra:
            optional["extra"] = self.extra
        if self.changed_ms is not None:
            optional["changedAt"] = iso(self.changed_ms)
        return optional

    def public(self) -> dict[str, Any]:
        """Return the record as clients receive it: JSON types, times as ISO 8601 in UTC with milliseconds."""
        return {
            "_id": str(self.id),
            **self.values,
            "timestamp": iso(self.timestamp_ms),
            "deviceId": self.device_id,
            "receivedAt": iso(self.received_ms),
            "seq": self.seq,
            **self.optional_keys(),
        }
