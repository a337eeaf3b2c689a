"""Health of the bridge's components."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PartHealth:
    """One component: up, perhaps with a note, or down with the reason in words."""

    up: bool
    reason: str = ""


class Health:
    def __init__(self, parts: tuple[str, ...]) -> None:
        """`parts` are the required components: each is down (`starting`) until it first reports `up`."""
        self._parts = {part: PartHealth(up=False, reason="starting") for part in parts}

    def up(self, part: str) -> bool:
        """Mark `part` up; return whether it was not up before."""
        return self._set(part, PartHealth(up=True))

    def down(self, part: str, reason: str) -> bool:
        """Mark `part` down; return whether it was not down before."""
        return self._set(part, PartHealth(up=False, reason=reason))

    def annotate(self, part: str, text: str) -> None:
        """Say something about `part` that does not make the bridge unready."""
        self._parts[part] = PartHealth(up=True, reason=text)

    def _set(self, part: str, health: PartHealth) -> bool:
        before, self._parts[part] = self._parts.get(part), health
        return before is None or before.up != health.up

    @property
    def ready(self) -> bool:
        return all(part.up for part in self._parts.values())

    @property
    def parts(self) -> dict[str, PartHealth]:
        return dict(self._parts)
