"""How long a guesser waits. Pure: the time is given.

Each attempt counts as failed until it is told to have succeeded, so that a hundred at once are a hundred. After three failures
each one costs a longer wait: from one address twice as long each time, up to five minutes; for one user, whoever asks, up to
15 s. Both come to 8 attempts in the first minute, and fewer in any other.

Who has come in as this user from this address before is asked to wait by his own failures alone: so nobody can lock a user out
from where he is known, and elsewhere never for longer than 15 s at a time.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from bridge.core.address import place_of

FREE = 3
ADDRESS_CAP_SECONDS = 300.0
USER_CAP_SECONDS = 15.0
FORGET_SECONDS = 900.0
_LIMIT = 10_000

Key = tuple[str, ...]


@dataclass(slots=True)
class _Count:
    """Failures in a row, when the next attempt may be, and when this was last touched."""

    failures: int = 0
    until: float = 0.0
    at: float = 0.0


class Attempt:
    """One that was let through, and counts as failed until `succeeded`."""

    def __init__(self, lockout: Lockout, key: Key, counts: list[tuple[_Count, float, float]]) -> None:
        """Where it is counted, each with the end of its wait before and now."""
        self._lockout = lockout
        self._key = key
        self._counts = counts

    def succeeded(self) -> None:
        """It was no guess: it is not counted. Failures of before stay, or a guesser with an account would wash his off."""
        for count, before, after in self._counts:
            count.failures = max(count.failures - 1, 0)
            if count.until == after:  # nobody has failed meanwhile
                count.until = before
        self._lockout.know(self._key)


class Lockout:
    """The failures of users and addresses; the least recent are forgotten past 10,000 of each."""

    def __init__(self) -> None:
        """Nobody has failed yet."""
        self._counts: OrderedDict[Key, _Count] = OrderedDict()
        self._known: OrderedDict[Key, None] = OrderedDict()
        self.refused = 0
        """Attempts that came too soon."""

    def begin(self, user: str, address: str, now: float) -> Attempt | float:
        """An attempt; or how many seconds too soon it came, which makes it none."""
        place = place_of(address)
        pair = ("pair", user, place)
        known = pair in self._known
        keys: list[tuple[Key, float]] = [(pair, ADDRESS_CAP_SECONDS)]
        if not known:
            keys = [(("address", place), ADDRESS_CAP_SECONDS)]
            keys += [(("user", user), USER_CAP_SECONDS)] if user else []
        counts = [(self._count(key, now), cap) for key, cap in keys]
        wait = max(count.until - now for count, _ in counts)
        if wait > 0:
            self.refused += 1
            return wait
        counted = []
        for count, cap in counts:
            before, count.failures, count.at = count.until, count.failures + 1, now
            count.until = now + delay_seconds(count.failures, cap)
            counted.append((count, before, count.until))
        return Attempt(self, pair, counted)

    def know(self, pair: Key) -> None:
        """This user came in from this place."""
        self._known[pair] = None
        self._known.move_to_end(pair)
        while len(self._known) > _LIMIT:
            self._known.popitem(last=False)

    def _count(self, key: Key, now: float) -> _Count:
        count = self._counts.setdefault(key, _Count())
        self._counts.move_to_end(key)
        while len(self._counts) > 2 * _LIMIT:
            self._counts.popitem(last=False)
        if now - count.at > FORGET_SECONDS:
            count.failures = 0
        return count


def delay_seconds(failures: int, cap: float) -> float:
    """How long to wait after so many failures."""
    return 0.0 if failures < FREE else float(min(2.0 ** min(failures - FREE + 1, 30), cap))
