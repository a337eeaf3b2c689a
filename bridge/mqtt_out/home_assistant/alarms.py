"""Alarm rules as binary sensors of Home Assistant: on while the alarm stands; for `connectivity`, off."""

from collections.abc import Mapping
from typing import Any

from bridge.alarms.conditions import Above, Below, Dose, Is, Silence, Unreachable
from bridge.alarms.record import ACTIVE, AlarmState
from bridge.alarms.rules import Priority, Rule

CONNECTIVITY = "connectivity"
_PROBLEM = "problem"
_BY_RULE: Mapping[str, str] = {"pm25-smoke": "smoke", "co2-danger": "gas"}
_BY_FIELD: Mapping[str, str] = {
    "coPpm": "carbon_monoxide",
    "ch4Ppm": "gas",
    "lpgPpm": "gas",
    "h2": "gas",
    "flameDetected": "safety",
}
_ATTRIBUTES = ("state", "priority", "message", "advice", "value", "unit", "limit", "standard", "indicative", "raisedAt")
_ACTIVE = frozenset(state.value for state in ACTIVE)
_LATCHING = frozenset((AlarmState.RETURNED.value, AlarmState.LATCHED.value))

Record = Mapping[str, Any]


def device_class_of(rule: Rule) -> str:
    if isinstance(rule.condition, Silence | Unreachable):
        return CONNECTIVITY
    if rule.id in _BY_RULE:
        return _BY_RULE[rule.id]
    match rule.field, rule.condition:
        case "temperature", Above():
            return "heat"
        case "temperature", Below():
            return "cold"
        case "battery", Below():
            return "battery"
        case str(field), Above() | Dose() | Is(value=True):
            return _BY_FIELD.get(field, _PROBLEM)
        case _:
            return _PROBLEM


def is_on(record: Record) -> bool:
    """Whether an alarm stands for Home Assistant: active, or latched and not reset yet; and not shelved, suppressed or out of
    service.
    """
    is_quiet = record["shelvedUntil"] is not None or record["suppressedBy"] is not None or record["outOfService"]
    return not is_quiet and (record["state"] in _ACTIVE or (record["latched"] and record["state"] in _LATCHING))


def attributes(record: Record) -> dict[str, Any]:
    """Return what the state of a standing alarm says."""
    return {name: record[name] for name in _ATTRIBUTES}


def binary_sensor(rule: Rule, topic: str) -> dict[str, Any]:
    """Return the component of a rule, without what depends on the device. `topic` is that of the device's alarms."""
    device_class = device_class_of(rule)
    on, off = ("OFF", "ON") if device_class == CONNECTIVITY else ("ON", "OFF")
    return {
        "platform": "binary_sensor",
        "name": f"Alarm {rule.id}",
        "device_class": device_class,
        "state_topic": topic,
        "value_template": f"{{{{ '{on}' if '{rule.id}' in value_json else '{off}' }}}}",
        "json_attributes_topic": topic,
        "json_attributes_template": f"{{{{ value_json['{rule.id}'] | default({{}}) | tojson }}}}",
        **({"entity_category": "diagnostic"} if rule.priority is Priority.LOW else {}),
    }
