"""The standing and recently ended anomalies of one device, and the thresholds that users have raised."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bridge.analysis.anomaly.record import (
    Anomaly,
    AnomalyEvent,
    AnomalyEventKind,
    AnomalyKind,
    AnomalyOutcome,
    Evidence,
    anomaly_from_document,
    anomaly_id,
)

RECENT_LIMIT = 16
"""How many ended anomalies of a device can still be marked as wrong."""

HIGHEST_FACTOR = 8.0
_RAISE = 2.0


class Standing:
    """`factors` multiply the thresholds of a kind and field: each mark doubles one, up to eight."""

    def __init__(self, device_id: str) -> None:
        self.device_id = device_id
        self.events: list[AnomalyEvent] = []
        """Those that nobody has taken yet."""
        self.recent: list[Anomaly] = []
        self.factors: dict[str, float] = {}
        self._anomalies: dict[str, Anomaly] = {}

    @property
    def anomalies(self) -> list[Anomaly]:
        """Those that stand, in the order of their detection."""
        return list(self._anomalies.values())

    def get(self, kind: AnomalyKind, field: str) -> Anomaly | None:
        """Return the anomaly of a kind that stands for a field."""
        if not self._anomalies:
            return None
        found = self._anomalies.get(_key(kind, field))
        if found is None and kind is AnomalyKind.CROSS:
            return next((one for one in self._anomalies.values() if one.kind is kind and field in one.fields), None)
        return found

    def factor(self, kind: AnomalyKind, field: str) -> float:
        return self.factors.get(_key(kind, field), 1.0)

    def detect(self, kind: AnomalyKind, field: str, at_ms: int, evidence: Evidence) -> None:
        """Raise an anomaly, unless one of its kind stands for the field already."""
        if self.get(kind, field) is not None:
            return
        fields = tuple(sorted(evidence.fields)) or (field,)
        anomaly = Anomaly(
            id=anomaly_id(self.device_id, kind, fields[0], at_ms),
            kind=kind,
            device_id=self.device_id,
            fields=fields,
            key=evidence.key,
            began_ms=evidence.began_ms,
            detected_ms=at_ms,
            parameters=dict(evidence.parameters),
            values=evidence.values,
            neighbour=evidence.neighbour,
            neighbour_values=evidence.neighbour_values,
        )
        self._anomalies[_key(kind, fields[0])] = anomaly
        self.events.append(AnomalyEvent(AnomalyEventKind.DETECTED, at_ms, anomaly))

    def resolve(self, kind: AnomalyKind, field: str, at_ms: int, outcome: AnomalyOutcome = AnomalyOutcome.ENDED) -> None:
        """End the anomaly of a kind that stands for a field, if there is one."""
        found = self.get(kind, field)
        if found is None:
            return
        del self._anomalies[_key(kind, found.field)]
        ended = replace(found, resolved_ms=at_ms, outcome=outcome)
        self.recent = [*self.recent, ended][-RECENT_LIMIT:]
        self.events.append(AnomalyEvent(AnomalyEventKind.RESOLVED, at_ms, ended))

    def mark_wrong(self, anomaly_id: str, at_ms: int) -> Anomaly | None:
        """Raise the threshold for the fields of an anomaly and end it if it stands. Return the anomaly from before the change.

        None, and nothing changes, if it is unknown or was marked before.
        """
        for anomaly in self.anomalies:
            if anomaly.id == anomaly_id:
                self._raise_factors(anomaly)
                self.resolve(anomaly.kind, anomaly.field, max(at_ms, anomaly.detected_ms), AnomalyOutcome.WRONG)
                return anomaly
        for number, anomaly in enumerate(self.recent):
            if anomaly.id == anomaly_id and anomaly.outcome is not AnomalyOutcome.WRONG:
                self._raise_factors(anomaly)
                self.recent[number] = replace(anomaly, outcome=AnomalyOutcome.WRONG)
                self.events.append(AnomalyEvent(AnomalyEventKind.RESOLVED, at_ms, self.recent[number]))
                return anomaly
        return None

    def _raise_factors(self, anomaly: Anomaly) -> None:
        for field in anomaly.fields:
            factor = self.factor(anomaly.kind, field)
            self.factors[_key(anomaly.kind, field)] = min(factor * _RAISE, HIGHEST_FACTOR)

    def take_events(self) -> list[AnomalyEvent]:
        events, self.events = self.events, []
        return events

    def to_document(self) -> dict[str, Any]:
        return {
            "standing": [one.to_document() for one in self._anomalies.values()],
            "recent": [one.to_document() for one in self.recent],
            "factors": dict(self.factors),
        }

    def restore(self, document: Mapping[str, Any]) -> None:
        """Inverse of `to_document`. Raises KeyError, TypeError or ValueError for any other document."""
        anomalies = [anomaly_from_document(one) for one in document["standing"]]
        self._anomalies = {_key(one.kind, one.field): one for one in anomalies}
        self.recent = [anomaly_from_document(one) for one in document["recent"]]
        self.factors = {str(key): float(factor) for key, factor in document["factors"].items()}


def _key(kind: AnomalyKind, field: str) -> str:
    return f"{kind.value}/{field}"
