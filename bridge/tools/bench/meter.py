"""What runs while something is measured."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from bridge.tools.bench.report.results import Figure, UsageSample


@dataclass(slots=True)
class Meter:
    """Runs while something is measured. What is measured may set `until`, the moment it was over."""

    usage: tuple[float | None, float]
    samples: list[UsageSample]
    start: float = field(default_factory=time.perf_counter)
    until: float | None = None
    seconds: float = 0.0
    bridge_cpu_seconds: float | None = None
    bench_cpu_seconds: float = 0.0
    deliveries: int = 0
    received_bytes: int = 0

    @property
    def rss_growth(self) -> Figure:
        """From the first sample to the largest."""
        sizes = [one.bridge_rss_bytes for one in self.samples if one.bridge_rss_bytes is not None]
        return Figure(max(sizes) - sizes[0] if sizes else None, "bytes")
