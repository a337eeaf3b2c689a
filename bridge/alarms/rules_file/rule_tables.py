"""The tables `[rules.ID]` of the rules file: changes of default rules, and rules of one's own."""

from dataclasses import replace
from typing import Annotated, Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, Strict, StrictBool, StrictStr, field_validator

from bridge.alarms.co_dose import PROFILES, UL_2034
from bridge.alarms.conditions import (
    HOUR_MINUTES,
    Above,
    Averaging,
    Below,
    ChangesBy,
    ClockWrong,
    Condition,
    Dose,
    FieldCondition,
    FlaggedShare,
    Is,
    Mean,
    Missing,
    NowCast,
    Outside,
    Silence,
    Unchanged,
    Unreachable,
)
from bridge.alarms.rules import Priority, Rule, Standard
from bridge.alarms.scope import DAYS, Hours, RuleScope
from bridge.core.errors import RuleError
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME

Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Integer = Annotated[int, Strict()]
Names = Annotated[tuple[Annotated[StrictStr, Field(min_length=1, max_length=128)], ...], Field(min_length=1, max_length=1000)]
Clock = Annotated[StrictStr, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Text = Annotated[StrictStr, Field(min_length=1, max_length=500)]

CONDITION_KEYS = ("above", "below", "outside", "is", "changes_by", "unchanged", "dose")
"""One of these in each rule of one's own."""

UL_CO = Standard("standard.ulCo", "UL 2034")


class Table(BaseModel):
    """A table of the rules file. Unknown keys are mistakes, so that a misspelt one is not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)


def check_zone(zone: str) -> str:
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, KeyError):
        raise ValueError("is no time zone: must be an IANA name, as Europe/Berlin or UTC") from None
    return zone


def minute_of_day(clock: str) -> int:
    hours, _, minutes = clock.partition(":")
    return int(hours) * 60 + int(minutes)


class DayTimesTable(Table):
    """Hours of a day, past midnight if `to` is not later than `from`."""

    start: Clock = Field(alias="from")
    end: Clock = Field(alias="to")
    zone: StrictStr = "UTC"

    @field_validator("zone")
    @classmethod
    def _check_zone(cls, zone: str) -> str:
        return check_zone(zone)

    def hours(self, days: frozenset[int] = frozenset(range(7))) -> Hours:
        return Hours(days, minute_of_day(self.start), minute_of_day(self.end), self.zone)


class HoursTable(DayTimesTable):
    days: StrictStr = "mon-sun"

    @field_validator("days")
    @classmethod
    def _check_days(cls, days: str) -> str:
        parse_days(days)
        return days


def parse_days(text: str) -> frozenset[int]:
    """Return the days of `mon-fri,sun`, 0 for Monday. Raises `ValueError`."""
    days: set[int] = set()
    for part in text.lower().replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            raise ValueError(f"is {text!r}: must be days of {' '.join(DAYS)} and ranges of them, as mon-fri,sun")
        start, end = DAYS.index(first), DAYS.index(last or first)
        days |= {day % 7 for day in range(start, end + 1 + (7 if end < start else 0))}
    return frozenset(days)


class ChangesTable(Table):
    by: Number
    seconds: Number


class RuleTable(Table):
    """All keys that a rule may have; which of them fit depends on its condition."""

    enabled: StrictBool = True
    field: StrictStr | None = None
    above: Number | None = None
    below: Number | None = None
    outside: tuple[Number, Number] | None = None
    is_: StrictBool | None = Field(None, alias="is")
    changes_by: ChangesTable | None = None
    unchanged: Number | None = None
    dose: Literal["en50291", "ul2034"] | None = None
    limit: Number | None = None
    clear: Number | None = None
    mean: Integer | None = None
    nowcast: Literal[True] | None = None
    intervals: Integer | None = None
    seconds: Number | None = None
    share: Number | None = None
    minutes: Integer | None = None
    readings: Integer | None = None
    on_delay: Number | None = None
    off_delay: Number | None = None
    priority: Priority | None = None
    latched: StrictBool | None = None
    two_of_three: StrictBool | None = None
    devices: Names = ()
    rooms: Names = ()
    sites: Names = ()
    hours: HoursTable | None = None
    message: Text | None = None
    advice: Text | None = None

    @property
    def keys(self) -> frozenset[str]:
        """The keys that the table has, as they are written."""
        return frozenset("is" if name == "is_" else name for name in self.model_fields_set)

    @property
    def scope(self) -> RuleScope:
        hours = None if self.hours is None else self.hours.hours(parse_days(self.hours.days))
        return RuleScope(self.devices, self.rooms, self.sites, hours)


class Mistake(NamedTuple):
    """What is wrong with one key of a table; the key is empty if it is the whole table."""

    key: str
    text: str


_COMMON_KEYS = frozenset(
    ("enabled", "on_delay", "off_delay", "priority", "latched", "two_of_three", "devices", "rooms", "sites", "hours")
) | {"message", "advice"}
_CHANGES: dict[type[Any], tuple[str, ...]] = {
    Above: ("limit", "clear"),
    Below: ("limit", "clear"),
    Is: (),
    Dose: ("dose",),
    Unchanged: ("unchanged",),
    Silence: ("intervals", "seconds"),
    Missing: ("intervals", "seconds"),
    FlaggedShare: ("share", "clear", "minutes"),
    ClockWrong: ("readings",),
    Unreachable: ("seconds",),
}
"""The keys that change the condition of a default rule."""


def condition_keys(rule: Rule) -> tuple[str, ...]:
    """Return the keys that change what raises a default rule."""
    return (*_CHANGES[type(rule.condition)], *(("mean",) if isinstance(rule.averaging, Mean) else ()))


def changed_rule(rule: Rule, table: RuleTable) -> Rule | list[Mistake]:
    """Return a default rule with the changes of a table. A clear limit that is not given moves with the limit."""
    allowed = condition_keys(rule)
    if wrong := sorted(table.keys - _COMMON_KEYS - set(allowed)):
        may = ", ".join((*allowed, *sorted(_COMMON_KEYS)))
        return [Mistake(key, f"cannot be changed in a default rule of this kind; allowed: {may}") for key in wrong]
    try:
        mean = rule.averaging if table.mean is None else Mean(table.mean)
        condition = _changed_condition(rule.condition, table)
        moved = rule.averaging != mean or rule.condition != condition
        changed = replace(
            rule,
            condition=condition,
            averaging=mean,
            standard=_changed_standard(rule, condition) if moved else rule.standard,
            message=rule.message.replace(_span_text(rule.condition, rule.averaging), _span_text(condition, mean)),
            critical_fields_priority=None if table.priority else rule.critical_fields_priority,
        )
        return _with_common(changed, table)
    except RuleError as error:
        return [Mistake("", _without_id(error, rule.id))]


def _span_text(condition: Condition, averaging: Averaging | None) -> str:
    """Return the time that a message of a default rule names; such a message must not name another one."""
    match condition, averaging:
        case Unchanged(hours), _:
            number, unit = hours, "hour"
        case _, Mean(minutes) if minutes % HOUR_MINUTES:
            number, unit = minutes, "minute"
        case _, Mean(minutes):
            number, unit = minutes / HOUR_MINUTES, "hour"
        case _:
            return ""
    return f"{number:g} {unit}" if number == 1 else f"{number:g} {unit}s"


def _changed_standard(rule: Rule, condition: Condition) -> Standard | None:
    """A limit of one's own is not that of the standard."""
    if isinstance(condition, Dose):
        return UL_CO if condition.profile is UL_2034 else rule.standard
    return None


def _changed_condition(condition: Condition, table: RuleTable) -> Condition:
    match condition:
        case Above(limit, clear) | Below(limit, clear):
            new = limit if table.limit is None else table.limit
            return type(condition)(new, clear * (new / limit if limit else 1) if table.clear is None else table.clear)
        case Dose():
            return condition if table.dose is None else Dose(PROFILES[table.dose])
        case Unchanged():
            return condition if table.unchanged is None else Unchanged(table.unchanged)
        case Silence() | Missing():
            return type(condition)(_or(table.intervals, condition.intervals), _or(table.seconds, condition.least_seconds))
        case FlaggedShare():
            share = _or(table.share, condition.share)
            clear = _or(table.clear, min(condition.clear, share))
            return FlaggedShare(share, clear, _or(table.minutes, condition.minutes))
        case ClockWrong():
            return ClockWrong(_or(table.readings, condition.readings))
        case Unreachable():
            return Unreachable(condition.component, _or(table.seconds, condition.seconds))
        case _:
            return condition


def _or(value: Any, otherwise: Any) -> Any:  # noqa: ANN401 - both are of one type
    return otherwise if value is None else value


def own_rule(rule_id: str, table: RuleTable) -> Rule | list[Mistake]:
    """Return the rule of one's own that a table describes."""
    mistakes: list[Mistake] = []
    if table.field is None:
        mistakes.append(Mistake("field", f"is missing: no default rule is called {rule_id!r}; {_fields_text()}"))
    elif table.field not in MEASUREMENTS_BY_NAME:
        mistakes.append(Mistake("field", f"is {table.field!r}: {_fields_text()}"))
    given = [key for key in CONDITION_KEYS if key in table.keys]
    if len(given) != 1:
        fault = f"has {' and '.join(given)}" if given else "has no condition"
        mistakes.append(Mistake("", f"{fault}: must have one of {', '.join(CONDITION_KEYS)}"))
    wrong = [key for key in ("limit", "intervals", "seconds", "share", "minutes", "readings") if key in table.keys]
    what = f"is for default rules: this one must have one of {', '.join(CONDITION_KEYS)}"
    mistakes += [Mistake(key, what) for key in wrong]
    if "mean" in table.keys and "nowcast" in table.keys:
        mistakes.append(Mistake("nowcast", "must not be set beside mean"))
    if mistakes:
        return mistakes
    try:
        return _with_common(_new_rule(rule_id, table), table)
    except RuleError as error:
        return [Mistake("", _without_id(error, rule_id))]


def _new_rule(rule_id: str, table: RuleTable) -> Rule:
    averaging = NowCast() if table.nowcast else None if table.mean is None else Mean(table.mean)
    label = MEASUREMENTS_BY_NAME[table.field or ""].label
    return Rule(
        id=rule_id,
        field=table.field,
        condition=_new_condition(table),
        averaging=averaging,
        priority=Priority.MEDIUM,
        message=f"{label} {{value}} at {{place}}" if table.is_ is None else f"{label} at {{place}}",
        advice="",
    )


def _new_condition(table: RuleTable) -> FieldCondition:
    clear = table.clear
    if table.above is not None:
        return Above(table.above, table.above if clear is None else clear)
    if table.below is not None:
        return Below(table.below, table.below if clear is None else clear)
    if table.outside is not None:
        return Outside(*table.outside, clear or 0.0)
    if table.changes_by is not None:
        by = table.changes_by.by
        return ChangesBy(by, table.changes_by.seconds, by / 2 if clear is None else clear)
    if clear is not None:
        raise RuleError("clear is set: it is for above, below, outside and changes_by")
    if table.unchanged is not None:
        return Unchanged(table.unchanged)
    return Dose(PROFILES[table.dose]) if table.dose is not None else Is(bool(table.is_))


def _with_common(rule: Rule, table: RuleTable) -> Rule:
    given = {
        "on_delay_seconds": table.on_delay,
        "off_delay_seconds": table.off_delay,
        "priority": table.priority,
        "latched": table.latched,
        "two_of_three": table.two_of_three,
        "message": table.message,
        "advice": table.advice,
    }
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return replace(rule, **changes, scope=table.scope)


def _fields_text() -> str:
    return f"must be one of {', '.join(MEASUREMENTS_BY_NAME)}"


def _without_id(error: RuleError, rule_id: str) -> str:
    return str(error).removeprefix(f"rule {rule_id!r}: ")
