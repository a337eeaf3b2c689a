"""From a forecast or a raised alarm to advice.

Nothing is advised about carbon monoxide, combustible gas, flames, heat, smoke or CO2 that is dangerous at once: there the words
of the alarm are all that people are told. Of the air outside nothing is claimed that a device outdoors has not measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bridge.alarms.conditions import Above, Below
from bridge.alarms.defaults import DEFAULT_RULES
from bridge.alarms.record import identifier, timed_identifier
from bridge.alarms.rules import Priority, Rule, Standard
from bridge.analysis.advice.record import Advice, AdviceReason
from bridge.core.alarms.advice import AdviceKind

PROBABILITY = 0.6
"""From this probability on a forecast is worth advice: at 90 % coverage about two of three come true."""

FORECAST_MODEL = "profile"
"""The only model whose probabilities are shown: the others are not better than the last value."""

_SILENT_RULES = frozenset({"co2-danger", "pm25-smoke", "heat"})
"""Default rules of fields below whose own words are all that people are told."""

_INDOOR_KINDS: Mapping[str, AdviceKind] = {
    "co2": AdviceKind.VENTILATE,
    "tvoc": AdviceKind.VENTILATE,
    "humidity": AdviceKind.DEHUMIDIFY,
    "temperature": AdviceKind.COOL,
}
"""What to do when a field that has its source in the room is too high."""

_PARTICLES = frozenset({"pm1", "pm25", "pm4", "pm10"})
POLLUTANTS = _PARTICLES | {"no2", "o3", "so2"}
"""Fields whose source may be indoors or outdoors."""

_COOL_C, _HEAT_C = (22.0, 35.0), (10.0, 22.0)
"""Limits of a room for people, in °C: a rule with another one is of a freezer, a boiler or a greenhouse."""

_DAMP_PERCENT = (50.0, 90.0)
_SENSOR_RULES = ("quality", "stuck-")
_KEYS: Mapping[AdviceKind, str] = {
    AdviceKind.VENTILATE: "ventilate",
    AdviceKind.CLEAN_AIR: "cleanAir",
    AdviceKind.CLOSE_WINDOWS: "closeWindows",
    AdviceKind.FIND_SOURCE: "findSource",
    AdviceKind.DEHUMIDIFY: "dehumidify",
    AdviceKind.HEAT: "heat",
    AdviceKind.COOL: "cool",
    AdviceKind.CHECK_SENSOR: "checkSensor",
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`is_outdoors` is whether the device measures the air outside; `outside` is what another one has measured there."""

    is_outdoors: bool = False
    outside: float | None = None


INDOORS = Surroundings()


def forecast_advice(prediction: Mapping[str, Any], made_ms: int, surroundings: Surroundings = INDOORS) -> Advice | None:
    """Return what a prediction, as `GET /api/v1/predictions` writes it, advises; None if nothing.

    Of several limits that are likely to be exceeded the highest counts. `at_ms` is the time of the prediction.
    """
    device_id, field = prediction["deviceId"], prediction["field"]
    if prediction["model"] != FORECAST_MODEL:
        return None
    for one in sorted(prediction["exceeds"], key=lambda each: -each["limit"]):
        limit, probability = one["limit"], one["probability"]
        if probability < PROBABILITY or _is_silent(field, limit):
            continue
        kind = _kind_above(field, limit, surroundings)
        if kind is None:
            return None
        standard = standard_of(field, limit)
        return Advice(
            id=timed_identifier(made_ms, "forecast", device_id, field),
            device_id=device_id,
            at_ms=made_ms,
            kind=kind,
            reason=AdviceReason.FORECAST,
            key=_key(kind, AdviceReason.FORECAST, surroundings),
            field=field,
            unit=prediction["unit"],
            limit=limit,
            outside=_told_outside(kind, surroundings),
            probability=round(probability, 3),
            within=one["within"],
            standard=None if standard is None else standard.key,
            source=None if standard is None else standard.text,
        )
    return None


