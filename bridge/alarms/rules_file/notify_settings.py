"""Who is told of alarms, as `[[notify]]` and `[watchdog]` of the rules file say it."""

from dataclasses import dataclass, field
from functools import lru_cache

from bridge.alarms.rules import Priority
from bridge.alarms.scope import DAY_MINUTES, EVERYWHERE, Hours, RuleScope

_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Hours of each day in which a target is told only of alarms with a priority in `but`; of the others at their end."""

    hours: Hours
    but: frozenset[Priority] = frozenset()

    def end_ms(self, at_ms: int, priority: Priority) -> int:
        """Return when an alarm of this priority may be told: `at_ms`, or the end of the quiet hours."""
        if priority in self.but or not self.hours.contains(at_ms):
            return at_ms
        return _end_minute(self.hours, at_ms // _MINUTE_MS) * _MINUTE_MS


@lru_cache(4096)
def _end_minute(hours: Hours, epoch_minute: int) -> int:
    for minute in range(epoch_minute + 1, epoch_minute + 2 * DAY_MINUTES):
        if not hours.contains(minute * _MINUTE_MS):
            return minute
    return epoch_minute  # quiet all day long: never is no answer


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifySettings:
    """One target: Apprise URLs (`to`, and those in `to_file`, one a line), a webhook, or the browsers of the users (`push`).

    `repeat` is in how many seconds it is told again of an alarm that nobody has acknowledged; with `after`, it is told only of
    what nobody has acknowledged for so many seconds. `contact` is how a push service reaches whoever runs the bridge.
    """

    name: str
    to: tuple[str, ...] = field(default=(), repr=False)
    to_file: str | None = None
    webhook: str | None = field(default=None, repr=False)
    secret_file: str | None = None
    push: bool = False
    contact: str = ""
    priorities: frozenset[Priority] = frozenset((Priority.CRITICAL, Priority.HIGH, Priority.MEDIUM))
    scope: RuleScope = EVERYWHERE
    quiet: QuietHours | None = None
    repeat: tuple[tuple[Priority, float], ...] = ()
    after_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class WatchdogSettings:
    """A URL that is called every minute while the bridge works: a service there gives the alarm when the calls end."""

    url: str = field(repr=False)
