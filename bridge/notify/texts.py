"""What people read: the title and body of a message about one alarm, or about many. Alarms are public records."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bridge.alarms.defaults import DEFAULT_RULES
from bridge.alarms.rules import amount
from bridge.alarms.rules_file.rule_tables import UL_CO
from bridge.core.alarms.delivery import DeliveryKind

DISCLAIMER = "Not a life-safety device."
_LISTED = 10
_STANDARDS: Mapping[str, str] = {
    one.key: one.text for one in (*(rule.standard for rule in DEFAULT_RULES if rule.standard is not None), UL_CO)
}

PublicAlarm = Mapping[str, Any]
Groups = Counter[tuple[str, str | None]]
"""How many alarms of each rule and site."""


def title(kind: DeliveryKind, priority: str, message: str) -> str:
    """Return `CRITICAL: Carbon monoxide 212 ppm at kitchen`."""
    match kind:
        case DeliveryKind.RAISED:
            return f"{priority.upper()}: {message}"
        case DeliveryKind.REMINDER:
            return f"{priority.upper()}, not acknowledged: {message}"
        case DeliveryKind.CLEARED:
            return f"Over: {message}"


def body(kind: DeliveryKind, alarm: PublicAlarm) -> str:
    """Return since when it stands, the worst value, what to do, and the standard."""
    if kind is DeliveryKind.CLEARED:
        times = f"From {_minute(alarm['raisedAt'])} to {_minute(alarm['clearedAt'])}."
        latch = "It stays latched until somebody resets it." if alarm["latched"] else ""
        return _paragraphs(times, _values(alarm), latch, DISCLAIMER)
    since = f"Since {_minute(alarm['raisedAt'])}."
    return _paragraphs(since, _values(alarm), alarm["advice"], _source(alarm), DISCLAIMER)


def group_title(kind: DeliveryKind, priority: str, groups: Groups) -> str:
    """Return `CRITICAL: 1,234 alarms, co-ceiling at Berlin`, or of how many rules at how many sites."""
    number, sites = f"{groups.total():,} alarms", len({site for _, site in groups})
    if len(groups) > 1:
        rules = len({rule for rule, _ in groups})
        what = f"{number} of {rules} rule{'s' * (rules > 1)} at {sites} site{'s' * (sites > 1)}"
    else:
        what = f"{number}, {_group(*next(iter(groups)))}"
    return title(kind, priority, what)


def group_body(kind: DeliveryKind, alarms: Sequence[PublicAlarm], groups: Groups) -> str:
    """Return the first alarms, how many more there are, and what to do about the first; of several rules, how many each."""
    first = alarms[0] if alarms else {}
    if len(groups) > 1:
        lines = [f"First: {first.get('message', '')}"]
        lines += [f"{number:,} × {_group(*group)}" for group, number in groups.most_common(_LISTED)]
        lines += [f"and {len(groups) - _LISTED:,} more groups"] if len(groups) > _LISTED else []
    else:
        lines = [str(one["message"]) for one in alarms[:_LISTED]]
        more = groups.total() - len(lines)
        lines += [f"and {more:,} more"] if more and lines else []
    advice = "" if kind is DeliveryKind.CLEARED else str(first.get("advice", ""))
    return _paragraphs(*lines, advice, DISCLAIMER)


def _group(rule: str, site: str | None) -> str:
    return f"{rule} at {site}" if site else rule


def _values(alarm: PublicAlarm) -> str:
    unit = f" {alarm['unit']}" if alarm["unit"] else ""
    worst = (alarm["peak"] or {}).get("value")
    parts = [] if worst is None or isinstance(worst, bool) else [f"Worst value {amount(worst)}{unit}"]
    if alarm["limit"] is not None:
        parts.append(f"limit {amount(alarm['limit'])}{unit}")
    text = ", ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _source(alarm: PublicAlarm) -> str:
    text = _STANDARDS.get(alarm["standard"] or "", "")
    parts = [f"By {text}" if text else "", "indicative: this sensor is not certified for it" if alarm["indicative"] else ""]
    source = "; ".join(one for one in parts if one)
    return f"({source})" if source else ""


def _minute(at: str | None) -> str:
    return "an unknown time" if at is None else f"{at[:16].replace('T', ' ')} UTC"


def _paragraphs(*lines: str) -> str:
    return "\n".join(line for line in lines if line)
