"""What a store reports while it is prepared for several bridges."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Renumbered:
    """A reading that had the cursor `before` of another one, and now has `after`."""

    reading_id: str
    device_id: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class PrepareProgress:
    converting: Callable[[int], None] = lambda _readings: None
    """Called before the index is made unique, with the number of readings, as the store estimates it."""
    renumbered: Callable[[Renumbered], None] = lambda _reading: None
