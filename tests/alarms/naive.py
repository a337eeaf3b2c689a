"""A naive model of two rules at one device: it keeps all values and looks back over them each time."""

from __future__ import annotations

from dataclasses import dataclass, field

from bridge.alarms.conditions import Above
from bridge.alarms.rules import Priority, Rule

HOUR_MS = 3_600_000


@dataclass
class NaiveRule:
    rule: Rule
    above: NaiveRule | None = None
    values: list[tuple[int, float]] = field(default_factory=list)
    is_active: bool = False
    raises: list[int] = field(default_factory=list)
    state: str = "normal"
    shelved_until: int | None = None
    out_of_service: bool = False
    suppressed: bool = False
    repeat_at: int | None = None
    peak: float | None = None

    @property
    def hidden(self) -> bool:
        return self.shelved_until is not None or self.out_of_service

    @property
    def quiet(self) -> bool:
        return self.hidden or self.suppressed

    def observe(self, at_ms: int, value: float, *, after_gap: bool) -> str | None:
        """Whether the condition begins or ends to stand."""
        assert isinstance(self.rule.condition, Above)
        clear = self.rule.condition.clear
        if after_gap:
            self.values = []
        self.values.append((at_ms, value))
        if self.is_active:
            is_held = len(self.raises) >= 3 and self.raises[-1] - self.raises[-3] <= 60_000
            delay = max(self.rule.off_delay_seconds * 1000, 60_000 if is_held else 0)
            self.peak = (
                max(self.peak or value, value) if not self._lasts([v <= clear for _, v in self.values], delay) else self.peak
            )
            if self._lasts([v <= clear for _, v in self.values], delay):
                self.is_active, self.values = False, []
                return "cleared"
            return None
        if not self._lasts(self._votes(), self.rule.on_delay_seconds * 1000):
            return None
        self.is_active, self.values = True, []
        self.raises.append(at_ms)
        return "raised"

    def _votes(self) -> list[bool]:
        assert isinstance(self.rule.condition, Above)
        beyond = [v >= self.rule.condition.limit for _, v in self.values]
        return [sum(beyond[max(0, n - 2) : n + 1]) >= 2 for n in range(len(beyond))] if self.rule.two_of_three else beyond

    @property
    def confirm_at(self) -> int | None:
        """When the newest value, which is the only one beyond the limit, counts twice."""
        assert isinstance(self.rule.condition, Above)
        if not self.rule.two_of_three or self.is_active or not self.values or self._votes()[-1]:
            return None
        at_ms, value = self.values[-1]
        return at_ms + 30_000 if value >= self.rule.condition.limit else None

    def confirm(self) -> float | None:
        """At `confirm_at`: the value with which the condition begins to stand."""
        assert self.confirm_at is not None
        at_ms, value = self.confirm_at, self.values[-1][1]
        self.values.append((at_ms, value))
        if not self._lasts(self._votes(), self.rule.on_delay_seconds * 1000):
            return None
        self.is_active, self.values = True, []
        self.raises.append(at_ms)
        return value

    def _lasts(self, flags: list[bool], milliseconds: float) -> bool:
        first = len(flags)
        while first and flags[first - 1]:
            first -= 1
        return first < len(flags) and self.values[-1][0] - self.values[first][0] >= milliseconds

    def on_raised(self, value: float) -> None:
        if self.state == "normal" or self.peak is None or value > self.peak:
            self.peak = value
        self.state = "unacknowledged"
        self.repeat_at = None
        self.suppressed = self.above is not None and self.above.is_active and not self.above.hidden

    def on_cleared(self) -> None:
        if self.state == "acknowledged":
            self.state = "latched" if self.rule.latched else "normal"
        else:
            self.state = "normal" if self.quiet and not self.rule.latched else "returned"
        self.suppressed, self.repeat_at = False, None

    def update_suppression(self, now_ms: int) -> str | None:
        should = self.above is not None and self.above.is_active and not self.above.hidden
        if self.state not in ("unacknowledged", "acknowledged") or should is self.suppressed:
            return None
        self.suppressed = should
        if not should and self.repeat_at is not None and self.repeat_at <= now_ms:
            self.state, self.repeat_at = "unacknowledged", None
        return "suppressed" if should else "unsuppressed"

    def acknowledge(self, now_ms: int) -> bool:
        if self.state == "unacknowledged":
            self.state = "acknowledged"
            self.repeat_at = now_ms + (1 if self.rule.priority is Priority.CRITICAL else 8) * HOUR_MS
        elif self.state == "returned":
            self.state = "latched" if self.rule.latched else "normal"
        else:
            return False
        return True

    def show(self) -> None:
        if self.state in ("unacknowledged", "acknowledged"):
            self.state, self.repeat_at = "unacknowledged", None
