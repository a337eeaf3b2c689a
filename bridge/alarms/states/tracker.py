"""Whether a rule's condition stands: votes, delays and the hold of one that chatters, in the time of the readings."""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any, Self

from bridge.alarms.conditions import Is
from bridge.alarms.rules import Rule
from bridge.alarms.states.meters import Verdict

CHATTER_RAISES = 3
CHATTER_MS = 60_000
"""Three raises within this time are chattering; the condition then stands until it was clear for this time without a break."""

_VOTES = 0b111
_VOTES_NEEDED = 2
_CONFIRM_MS = 30_000
_CONFIRM_LIMIT_MS = 120_000
"""A vote counts twice if no further value comes for two intervals, within these bounds: many sensors send only changes."""


class Change(Enum):
    SET = auto()
    CLEAR = auto()


class Tracker:
    """One rule at one device. Times are those of readings, None if what they are of has not begun."""

    __slots__ = ("clear_since_ms", "confirm_ms", "is_active", "is_held", "raises_ms", "set_since_ms", "votes")

    def __init__(self) -> None:
        self.is_active = False
        self.votes = 0
        """The last three, the newest in the lowest bit."""
        self.confirm_ms: int | None = None
        """When the newest vote counts twice; None if it is not the first one, or no vote."""
        self.set_since_ms: int | None = None
        self.clear_since_ms: int | None = None
        self.raises_ms: list[int] = []
        """The last raises, at most three, not older than a minute before the newest."""
        self.is_held = False

    @property
    def is_idle(self) -> bool:
        """Whether a value that is not set changes nothing."""
        return not self.is_active and not self.votes and self.set_since_ms is None

    @property
    def is_new(self) -> bool:
        """Whether there is nothing to remember."""
        return self.is_idle and not self.raises_ms

    def observe(self, rule: Rule, verdict: Verdict, at_ms: int, *, is_continuous: bool, interval_ms: int = 0) -> Change | None:
        """Take a verdict of a reading into account; after a gap, votes and delays begin anew."""
        if not is_continuous:
            self._restart()
        return (
            self._observe_active(rule, verdict, at_ms)
            if self.is_active
            else self._observe_idle(rule, verdict, at_ms, interval_ms)
        )

    def _restart(self) -> None:
        self.votes = 0
        self.confirm_ms = self.set_since_ms = self.clear_since_ms = None

    def _observe_idle(self, rule: Rule, verdict: Verdict, at_ms: int, interval_ms: int) -> Change | None:
        is_set = verdict.is_set
        if rule.two_of_three:
            self.votes = (self.votes << 1 | is_set) & _VOTES
            is_first, is_set = is_set and self.votes.bit_count() < _VOTES_NEEDED, self.votes.bit_count() >= _VOTES_NEEDED
            self.confirm_ms = at_ms + _confirm_after_ms(rule, interval_ms) if is_first else None
        if is_set:
            return self._stand(rule, at_ms)
        self.set_since_ms = None
        return None

    def confirm(self, rule: Rule, at_ms: int) -> Change | None:
        """Let the newest vote count twice, at `confirm_ms`."""
        self.confirm_ms = None
        self.votes = (self.votes << 1 | 1) & _VOTES
        return self._stand(rule, at_ms)

    def _stand(self, rule: Rule, at_ms: int) -> Change | None:
        if self.set_since_ms is None:
            self.set_since_ms = at_ms
        if at_ms - self.set_since_ms < rule.on_delay_seconds * 1000:
            return None
        self.activate(at_ms)
        return Change.SET

    def _observe_active(self, rule: Rule, verdict: Verdict, at_ms: int) -> Change | None:
        if not verdict.is_clear:
            self.clear_since_ms = None
            return None
        if self.clear_since_ms is None:
            self.clear_since_ms = at_ms
        delay_ms = max(rule.off_delay_seconds * 1000, CHATTER_MS if self.is_held else 0)
        if at_ms - self.clear_since_ms < delay_ms:
            return None
        self.deactivate()
        return Change.CLEAR

    def activate(self, at_ms: int) -> None:
        """Let the condition stand from now on, without votes or delays."""
        self._restart()
        self.is_active = True
        self.raises_ms = [*(one for one in self.raises_ms if at_ms - one <= CHATTER_MS), at_ms][-CHATTER_RAISES:]
        self.is_held = len(self.raises_ms) == CHATTER_RAISES

    def deactivate(self) -> None:
        self._restart()
        self.is_active = self.is_held = False

    def expire(self, at_ms: int) -> None:
        """Forget raises that are too old to count."""
        if self.raises_ms and at_ms - self.raises_ms[-1] > CHATTER_MS:
            self.raises_ms = []

    def public(self) -> dict[str, Any]:
        return {
            "active": self.is_active,
            "votes": self.votes,
            "confirm": self.confirm_ms,
            "setSince": self.set_since_ms,
            "clearSince": self.clear_since_ms,
            "raises": list(self.raises_ms),
            "held": self.is_held,
        }

    @classmethod
    def restored(cls, body: Mapping[str, Any]) -> Self:
        tracker = cls()
        tracker.is_active, tracker.votes, tracker.is_held = body["active"], body["votes"], body["held"]
        tracker.confirm_ms = body["confirm"]
        tracker.set_since_ms, tracker.clear_since_ms = body["setSince"], body["clearSince"]
        tracker.raises_ms = list(body["raises"])
        return tracker


def _confirm_after_ms(rule: Rule, interval_ms: int) -> int:
    return _CONFIRM_MS if isinstance(rule.condition, Is) else min(max(2 * interval_ms, _CONFIRM_MS), _CONFIRM_LIMIT_MS)
