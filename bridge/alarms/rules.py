"""A rule: what raises an alarm, where, how urgent it is, and what to do."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from bridge.alarms.conditions import (
    Above,
    Averaging,
    Below,
    ChangesBy,
    ClockWrong,
    Condition,
    Dose,
    FlaggedShare,
    Is,
    Missing,
    Outside,
    Silence,
    Unchanged,
    Unreachable,
)
from bridge.alarms.scope import EVERYWHERE, DeviceFacts, RuleScope
from bridge.core.errors import RuleError
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME, Flag

_ID = re.compile(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?", re.ASCII)
_LONGEST_DELAY_SECONDS = 86_400.0
_TEXT_LENGTH = 500
RULES_LIMIT = 500


class Priority(StrEnum):
    """How urgent an alarm is; the lowest is for pages only."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Standard:
    """Where a limit comes from: a key of the message catalogues, and the same in English."""

    key: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. `field` is None where the condition concerns the device or the bridge.

    `two_of_three` asks that of the last three values two are set; a delay begins then. Delays run in the time of the readings.
    `{value}` and `{place}` in `message` and `advice` are replaced. While a rule of `suppressed_by` stands at the same device,
    an alarm of this one is not announced. `critical_fields_priority` replaces the priority at devices with a critical rule.
    """

    id: str
    condition: Condition
    priority: Priority
    message: str
    advice: str
    field: str | None = None
    averaging: Averaging | None = None
    two_of_three: bool = False
    on_delay_seconds: float = 0.0
    off_delay_seconds: float = 0.0
    latched: bool = False
    standard: Standard | None = None
    indicative: bool = False
    suppressed_by: tuple[str, ...] = ()
    scope: RuleScope = EVERYWHERE
    critical_fields_priority: Priority | None = None

    def __post_init__(self) -> None:
        """Raise `RuleError`, whose text begins with the id."""
        try:
            self._check()
        except RuleError as error:
            raise RuleError(f"rule {self.id!r}: {error}") from None

    def _check(self) -> None:
        if not _ID.fullmatch(self.id):
            raise RuleError("the id must be 1 to 64 of a-z 0-9 -, beginning and ending with a letter or digit")
        if isinstance(self.condition, Silence | Missing | FlaggedShare | ClockWrong | Unreachable):
            if self.field is not None:
                raise RuleError("a condition of the device has no field")
        else:
            self._check_field(self.field)
        if self.averaging is not None and not isinstance(self.condition, Above | Below | Outside):
            raise RuleError("a mean must be above, below or outside a limit")
        for name, seconds in (("on_delay", self.on_delay_seconds), ("off_delay", self.off_delay_seconds)):
            if not 0 <= seconds <= _LONGEST_DELAY_SECONDS:
                raise RuleError(f"{name} is {seconds:g}: must be 0 to 86400 seconds")
        if max(len(self.message), len(self.advice)) > _TEXT_LENGTH:
            raise RuleError(f"message and advice: must have at most {_TEXT_LENGTH} characters")

    def _check_field(self, name: str | None) -> None:
        measurement = MEASUREMENTS_BY_NAME.get(name or "")
        if measurement is None:
            raise RuleError(f"field is {name!r}: must be one of {', '.join(MEASUREMENTS_BY_NAME)}")
        if isinstance(measurement, Flag) is not isinstance(self.condition, Is):
            raise RuleError(f"field {name!r}: must have the condition `is` if it is true or false, and another one otherwise")
        if isinstance(self.condition, Dose) and name != "coPpm":
            raise RuleError(f"field is {name!r}: a dose must be of coPpm")

    @property
    def unit(self) -> str | None:
        """The unit of the value; None for a boolean or a device's condition."""
        return (MEASUREMENTS_BY_NAME[self.field].unit or None) if self.field else None

    @property
    def limit(self) -> float | None:
        """The limit to show, in `unit`; None where there is none or more than one."""
        match self.condition:
            case Above(limit=limit) | Below(limit=limit):
                return limit
            case ChangesBy(by=by):
                return by
            case _:
                return None

    @property
    def past_level(self) -> "Above | Below | Outside | Is | None":
        """The level that readings which came too late are compared with, one by one; None: nothing is told of them."""
        match self.condition:
            case Dose(profile=profile):
                return Above(profile.past_ppm, profile.least_ppm)
            case Above() | Below() | Outside() | Is():
                return self.condition
            case ChangesBy() | Unchanged() | Silence() | Missing() | FlaggedShare() | ClockWrong() | Unreachable():
                return None

    @property
    def past_least_ms(self) -> int:
        """How long late values must be beyond the level: a single one says nothing about an average."""
        return 0 if self.averaging is None else self.averaging.certain_ms

    def applies(self, device_id: str, facts: DeviceFacts) -> bool:
        return not facts.is_retired and self.scope.includes(device_id, facts)

    def texts(self, value: float | bool | None, place: str) -> tuple[str, str]:
        """Return message and advice for a value at a place."""
        shown = "" if value is None or isinstance(value, bool) else f"{amount(value)} {self.unit or ''}".strip()
        message, advice = (text.replace("{value}", shown).replace("{place}", place) for text in (self.message, self.advice))
        return message, advice


def amount(value: float) -> str:
    """Return a number for people: 12,400 · 212 · 34.5."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}".removesuffix(".0")


def ordered(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Return rules such that one that suppresses others stands before them, otherwise in the given order.

    Raises `RuleError` if two have the same id, if there are too many, or if they suppress each other.
    """
    by_id: dict[str, Rule] = {}
    for rule in rules:
        if rule.id in by_id:
            raise RuleError(f"rule {rule.id!r}: this id is used twice")
        by_id[rule.id] = rule
    if len(by_id) > RULES_LIMIT:
        raise RuleError(f"{len(by_id)} rules: must be at most {RULES_LIMIT}")
    placed: dict[str, Rule] = {}
    for rule in by_id.values():
        _place(rule, by_id, placed, ())
    return tuple(placed.values())


def _place(rule: Rule, by_id: dict[str, Rule], placed: dict[str, Rule], path: tuple[str, ...]) -> None:
    if rule.id in path:
        raise RuleError(f"rule {rule.id!r}: rules suppress each other: {' < '.join((*path, rule.id))}")
    if rule.id in placed:
        return
    for above in rule.suppressed_by:
        if above in by_id:
            _place(by_id[above], by_id, placed, (*path, rule.id))
    placed[rule.id] = rule
