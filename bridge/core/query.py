"""What can be asked of the stored readings."""

from __future__ import annotations

from dataclasses import dataclass, field

READINGS_LIMIT = 10_000
"""The most readings one answer holds."""


@dataclass(frozen=True, slots=True)
class ReadingsQuery:
    """Which readings: of `devices` (None: all), measured from `from_ms` and before `to_ms`, after the cursor `since`.

    With neither `since` nor `from_ms` the newest `limit` are meant, else the first `limit`. Always in cursor order.
    """

    devices: tuple[str, ...] | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    since: int | None = None
    limit: int = 1000

    @property
    def newest(self) -> bool:
        """The last `limit` are meant, not the first."""
        return self.since is None and self.from_ms is None


@dataclass(frozen=True, slots=True)
class Summary:
    """One measurement over one bucket of time."""

    low: float
    mean: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """One device's readings from `start_ms`, for the asked width: how many, and each measurement in short."""

    device_id: str
    start_ms: int
    count: int
    fields: dict[str, Summary] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Written:
    """What a write came to, by `seq`: `stored` now; `refused` by the store for the document's own sake, with the reason.

    A reading in neither was there before: a duplicate.
    """

    stored: frozenset[int] = frozenset()
    refused: dict[int, str] = field(default_factory=dict)
