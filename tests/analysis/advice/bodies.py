"""Predictions and alarms as the bridge writes them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bridge.alarms.record import AlarmRecord, timed_identifier
from bridge.alarms.rules import Rule
from bridge.core.events import AlarmChanged
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME
from bridge.core.timestamp import iso
from tests.alarms.folding import START_MS
from tests.notify.alarms import record

HOUR_MS = 3_600_000


def prediction(
    device: str = "room-1", field: str = "co2", made_ms: int = START_MS, model: str = "profile", **probabilities: float
) -> dict[str, Any]:
    """A prediction; each of `probabilities` is of a limit, as `over_2000=0.62`."""
    exceeds = [{"limit": float(name[5:].replace("_", ".")), "within": 3, "probability": p} for name, p in probabilities.items()]
    values = [{"at": iso(made_ms + n * HOUR_MS), "mean": 900.0, "low": 700.0, "high": 1200.0} for n in range(6)]
    return {
        "deviceId": device,
        "field": field,
        "unit": MEASUREMENTS_BY_NAME[field].unit,
        "made": iso(made_ms),
        "model": model,
        "level": 0.9,
        "values": values if model == "profile" else [],
        "days": 30,
        "mase30d": 0.5,
        "coverage30d": 0.9,
        "error30d": 40.0,
        "ofPersistence30d": 0.6,
        "exceeds": exceeds,
    }


def alarm(rule: Rule, device: str = "room-1", value: float | None = 2100.0, at_ms: int = START_MS, **more: Any) -> AlarmRecord:
    """A raised alarm of a rule."""
    base = record(device, rule=rule.id, raised_ms=at_ms)
    return replace(
        base,
        id=timed_identifier(at_ms, device, rule.id),
        field=rule.field,
        unit=rule.unit,
        limit=rule.limit,
        value=value,
        priority=rule.priority,
        **more,
    )


def raised(given: AlarmRecord, kind: str = "raised") -> AlarmChanged:
    at_ms = given.raised_ms or START_MS
    transition = timed_identifier(at_ms, "transition", given.id, kind)
    return AlarmChanged(given.device_id, given.rule, at_ms, kind, given.public(), transition)
