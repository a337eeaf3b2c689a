"""Health of the bridge's components."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PartHealth:
    """One component: up, perhaps with a note, or down with the reason in words."""

    up: bool
    reason: str = ""
    since_ms: int | None = None
    """When it went down, in milliseconds since the epoch; None while it is up."""


class Health:
    """A component is down while one of its checks fails, and a check that passes ends only its own failure.

    So a store that answers pings, but failed to write, is down until a write succeeds.
    """

    def __init__(self, parts: tuple[str, ...], clock: Callable[[], int] | None = None) -> None:
        """`parts` are the required components: each is down (`starting`) until it first reports `up`.

        `clock` gives milliseconds since the epoch; without one, nothing says since when a part is down.
        """
        self._clock: Callable[[], int | None] = clock or (lambda: None)
        self._failures: dict[str, dict[str, str]] = {part: {"": "starting"} for part in parts}
        self._down_since: dict[str, int | None] = dict.fromkeys(parts, self._clock())
        self._notes: dict[str, str] = {}
        self.on_change: Callable[[str, bool], None] = lambda _part, _up: None
        """Called when a component goes down or up."""

    def up(self, part: str, check: str = "") -> bool:
        """End the failure of this check; return whether `part` is up now and was not before."""
        failures = self._failures.setdefault(part, {})
        was_down = bool(failures)
        for ended in ("", check):
            failures.pop(ended, None)
        is_up_again = was_down and not failures
        if is_up_again:
            self._down_since.pop(part, None)
            self.on_change(part, True)
        return is_up_again

    def down(self, part: str, reason: str, check: str = "") -> bool:
        """Let this check fail; return whether `part` was not down before. Its reason is the latest one."""
        failures = self._failures.setdefault(part, {})
        was_up = not failures
        failures.pop(check, None)
        failures[check] = reason
        if was_up:
            self._down_since[part] = self._clock()
            self.on_change(part, False)
        return was_up

    def stop(self) -> None:
        """The bridge stops: it is not ready from now on, so that a balancer sends no further client here."""
        self._failures["bridge"] = {"": "stopping"}
        self._down_since["bridge"] = self._clock()

    def annotate(self, part: str, text: str) -> None:
        """Say something about `part` that does not make the bridge unready; it is shown while no check fails."""
        self._failures.setdefault(part, {})
        self._notes[part] = text

    @property
    def ready(self) -> bool:
        return not any(self._failures.values())

    @property
    def parts(self) -> dict[str, PartHealth]:
        return {
            part: PartHealth(
                not failures, next(reversed(failures.values()), self._notes.get(part, "")), self._down_since.get(part)
            )
            for part, failures in self._failures.items()
        }
