"""Whether a rule's condition stands: votes, delays and the hold of one that chatters, in the time of the readings."""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any, Self

from bridge.alarms.rules import Rule
from bridge.alarms.states.meters import Verdict

CHATTER_RAISES = 3
CHATTER_MS = 60_000
"""Three raises within this time are chattering; the condition then stands until it was clear for this time without a break."""

_VOTES = 0b111
_VOTES_NEEDED = 2


class Change(Enum):
    SET = auto()
    CLEAR = auto()


class Tracker:
    """One rule at one device. Times are those of readings, None if what they are of has not begun."""

    __slots__ = ("clear_since_ms", "is_active", "is_held", "raises_ms", "set_since_ms", "votes")

    def __init__(self) -> None:
        self.is_active = False
        self.votes = 0
        """The last three, the newest in the lowest bit."""
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

    def observe(self, rule: Rule, verdict: Verdict, at_ms: int, *, is_continuous: bool) -> Change | None:
        """Take a verdict of a reading into account; after a gap, votes and delays begin anew."""
        if not is_continuous:
            self._restart()
        return self._observe_active(rule, verdict, at_ms) if self.is_active else self._observe_idle(rule, verdict, at_ms)

    def _restart(self) -> None:
        self.votes = 0
        self.set_since_ms = self.clear_since_ms = None

    def _observe_idle(self, rule: Rule, verdict: Verdict, at_ms: int) -> Change | None:
        if rule.two_of_three:
            self.votes = (self.votes << 1 | verdict.is_set) & _VOTES
        if not (self.votes.bit_count() >= _VOTES_NEEDED if rule.two_of_three else verdict.is_set):
            self.set_since_ms = None
            return None
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
            "setSince": self.set_since_ms,
            "clearSince": self.clear_since_ms,
            "raises": list(self.raises_ms),
            "held": self.is_held,
        }

    @classmethod
    def restored(cls, body: Mapping[str, Any]) -> Self:
        tracker = cls()
        tracker.is_active, tracker.votes, tracker.is_held = body["active"], body["votes"], body["held"]
        tracker.set_since_ms, tracker.clear_since_ms = body["setSince"], body["clearSince"]
        tracker.raises_ms = list(body["raises"])
        return tracker
