"""An anomaly: a named physical fault of a sensor with its evidence, and the events that tell of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from hashlib import blake2b
from typing import Any

from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME

Sample = tuple[int, float]
"""A time (milliseconds since the epoch) and a value at it, in the unit of the field."""

_ID_DIGITS = 13


class AnomalyKind(StrEnum):
    STUCK = "stuck"
    """The value does not change, for longer than it ever did."""
    SATURATED = "saturated"
    """The value is at the end of the sensor's range: the true one may be beyond it."""
    WARM_UP = "warm-up"
    """After a pause the value is outside all that the sensor showed before, and is settling."""
    SPIKE = "spike"
    """Single values far from both neighbours in time, several within a day."""
    STEP = "step"
    """The level jumped within one interval, and stayed."""
    DRIFT = "drift"
    """The level moves away from that of neighbours in the room."""
    CROSS = "cross"
    """Several fields of one sensor element jump or freeze together."""
    UNUSUAL = "unusual"
    """Hourly means outside the interval of the forecast."""


class AnomalyOutcome(StrEnum):
    """How an anomaly ended."""

    ENDED = "ended"
    """The rule does not apply any more."""
    ACCEPTED = "accepted"
    """It lasted so long that the new behaviour counts as normal."""
    WRONG = "wrong"
    """A person marked it as wrong."""


class AnomalyEventKind(StrEnum):
    DETECTED = "detected"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly:
    """One anomaly of a device. Times are milliseconds since the epoch, UTC; values are in the unit of their field.

    `fields` are sorted; only `cross` has several. `key` and `parameters` make the sentence, see `sentences.py`; the parameters
    contain the numbers of the rule. `values` are the readings or means that it was judged by, and `neighbour_values` those of
    the neighbour at the same times.
    """

    id: str
    kind: AnomalyKind
    device_id: str
    fields: tuple[str, ...]
    key: str
    began_ms: int
    detected_ms: int
    parameters: Mapping[str, float]
    values: tuple[Sample, ...] = ()
    neighbour: str | None = None
    neighbour_values: tuple[Sample, ...] = ()
    resolved_ms: int | None = None
    outcome: AnomalyOutcome | None = None

    @property
    def field(self) -> str:
        """The first field, under which the anomaly stands."""
        return self.fields[0]

    def to_document(self) -> dict[str, Any]:
        """Return the anomaly for a store or a checkpoint: JSON types, times in milliseconds."""
        document = {name: getattr(self, name) for name in _FIELDS}
        return document | {
            "kind": self.kind.value,
            "fields": list(self.fields),
            "parameters": dict(self.parameters),
            "values": [list(one) for one in self.values],
            "neighbour_values": [list(one) for one in self.neighbour_values],
            "outcome": self.outcome and self.outcome.value,
        }


_FIELDS = tuple(one.name for one in fields(Anomaly))


def check_numbers(given: Iterable[object]) -> None:
    """Raise `TypeError` unless all are numbers."""
    for one in given:
        if not isinstance(one, int | float) or isinstance(one, bool):
            raise TypeError(f"not a number: {one!r}")


def anomaly_from_document(document: Mapping[str, Any]) -> Anomaly:
    """Inverse of `Anomaly.to_document`. Raises KeyError, TypeError or ValueError for any other document."""
    values = dict(document)
    values["kind"] = AnomalyKind(values["kind"])
    values["fields"] = tuple(values["fields"])
    values["outcome"] = None if values["outcome"] is None else AnomalyOutcome(values["outcome"])
    for name in ("values", "neighbour_values"):
        values[name] = tuple((at_ms, value) for at_ms, value in values[name])
        check_numbers(number for sample in values[name] for number in sample)
    anomaly = Anomaly(**values)
    check_numbers((anomaly.began_ms, anomaly.detected_ms, *anomaly.parameters.values()))
    if not anomaly.fields or not set(anomaly.fields) <= MEASUREMENTS_BY_NAME.keys():
        raise ValueError(f"fields of an anomaly: {anomaly.fields}")
    return anomaly


@dataclass(frozen=True, slots=True)
class AnomalyEvent:
    """An anomaly was detected or resolved, at a time by the clock of the readings; `anomaly` is as it is afterwards."""

    kind: AnomalyEventKind
    at_ms: int
    anomaly: Anomaly


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a rule found: the sentence's key and parameters, the evidence, and since when."""

    key: str
    began_ms: int
    parameters: Mapping[str, float]
    values: tuple[Sample, ...] = ()
    neighbour: str | None = None
    neighbour_values: tuple[Sample, ...] = ()
    fields: tuple[str, ...] = field(default=())
    """The fields; empty for the one that was judged."""


def anomaly_id(device_id: str, kind: AnomalyKind, name: str, at_ms: int) -> str:
    """Return 24 hexadecimal digits: the time, so that later ones sort after earlier ones, and 52 bits of the rest."""
    text = "\0".join((device_id, kind.value, name, str(at_ms)))
    return f"{at_ms:011x}{blake2b(text.encode(errors='surrogatepass'), digest_size=8).hexdigest()[:_ID_DIGITS]}"
