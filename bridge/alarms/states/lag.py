"""A device whose clock is behind: its readings come late, always by the same time, at the pace at which they were measured.

Readings that a device has stored come at another pace: at once, or faster than they were measured.
"""

from typing import Self

_SPAN_MS = 300_000
"""For how long the lag must be the same."""

_JITTER_MS = 5000
_JITTER_SHARE = 0.1


class ClockLag:
    """Compares each late reading with one of at least `_SPAN_MS` before, or the next one if readings are further apart."""

    __slots__ = ("at_ms", "is_constant", "received_ms")

    def __init__(self, at_ms: int = 0, received_ms: int = 0, *, is_constant: bool = False) -> None:
        self.at_ms = at_ms
        self.received_ms = received_ms
        """0: the last reading was not late."""
        self.is_constant = is_constant
        """Whether readings are late because the device's clock is behind."""

    def add(self, at_ms: int, received_ms: int) -> bool:
        """Take a late reading into account; return whether `is_constant` has changed."""
        elapsed_ms, measured_ms = received_ms - self.received_ms, at_ms - self.at_ms
        is_alike = self.received_ms > 0 and abs(elapsed_ms - measured_ms) <= _JITTER_MS + _JITTER_SHARE * elapsed_ms
        if is_alike and elapsed_ms < _SPAN_MS:
            return False
        was_constant, self.is_constant = self.is_constant, is_alike
        self.at_ms, self.received_ms = at_ms, received_ms
        return is_alike is not was_constant

    def end(self) -> bool:
        """Take into account that a reading was not late; return whether `is_constant` has changed."""
        was_constant, self.is_constant = self.is_constant, False
        self.at_ms = self.received_ms = 0
        return was_constant

    def public(self) -> list[int | bool]:
        return [self.at_ms, self.received_ms, self.is_constant]

    @classmethod
    def restored(cls, body: list[int]) -> Self:
        at_ms, received_ms, is_constant = body
        return cls(at_ms, received_ms, is_constant=bool(is_constant))
