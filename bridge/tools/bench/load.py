"""What a scenario puts on a bridge."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.core.errors import BridgeError
from bridge.tools.bench.clients.plain import WAYS

READINGS_LIMIT = 5_000_000
"""Of one measurement: the moment of each is kept."""


@dataclass(frozen=True, slots=True)
class Load:
    """`rate` is in readings a second, `burst` in readings, `rooms` in devices; a scenario uses some of them.

    `way` is how clients hear: one of `plain.WAYS`.
    """

    clients: int = 50
    rate: float = 200
    burst: int = 10_000
    seconds: float = 10
    rooms: int = 1
    stalled: int = 50
    way: str = "socketio"

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.way not in WAYS:
            raise BridgeError(f"clients hear by {', '.join(WAYS)}, not by {self.way!r}")
        if self.rate * self.seconds > READINGS_LIMIT:
            raise BridgeError(f"{self.rate:g} readings/s for {self.seconds:g} s: more than {READINGS_LIMIT:,} readings")

    @property
    def paced(self) -> int:
        """Readings of `seconds` at `rate`, one at least."""
        return max(round(self.rate * self.seconds), 1)
