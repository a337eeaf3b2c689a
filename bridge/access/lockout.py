"""Lockout: slows down guessing of passwords and secrets. Pure: the time is a parameter.

An attempt counts as failed until it is reported as successful, so a hundred at once are a hundred. After three failures each
further one doubles the wait: up to five minutes for an address, up to 15 s for a user from any address. Either way that is 9
attempts in the first minute, and at most 4 in any later one.

From an address where a user has logged in before, failures for that user at other addresses do not count: they wait for
their own failures there and, at most 15 s, for those of other users there or of other addresses where they have logged in.
So an attacker cannot lock a user out of an address where the user is known.

A refused attempt changes no state: a client that has to wait cannot evict the failures of others by repeating it.
"""

from collections import OrderedDict
from dataclasses import dataclass

from bridge.core.rate_limit_key import rate_limit_key

FREE = 3
ADDRESS_CAP_SECONDS = 300.0
USER_CAP_SECONDS = 15.0
FORGET_SECONDS = 900.0
_LIMIT = 10_000

Key = tuple[str, ...]


@dataclass(slots=True)
class _Count:
    """Consecutive failures, and the time of the last attempt."""

    failures: int
    at: float

    def wait(self, cap: float, now: float) -> float:
        """Seconds until the next attempt is allowed; negative if it is allowed now."""
        return self.at + delay_seconds(self.failures, cap) - now


class LoginAttempt:
    """An attempt that was allowed. It counts as failed unless it `succeeded` or is cancelled."""

    def __init__(self, lockout: "Lockout", pair: Key, counted: list[tuple[_Count, float, float]]) -> None:
        """`counted` holds each count with the times of the previous attempt and of this one."""
        self._lockout = lockout
        self._pair = pair
        self._counted = counted

    def succeeded(self) -> None:
        """Count it as a success: this user is known at this address from now on."""
        self.cancel()
        self._lockout.add_known(self._pair)

    def cancel(self) -> None:
        """Do not count it. Earlier failures remain, or an attacker could reset them with their own account."""
        for count, before, at in self._counted:
            count.failures = max(count.failures - 1, 0)
            if count.at == at:  # no other attempt since
                count.at = before


class Lockout:
    def __init__(self) -> None:
        self._counts: dict[str, OrderedDict[Key, _Count]] = {}
        self._known: OrderedDict[Key, None] = OrderedDict()
        self.refused = 0
        """Number of attempts refused because they came too soon."""

    def begin(self, user: str, address: str, now: float) -> LoginAttempt | float:
        """Begin an attempt, or return the seconds to wait if it is too soon. An empty `user` is counted by address only."""
        source = rate_limit_key(address)
        pair = (user, source)
        caps: dict[Key, float]
        if pair in self._known:
            caps = {
                ("pair", user, source): ADDRESS_CAP_SECONDS,
                ("address", source): USER_CAP_SECONDS,
                ("known user", user): USER_CAP_SECONDS,
            }
        else:
            caps = {("address", source): ADDRESS_CAP_SECONDS}
            if user:
                caps["user", user] = USER_CAP_SECONDS
        counts = {key: count for key in caps if (count := self._current(key, now)) is not None}
        wait = max((count.wait(caps[key], now) for key, count in counts.items()), default=0.0)
        if wait > 0:
            self.refused += 1
            return wait
        counted = []
        for key in caps:
            count = counts.get(key) or _Count(0, now)
            counted.append((count, count.at, now))
            count.failures, count.at = count.failures + 1, now
            self._put(key, count)
        return LoginAttempt(self, pair, counted)

    def add_known(self, pair: Key) -> None:
        """Remember that this user has logged in from this address."""
        self._known[pair] = None
        self._known.move_to_end(pair)
        while len(self._known) > _LIMIT:
            self._known.popitem(last=False)

    def _current(self, key: Key, now: float) -> _Count | None:
        count = self._counts.get(key[0], OrderedDict[Key, _Count]()).get(key)
        return None if count is None or now - count.at > FORGET_SECONDS else count

    def _put(self, key: Key, count: _Count) -> None:
        of_kind = self._counts.setdefault(key[0], OrderedDict())
        of_kind[key] = count
        of_kind.move_to_end(key)
        while len(of_kind) > _LIMIT:
            of_kind.popitem(last=False)


def delay_seconds(failures: int, cap: float) -> float:
    """Seconds to wait after so many consecutive failures."""
    return 0.0 if failures < FREE else float(min(2.0 ** min(failures - FREE + 1, 30), cap))
