"""What people read: the title and body of a message about one alarm, or about many."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bridge.alarms.defaults import DEFAULT_RULES
from bridge.alarms.record import AlarmRecord
from bridge.alarms.rules import amount
from bridge.alarms.rules_file.rule_tables import UL_CO
from bridge.core.alarms.delivery import AlarmDelivery, DeliveryKind
from bridge.core.timestamp import iso

DISCLAIMER = "Not a life-safety device."
_LISTED = 10
_STANDARDS: Mapping[str, str] = {
    one.key: one.text for one in (*(rule.standard for rule in DEFAULT_RULES if rule.standard is not None), UL_CO)
}


def title(kind: DeliveryKind, priority: str, message: str) -> str:
    """Return `CRITICAL: Carbon monoxide 212 ppm at kitchen`."""
    match kind:
        case DeliveryKind.RAISED:
            return f"{priority.upper()}: {message}"
        case DeliveryKind.REMINDER:
            return f"{priority.upper()}, not acknowledged: {message}"
        case DeliveryKind.CLEARED:
            return f"Over: {message}"


def body(kind: DeliveryKind, record: AlarmRecord) -> str:
    """Return since when it stands, the worst value, what to do, and the standard."""
    if kind is DeliveryKind.CLEARED:
        times = f"From {_minute(record.raised_ms)} to {_minute(record.cleared_ms)}."
        latch = "It stays latched until somebody resets it." if record.latched else ""
        return _paragraphs(times, _values(record), latch, DISCLAIMER)
    return _paragraphs(f"Since {_minute(record.raised_ms)}.", _values(record), record.advice, _source(record), DISCLAIMER)


def group_title(deliveries: Sequence[AlarmDelivery], priority: str) -> str:
    """Return `CRITICAL: 1,234 alarms, co-ceiling at Berlin`, or without a rule if there are several."""
    first, number = deliveries[0], f"{len(deliveries):,} alarms"
    if first.kind is DeliveryKind.CLEARED:
        return f"Over: {number}{_of_group(deliveries)}"
    return f"{priority.upper()}: {number}{_of_group(deliveries)}"


def _of_group(deliveries: Sequence[AlarmDelivery]) -> str:
    groups = {(one.rule, one.site) for one in deliveries}
    if len(groups) > 1:
        sites = {one.site for one in deliveries}
        return f" of {len({one.rule for one in deliveries})} rules at {len(sites)} site{'s' * (len(sites) > 1)}"
    rule, site = groups.pop()
    return f", {rule}{f' at {site}' if site else ''}"


def group_body(deliveries: Sequence[AlarmDelivery]) -> str:
    """Return the first alarms, how many more there are, and what to do about the first; of several rules, how many each."""
    groups = Counter((one.rule, one.site) for one in deliveries)
    if len(groups) > 1:
        named = [f"{number:,} × {rule}{f' at {site}' if site else ''}" for (rule, site), number in groups.most_common(_LISTED)]
        more = len(groups) - len(named)
        lines = [
            "First: " + str(deliveries[0].alarm.get("message", "")),
            *named,
            *([f"and {more:,} more groups"] if more else []),
        ]
    else:
        lines = [str(one.alarm.get("message", "")) for one in deliveries[:_LISTED]]
        lines += [f"and {len(deliveries) - _LISTED:,} more"] if len(deliveries) > _LISTED else []
    first: Mapping[str, Any] = deliveries[0].alarm
    advice = "" if deliveries[0].kind is DeliveryKind.CLEARED else str(first.get("advice") or "")
    return _paragraphs(*lines, advice, DISCLAIMER)


def _values(record: AlarmRecord) -> str:
    unit = f" {record.unit}" if record.unit else ""
    parts = []
    if record.peak is not None and not isinstance(record.peak.value, bool):
        parts.append(f"Worst value {amount(record.peak.value)}{unit}")
    if record.limit is not None:
        parts.append(f"limit {amount(record.limit)}{unit}")
    text = ", ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _source(record: AlarmRecord) -> str:
    text = _STANDARDS.get(record.standard or "", "")
    parts = [f"By {text}" if text else "", "indicative: this sensor is not certified for it" if record.indicative else ""]
    source = "; ".join(one for one in parts if one)
    return f"({source})" if source else ""


def _minute(at_ms: int | None) -> str:
    return "an unknown time" if at_ms is None else f"{iso(at_ms)[:16].replace('T', ' ')} UTC"


def _paragraphs(*lines: str) -> str:
    return "\n".join(line for line in lines if line)
