"""How long a guesser waits. Pure: the time is given.

Each attempt counts as failed until it is told to have succeeded, so that a hundred at once are a hundred. After three failures
each one costs a longer wait: from one address twice as long each time, up to five minutes; for one user, whoever asks, up to
15 s. Both come to 9 attempts in the first minute, and 4 at most in any other.

Where somebody has come in as this user before, what others fail at elsewhere does not count: he waits for his own failures
there, and for those of others there, or where he is known too, 15 s at the most. So nobody can lock a user out from where he
is known.

What is refused changes nothing that is remembered: who has to wait can push nobody's failures out by asking on.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from bridge.core.address import rate_limit_key

FREE = 3
ADDRESS_CAP_SECONDS = 300.0
USER_CAP_SECONDS = 15.0
FORGET_SECONDS = 900.0
_LIMIT = 10_000

Key = tuple[str, ...]


@dataclass(slots=True)
class _Count:
    """Failures in a row, and when the last attempt was."""

    failures: int
    at: float

    def wait(self, cap: float, now: float) -> float:
        """How many seconds too soon an attempt would be."""
        return self.at + delay_seconds(self.failures, cap) - now


class LoginAttempt:
    """One that was let through, and counts as failed until it `succeeded`, or turns out to be none."""

    def __init__(self, lockout: Lockout, pair: Key, counted: list[tuple[_Count, float, float]]) -> None:
        """Where it is counted, each with when the last attempt was before, and now."""
        self._lockout = lockout
        self._pair = pair
        self._counted = counted

    def succeeded(self) -> None:
        """It was no guess."""
        self.cancel()
        self._lockout.know(self._pair)

    def cancel(self) -> None:
        """It is not counted. Failures of before stay, or a guesser with an account would wash his off."""
        for count, before, at in self._counted:
            count.failures = max(count.failures - 1, 0)
            if count.at == at:  # nobody has tried meanwhile
                count.at = before


class Lockout:
    """The failures by address, by user, and by both; the least recent are forgotten past 10,000 of each."""

    def __init__(self) -> None:
        """Nobody has failed yet."""
        self._counts: dict[str, OrderedDict[Key, _Count]] = {}
        self._known: OrderedDict[Key, None] = OrderedDict()
        self.refused = 0
        """Attempts that came too soon."""

    def begin(self, user: str, address: str, now: float) -> LoginAttempt | float:
        """An attempt; or how many seconds too soon it came, which makes it none."""
        place = rate_limit_key(address)
        pair = (user, place)
        caps: dict[Key, float]
        if pair in self._known:
            caps = {
                ("pair", user, place): ADDRESS_CAP_SECONDS,
                ("address", place): USER_CAP_SECONDS,
                ("known user", user): USER_CAP_SECONDS,
            }
        else:
            caps = {("address", place): ADDRESS_CAP_SECONDS}
            if user:
                caps["user", user] = USER_CAP_SECONDS
        counts = {key: count for key in caps if (count := self._there(key, now)) is not None}
        wait = max((count.wait(caps[key], now) for key, count in counts.items()), default=0.0)
        if wait > 0:
            self.refused += 1
            return wait
        counted = []
        for key in caps:
            count = counts.get(key) or _Count(0, now)
            counted.append((count, count.at, now))
            count.failures, count.at = count.failures + 1, now
            self._keep(key, count)
        return LoginAttempt(self, pair, counted)

    def know(self, pair: Key) -> None:
        """This user came in from this place."""
        self._known[pair] = None
        self._known.move_to_end(pair)
        while len(self._known) > _LIMIT:
            self._known.popitem(last=False)

    def _there(self, key: Key, now: float) -> _Count | None:
        count = self._counts.get(key[0], OrderedDict[Key, _Count]()).get(key)
        return None if count is None or now - count.at > FORGET_SECONDS else count

    def _keep(self, key: Key, count: _Count) -> None:
        """As the most recent of its kind."""
        of_kind = self._counts.setdefault(key[0], OrderedDict())
        of_kind[key] = count
        of_kind.move_to_end(key)
        while len(of_kind) > _LIMIT:
            of_kind.popitem(last=False)


def delay_seconds(failures: int, cap: float) -> float:
    """How long to wait after so many failures."""
    return 0.0 if failures < FREE else float(min(2.0 ** min(failures - FREE + 1, 30), cap))
