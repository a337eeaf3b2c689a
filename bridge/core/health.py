"""Which parts of the bridge do their work, and why one does not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PartHealth:
    """One part: up, or down with the reason in words."""

    up: bool
    reason: str = ""


class Health:
    """The state of every part that has reported. A part is down until it says otherwise."""

    def __init__(self, parts: tuple[str, ...]) -> None:
        """`parts` are those the bridge cannot do without."""
        self._parts = {part: PartHealth(up=False, reason="starting") for part in parts}

    def up(self, part: str) -> bool:
        """`part` works; True when that is news."""
        return self._set(part, PartHealth(up=True))

    def down(self, part: str, reason: str) -> bool:
        """`part` does not work; True when that is news."""
        return self._set(part, PartHealth(up=False, reason=reason))

    def _set(self, part: str, now: PartHealth) -> bool:
        before, self._parts[part] = self._parts.get(part), now
        return before is None or before.up != now.up

    @property
    def ready(self) -> bool:
        """Every part is up."""
        return all(part.up for part in self._parts.values())

    @property
    def parts(self) -> dict[str, PartHealth]:
        """All parts by name."""
        return dict(self._parts)
