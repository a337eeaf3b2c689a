"""The results of a run, and their JSON form."""

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any, Literal

from bridge import __version__
from bridge.tools.bench.latencies import Latencies
from bridge.tools.bench.load import Load

Unit = Literal["", "s", "/s", "bytes"]

PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "max": 1.0}
LIBRARIES = ("aiohttp", "python-socketio", "python-engineio", "aiomqtt", "motor", "pymongo", "orjson", "uvloop")


@dataclass(frozen=True, slots=True)
class Figure:
    """A value specific to a scenario; None: unknown. A `wrong` figure above 0 fails the run."""

    value: float | None
    unit: Unit = ""
    wrong: bool = False


@dataclass(frozen=True, slots=True)
class UsageSample:
    """The totals over all clients, `at_seconds` after the start of the measurement."""

    at_seconds: float
    published: int
    delivered: int
    bridge_cpu_seconds: float | None
    bridge_rss_bytes: int | None
    bench_cpu_seconds: float


@dataclass(slots=True)
class BenchResult:
    """A row. `seconds` is from the first publish to the last delivery; `deliveries` and `received_bytes` over all clients.

    `latency_clients` is the number of clients at which latency was measured.
    """

    scenario: str
    system: str
    clients: int
    load: Load
    readings: int
    seconds: float
    deliveries: int
    received_bytes: int
    bridge_cpu_seconds: float | None
    bench_cpu_seconds: float
    latencies: Latencies | None = None
    latency_clients: int | None = None
    figures: dict[str, Figure] = field(default_factory=dict)
    samples: list[UsageSample] = field(default_factory=list)

    @property
    def readings_per_second(self) -> float:
        return self.readings / self.seconds

    @property
    def deliveries_per_second(self) -> float:
        return self.deliveries / self.seconds

    @property
    def cpu_seconds_per_reading(self) -> float | None:
        return None if self.bridge_cpu_seconds is None else self.bridge_cpu_seconds / self.readings

    @property
    def bench_cores(self) -> float:
        """Share of a core used by publisher and subscribers; near 1, the bench itself was the limit."""
        return self.bench_cpu_seconds / self.seconds

    @property
    def bridge_cores(self) -> float | None:
        return None if self.bridge_cpu_seconds is None else self.bridge_cpu_seconds / self.seconds

    @property
    def bench_seconds_per_byte(self) -> float | None:
        """CPU time of the bench per received byte, including publishing."""
        return self.bench_cpu_seconds / self.received_bytes if self.received_bytes else None

    def percentile(self, part: float) -> float | None:
        """Latency in seconds from publish to client; None if it was not measured."""
        return self.latencies.percentile(part) if self.latencies else None

    def as_dict(self) -> dict[str, Any]:
        return {
            "scenario": self.scenario,
            "system": self.system,
            "clients": self.clients,
            "load": asdict(self.load),
            "readings": self.readings,
            "seconds": self.seconds,
            "deliveries": self.deliveries,
            "received_bytes": self.received_bytes,
            "readings_per_second": self.readings_per_second,
            "deliveries_per_second": self.deliveries_per_second,
            "bridge_cpu_seconds": self.bridge_cpu_seconds,
            "bridge_cpu_seconds_per_reading": self.cpu_seconds_per_reading,
            "bench_cpu_seconds": self.bench_cpu_seconds,
            "latency": self._latency(),
            "figures": {name: asdict(figure) for name, figure in self.figures.items()},
            "samples": [asdict(sample) for sample in self.samples],
        }

    def _latency(self) -> dict[str, Any] | None:
        if not self.latencies:
            return None
        parts = {f"{name}_seconds": self.latencies.percentile(part) for name, part in PERCENTILES.items()}
        buckets = [[seconds, count] for seconds, count in self.latencies.buckets()]
        return {"count": self.latencies.count, "mean_seconds": self.latencies.mean, **parts, "buckets": buckets}


@dataclass(slots=True)
class Report:
    started: str
    settings: dict[str, Any]
    measurements: list[BenchResult] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    notes: Sequence[str] = ()
    machine: dict[str, str] = field(default_factory=lambda: machine())

    def as_dict(self) -> dict[str, Any]:
        return {
            "format": 1,
            "started": self.started,
            "machine": self.machine,
            "settings": self.settings,
            "measurements": [result.as_dict() for result in self.measurements],
            "failures": self.failures,
            "notes": list(self.notes),
        }


def machine() -> dict[str, str]:
    return {
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sensor-bridge": __version__,
    } | {name: installed for name in LIBRARIES if (installed := _installed_version(name))}


def _installed_version(library: str) -> str | None:
    try:
        return version(library)
    except ImportError:
        return None
