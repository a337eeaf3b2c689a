"""Rules, prepared for the fold: which of them apply to a device, field by field, and which values need no look at them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf

from bridge.alarms.conditions import Bounds, ChangesBy, ClockWrong, FlaggedShare, Is, Missing, Silence, Unchanged, Unreachable
from bridge.alarms.rules import Priority, Rule, ordered
from bridge.alarms.scope import DeviceFacts
from bridge.alarms.states.meters import bounds_of
from bridge.core.readings.measurements import Value

_SHAPES_LIMIT = 1000
_Checks = tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """The rules of a field. Values strictly within `bounds` set none of them; None: each value must be measured.

    `averaged_bounds` are those of the rules with an average: after a value beyond them, one over up to `span_ms` can be set.
    """

    rules: tuple[Rule, ...]
    bounds: Bounds | None
    averaged_bounds: Bounds
    span_ms: int
    widths_ms: frozenset[int]
    ids: frozenset[str]
    has_memory: bool
    """Whether a rule measures values within its bounds too."""

    def is_calm(self, value: float) -> bool:
        """Whether no rule that has no state yet needs this value."""
        return not self.has_memory and self.bounds is not None and self.bounds[0] < value < self.bounds[1]

    def heats(self, value: float) -> bool:
        """Whether an average that has this value in it can be set."""
        low, high = self.averaged_bounds
        return not low < value < high


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """The rules that apply to a device. Values strictly within the bounds of `past_bounds` are beyond no limit."""

    fields: Mapping[str, FieldPlan]
    past_bounds: Mapping[str, Bounds]
    expected: frozenset[str]
    """The fields of numbers with a critical rule."""
    no_data: tuple[Rule, ...]
    missing: tuple[Rule, ...]
    flagged: tuple[Rule, ...]
    clock: tuple[Rule, ...]
    ids: frozenset[str]
    _past_checks: dict[tuple[str, ...], tuple[_Checks, _Checks]] = field(default_factory=dict)

    def may_tell_of(self, values: Mapping[str, Value]) -> bool:
        """Whether readings with these values that came too late may be beyond a limit. Nine fields take half a microsecond."""
        names = (*values,)
        above, below = self._past_checks.get(names) or self._check_past(names)
        try:
            for name, limit in above:
                if not values[name] < limit:  # type: ignore[operator]
                    return True
            for name, limit in below:
                if not values[name] > limit:  # type: ignore[operator]
                    return True
        except TypeError:  # a text
            return True
        return False

    def _check_past(self, names: tuple[str, ...]) -> tuple[_Checks, _Checks]:
        """Return the fields with a limit above them, and those with one below."""
        if len(self._past_checks) >= _SHAPES_LIMIT:
            self._past_checks.clear()
        bounds = [(name, *self.past_bounds[name]) for name in names if name in self.past_bounds]
        found = self._past_checks[names] = (
            tuple((name, high) for name, _, high in bounds if high != inf),
            tuple((name, low) for name, low, _ in bounds if low != -inf),
        )
        return found


class RuleBook:
    """The rules in force, in the order in which they are evaluated. Devices with the same rules share a plan."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        """Raise `RuleError` if the rules do not fit together."""
        self.rules = ordered(rules)
        self.by_id = {rule.id: rule for rule in self.rules}
        self.order = {rule.id: number for number, rule in enumerate(self.rules)}
        self.unavailable = tuple(rule for rule in self.rules if isinstance(rule.condition, Unreachable))
        self._plans: dict[tuple[str, ...], DevicePlan] = {}

    def plan(self, device_id: str, facts: DeviceFacts) -> DevicePlan:
        rules = tuple(
            rule for rule in self.rules if not isinstance(rule.condition, Unreachable) and rule.applies(device_id, facts)
        )
        key = tuple(rule.id for rule in rules)
        found = self._plans.get(key)
        if found is None:
            found = self._plans[key] = _device_plan(rules)
        return found


def _device_plan(rules: tuple[Rule, ...]) -> DevicePlan:
    by_field: dict[str, list[Rule]] = {}
    for rule in rules:
        if rule.field is not None:
            by_field.setdefault(rule.field, []).append(rule)
    return DevicePlan(
        {name: _field_plan(tuple(found)) for name, found in by_field.items()},
        {name: _past_bounds(found) for name, found in by_field.items()},
        frozenset(name for name, found in by_field.items() if any(_is_expected(rule) for rule in found)),
        tuple(rule for rule in rules if isinstance(rule.condition, Silence)),
        tuple(rule for rule in rules if isinstance(rule.condition, Missing)),
        tuple(rule for rule in rules if isinstance(rule.condition, FlaggedShare)),
        tuple(rule for rule in rules if isinstance(rule.condition, ClockWrong)),
        frozenset(rule.id for rule in rules),
    )


def _field_plan(rules: tuple[Rule, ...]) -> FieldPlan:
    averaged = [rule for rule in rules if rule.averaging is not None]
    return FieldPlan(
        rules,
        _narrowest(rules),
        _narrowest(averaged) or (-inf, inf),
        max((rule.averaging.span_ms + rule.averaging.width_ms for rule in averaged if rule.averaging), default=0),
        frozenset(rule.averaging.width_ms for rule in averaged if rule.averaging),
        frozenset(rule.id for rule in rules),
        any(isinstance(rule.condition, Unchanged | ChangesBy) for rule in rules),
    )


def _narrowest(rules: Iterable[Rule]) -> Bounds | None:
    low, high = -inf, inf
    for rule in rules:
        bounds = bounds_of(rule)
        if bounds is None:
            return None
        low, high = max(low, bounds[0]), min(high, bounds[1])
    return (low, high) if low < high else None


def _is_expected(rule: Rule) -> bool:
    return rule.priority is Priority.CRITICAL and not isinstance(rule.condition, Is)


def _past_bounds(rules: Iterable[Rule]) -> Bounds:
    levels = [rule.past_level for rule in rules]
    low = max((level.bounds[0] for level in levels if level is not None), default=-inf)
    return low, min((level.bounds[1] for level in levels if level is not None), default=inf)


def has_critical(plan: DevicePlan, names: Iterable[str]) -> bool:
    """Whether one of these fields has a critical rule."""
    fields = (plan.fields[name] for name in names if name in plan.fields)
    return any(rule.priority is Priority.CRITICAL for field in fields for rule in field.rules)
