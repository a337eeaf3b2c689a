"""A reading: one device's measurements at one moment, and the public record made from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bson.objectid import ObjectId

from bridge.core.readings.measurements import Value
from bridge.core.timestamp import iso


@dataclass(slots=True)
class Reading:
    """One device's measurements at one moment; what is stored and what is sent are both made from it.

    Times are milliseconds since the epoch, UTC. `values` holds accepted fields only, in the order of `VALUE_NAMES`.
    `seq` is the cursor, microseconds since the epoch at storing time, stamped by the pipeline (0 until then).
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

    def optional_keys(self) -> dict[str, Any]:
        """The keys a record has only where they apply."""
        extras: dict[str, Any] = {}
        if self.quality:
            extras["quality"] = self.quality
        if self.device_timestamp is not None:
            extras["deviceTimestamp"] = self.device_timestamp
        if self.retained:
            extras["retained"] = True
        return extras

    def public(self) -> dict[str, Any]:
        """The record as clients see it: JSON types, times as ISO 8601 in UTC with milliseconds."""
        return {
            "_id": str(self.id),
            **self.values,
            "timestamp": iso(self.timestamp_ms),
            "deviceId": self.device_id,
            "receivedAt": iso(self.received_ms),
            "seq": self.seq,
            **self.optional_keys(),
        }