def alarm_advice(
    rule: Rule | None, record: Mapping[str, Any], transition: str, at_ms: int, surroundings: Surroundings = INDOORS
) -> Advice | None:
    """Return what a raised alarm advises; None if nothing. `record` is `AlarmRecord.public()`, `transition` the change's id."""
    if rule is None or record["deviceId"] is None or record["priority"] == Priority.CRITICAL or rule.id in _SILENT_RULES:
        return None
    kind = _alarm_kind(rule, surroundings)
    if kind is None:
        return None
    value, standard = record["value"], rule.standard
    is_sensor = kind is AdviceKind.CHECK_SENSOR
    return Advice(
        id=timed_identifier(at_ms, "alarm", transition),
        device_id=record["deviceId"],
        at_ms=at_ms,
        kind=kind,
        reason=AdviceReason.ALARM,
        key=_key(kind, AdviceReason.ALARM, surroundings),
        field=rule.field,
        unit=rule.unit,
        limit=None if is_sensor else rule.limit,
        value=None if is_sensor else value,
        outside=_told_outside(kind, surroundings),
        standard=None if is_sensor or standard is None else standard.key,
        source=None if is_sensor or standard is None else standard.text,
        alarm=record["id"],
    )


def standard_of(field: str, limit: float) -> Standard | None:
    """Return whose limit this is, if a default rule has it."""
    rule = _rule_above(field, limit)
    return None if rule is None else rule.standard


def command_id(advice_id: str, rule: str) -> str:
    """Return the id of the command that a rule makes of advice: the same at every bridge and after every restart."""
    return identifier("action", advice_id, rule)


def urgency(advice: Advice) -> tuple[bool, float]:
    """Return what sorts first the advice of a device that counts if there is more: that of an alarm, then the likeliest."""
    return advice.reason is AdviceReason.FORECAST, -(advice.probability or 0.0)


def is_followed_by(last: Advice, advice: Advice) -> bool:
    """Whether advice may be given although `last` was given a short while ago: an alarm's supersedes that of a forecast."""
    return advice.reason is AdviceReason.ALARM and last.reason is AdviceReason.FORECAST and last.field == advice.field


def superseding(advice: Advice, last: Advice) -> Advice:
    return replace(advice, supersedes=last.id)


def _alarm_kind(rule: Rule, surroundings: Surroundings) -> AdviceKind | None:
    if rule.id.startswith(_SENSOR_RULES):
        return AdviceKind.CHECK_SENSOR
    match rule.condition:
        case Above(limit=limit) if rule.field is not None:
            return None if _is_silent(rule.field, limit) else _kind_above(rule.field, limit, surroundings)
        case Below(limit=limit) if rule.field == "temperature" and _HEAT_C[0] <= limit <= _HEAT_C[1]:
            return AdviceKind.HEAT
        case _:
            return None


def _kind_above(field: str, limit: float, surroundings: Surroundings) -> AdviceKind | None:
    if field in POLLUTANTS:
        return _pollutant_kind(field, limit, surroundings)
    if surroundings.is_outdoors:
        return None
    if field == "temperature" and not _COOL_C[0] <= limit <= _COOL_C[1]:
        return None
    if field == "humidity" and not _DAMP_PERCENT[0] <= limit <= _DAMP_PERCENT[1]:
        return None
    return _INDOOR_KINDS.get(field)


def _pollutant_kind(field: str, limit: float, surroundings: Surroundings) -> AdviceKind:
    outside = surroundings.outside
    if surroundings.is_outdoors or (outside is not None and outside >= limit):
        return AdviceKind.CLOSE_WINDOWS
    if outside is not None:
        return AdviceKind.VENTILATE
    return AdviceKind.CLEAN_AIR if field in _PARTICLES else AdviceKind.FIND_SOURCE


def _told_outside(kind: AdviceKind, surroundings: Surroundings) -> float | None:
    return surroundings.outside if kind in (AdviceKind.CLOSE_WINDOWS, AdviceKind.VENTILATE) else None


def _key(kind: AdviceKind, reason: AdviceReason, surroundings: Surroundings) -> str:
    """Return the key of the sentence. It names the air outside only where that was measured."""
    outside = "Outside" if _told_outside(kind, surroundings) is not None else ""
    return f"advice.{_KEYS[kind]}{outside}.{reason.value}"


def _rule_above(field: str, limit: float) -> Rule | None:
    for rule in DEFAULT_RULES:
        if rule.field == field and isinstance(rule.condition, Above) and rule.condition.limit == limit:
            return rule
    return None


def _is_silent(field: str, limit: float) -> bool:
    """Whether a limit is one, or beyond one, at which the words of the alarm are all that people are told."""
    return any(
        rule.field == field and isinstance(rule.condition, Above) and limit >= rule.condition.limit
        for rule in DEFAULT_RULES
        if rule.id in _SILENT_RULES
    )
