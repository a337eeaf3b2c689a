"""Anomalies as they are stored and as clients receive them, and the changes that clients are told of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Any

from bridge.analysis.anomaly.record import (
    Anomaly,
    AnomalyEvent,
    AnomalyEventKind,
    AnomalyOutcome,
    Sample,
    anomaly_from_document,
)
from bridge.analysis.anomaly.sentences import sentence
from bridge.core.errors import RecordError
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME
from bridge.core.timestamp import iso

PRIORITY = "low"

_ID_DIGITS = 13


class AnomalyState(StrEnum):
    STANDING = "standing"
    ENDED = "ended"
    WRONG = "wrong"
    """A person marked it as wrong."""


_ORDER = list(AnomalyState)


@dataclass(frozen=True, slots=True)
class AnomalyRecord:
    """An anomaly, and who marked it as wrong with which comment."""

    anomaly: Anomaly
    marked_by: str | None = None
    comment: str | None = None

    @property
    def id(self) -> str:
        return self.anomaly.id

    @property
    def device_id(self) -> str:
        return self.anomaly.device_id

    @property
    def state(self) -> AnomalyState:
        if self.anomaly.outcome is AnomalyOutcome.WRONG:
            return AnomalyState.WRONG
        return AnomalyState.STANDING if self.anomaly.resolved_ms is None else AnomalyState.ENDED

    def is_before(self, other: "AnomalyRecord") -> bool:
        """Whether the other record of the same anomaly is in a later state."""
        return _ORDER.index(self.state) < _ORDER.index(other.state)

    def public(self) -> dict[str, Any]:
        """Return the anomaly as clients receive it: JSON types, times as ISO 8601."""
        anomaly = self.anomaly
        return {
            "id": anomaly.id,
            "deviceId": anomaly.device_id,
            "kind": anomaly.kind.value,
            "field": anomaly.field,
            "fields": list(anomaly.fields),
            "priority": PRIORITY,
            "state": self.state.value,
            "detectedAt": iso(anomaly.detected_ms),
            "since": iso(anomaly.began_ms),
            "endedAt": None if anomaly.resolved_ms is None else iso(anomaly.resolved_ms),
            "outcome": None if anomaly.outcome is None else anomaly.outcome.value,
            "message": sentence(anomaly),
            "key": anomaly.key,
            "parameters": dict(anomaly.parameters),
            "unit": MEASUREMENTS_BY_NAME[anomaly.field].unit,
            "neighbour": anomaly.neighbour,
            "samples": _samples(anomaly.values),
            "neighbourSamples": _samples(anomaly.neighbour_values),
            "markedBy": self.marked_by,
            "comment": self.comment,
        }

    def to_document(self) -> dict[str, Any]:
        """Return the record for a store: JSON types."""
        return {"anomaly": self.anomaly.to_document(), "markedBy": self.marked_by, "comment": self.comment}


def _samples(values: Sequence[Sample]) -> list[dict[str, Any]]:
    return [{"at": iso(at_ms), "value": value} for at_ms, value in values]


def record_from_document(document: Mapping[str, Any]) -> AnomalyRecord:
    """Inverse of `AnomalyRecord.to_document`. Raises `RecordError` for any other document."""
    try:
        return AnomalyRecord(anomaly_from_document(document["anomaly"]), document["markedBy"], document["comment"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RecordError(f"anomaly: not a valid document: {error!r}") from error


class ChangeKind(StrEnum):
    DETECTED = "detected"
    RESOLVED = "resolved"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class AnomalyChange:
    """A change of an anomaly at a time in milliseconds since the epoch; `record` is as it is afterwards."""

    kind: ChangeKind
    at_ms: int
    record: AnomalyRecord

    @property
    def id(self) -> str:
        """24 hexadecimal digits: the time, and 52 bits of the rest; the same whenever the same readings are folded."""
        text = f"{self.record.id}\0{self.kind.value}"
        return f"{self.at_ms:011x}{blake2b(text.encode(), digest_size=8).hexdigest()[:_ID_DIGITS]}"


def change_of(event: AnomalyEvent, marked_by: str | None = None, comment: str | None = None) -> AnomalyChange:
    """Return the change that an event of the fold is; who marked the anomaly, if somebody did."""
    if event.kind is AnomalyEventKind.DETECTED:
        kind = ChangeKind.DETECTED
    else:
        kind = ChangeKind.WRONG if event.anomaly.outcome is AnomalyOutcome.WRONG else ChangeKind.RESOLVED
    return AnomalyChange(kind, event.at_ms, AnomalyRecord(event.anomaly, marked_by, comment))
