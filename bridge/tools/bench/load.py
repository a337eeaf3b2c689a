"""The load that a scenario applies."""

from dataclasses import dataclass

from bridge.core.errors import BridgeError
from bridge.tools.bench.clients.protocols import PROTOCOLS

READINGS_LIMIT = 5_000_000
"""Maximum readings of one measurement: the publish time of each is in memory."""


@dataclass(frozen=True, slots=True)
class Load:
    """`rate` is in readings per second, `burst` in readings, `rooms` in devices; a scenario uses some of these.

    `way` is the protocol of the clients: a key of `PROTOCOLS`.
    """

    clients: int = 50
    rate: float = 200
    burst: int = 10_000
    seconds: float = 10
    rooms: int = 1
    way: str = "socketio"

    def __post_init__(self) -> None:
        """Validate. Raises `BridgeError`."""
        if self.way not in PROTOCOLS:
            raise BridgeError(f"--way {self.way!r}: must be one of {', '.join(PROTOCOLS)}")
        if self.rate * self.seconds > READINGS_LIMIT:
            raise BridgeError(f"{self.rate:g} readings/s for {self.seconds:g} s: more than {READINGS_LIMIT:,} readings")

    @property
    def paced_readings(self) -> int:
        """Readings in `seconds` at `rate`, at least one."""
        return max(round(self.rate * self.seconds), 1)
