"""`make bench ARGS=formats`: what each payload format costs, over its samples in `tests/payloads/`.

With `--against CHECKOUT`, the default format of both checkouts in alternating pairs of processes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any, NamedTuple

import orjson
from rich.console import Console
from rich.table import Table

from bridge.core.decode import Decoder, Route
from bridge.core.errors import BridgeError
from bridge.core.formats.registry import FormatName, make_format
from bridge.core.message import Message
from bridge.core.timestamp import parse_time
from bridge.core.topic import TopicPattern
from tests.core.formats.test_payloads import FOLDER, payload_of
from tests.core.test_decode import NullOrigin

REPEATS, SECONDS = 3, 0.01
DEFAULT_FORMAT = """
import sys
from time import process_time
from bridge.core.decode import Decoder
from bridge.core.message import Message
from bridge.settings.mqtt import SubscriptionSettings

class Origin:
    def acknowledge(self, message, outcome, meaning=None): ...

PAYLOADS = {
    "exact names": b'{"temperature": 25.5, "humidity": 41, "aqi": 2, "eco2": 640, "tvoc": 120, "coPpm": 1.2, "co2": 645,'
    b' "pm25": 8.5, "pm10": 9.5, "timestamp": 1795860000}',
    "one value": b'{"temperature": 25.5}',
}
decoder = Decoder([SubscriptionSettings(pattern="sensors/{deviceId}/data").route])
for name, payload in PAYLOADS.items():
    messages = [Message("mqtt", f"sensors/room-{n % 50}/data", payload, 1795860001000, Origin()) for n in range(5000)]
    best = 1e9
    for _ in range(9):
        start = process_time()
        for message in messages:
            decoder.decode(message)
        best = min(best, process_time() - start)
    print(f"{name}\\t{best / len(messages) * 1e6:.4f}")
"""
"""Prints the cost of a message with the default settings, on any checkout: name, tab, µs."""


class Cost(NamedTuple):
    """µs of CPU per message in a family's own format, and by `auto`, over `samples` messages."""

    family: FormatName
    samples: int
    own: float
    auto: float | None


def costs() -> list[Cost]:
    """Return the cost of each format that has samples."""
    return [cost for name in FormatName if (cost := _cost(name)) is not None]


def _cost(name: FormatName) -> Cost | None:
    samples = [orjson.loads(file.read_bytes()) for file in sorted((FOLDER / name.name.lower()).glob("*.json"))]
    if not samples:
        return None
    has_auto = name.spec.recognizes is not None or name in (FormatName.JSON, FormatName.SCALAR)
    return Cost(
        name,
        len(samples),
        _microseconds(samples, name, name),
        _microseconds(samples, name, FormatName.AUTO) if has_auto else None,
    )


def _microseconds(samples: Sequence[dict[str, Any]], family: FormatName, name: FormatName) -> float:
    """Return the median over the samples of the lowest of `REPEATS` measurements."""
    return median(_message_microseconds(sample, family, name) for sample in samples)


def _message_microseconds(sample: dict[str, Any], family: FormatName, name: FormatName) -> float:
    pattern = TopicPattern.parse(sample.get("pattern", family.spec.usual_pattern))
    decoder, received = Decoder([Route(pattern, format=make_format(name, pattern))]), parse_time(sample["received"]) or 0
    for before in sample.get("earlier", []):
        decoder.decode(Message("mqtt", before["topic"], payload_of(before), received, NullOrigin()))
    message = Message("mqtt", sample["topic"], payload_of(sample), received, NullOrigin())
    return min(_once(decoder, message) for _ in range(REPEATS)) * 1e6


def _once(decoder: Decoder, message: Message) -> float:
    """Return the CPU seconds of one decoding, measured for `SECONDS`."""
    count, start = 0, process_time()
    while (spent := process_time() - start) < SECONDS:
        for _ in range(20):
            decoder.decode(message)
        count += 20
    return spent / count


def default_cost(checkout: Path) -> dict[str, float]:
    """Return the µs per message of the default format of a checkout, by kind of message."""
    if not (checkout / "bridge" / "__init__.py").is_file():
        raise BridgeError(f"--against {checkout}: not a checkout of the bridge: it has no bridge/__init__.py")
    environment = os.environ | {"PYTHONPATH": str(checkout.resolve())}
    command = [sys.executable, "-c", DEFAULT_FORMAT]
    output = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=True, timeout=120)
    return {name: float(cost) for name, cost in (line.split("\t") for line in output.stdout.splitlines())}


def paired_costs(here: Path, before: Path, pairs: int) -> dict[str, list[tuple[float, float]]]:
    """Return the costs here and before of each pair, by kind of message; the order alternates."""
    found: dict[str, list[tuple[float, float]]] = {}
    for number in range(pairs):
        both = {checkout: default_cost(checkout) for checkout in ((here, before) if number % 2 else (before, here))}
        for name, cost in both[here].items():
            found.setdefault(name, []).append((cost, both[before][name]))
    return found


def print_costs(console: Console) -> None:
    table = Table("format", "samples", "µs per message", "by auto")
    for cost in costs():
        table.add_row(cost.family, str(cost.samples), f"{cost.own:.1f}", "" if cost.auto is None else f"{cost.auto:.1f}")
    console.print(table)


def print_paired_costs(here: Path, before: Path, pairs: int, console: Console) -> None:
    table = Table("default format", "µs now", "µs before", "now / before", "pairs")
    for name, figures in paired_costs(here, before, pairs).items():
        ratios = [now / then for now, then in figures]
        now, then = (median(column) for column in zip(*figures, strict=True))
        table.add_row(name, f"{now:.2f}", f"{then:.2f}", f"{median(ratios):.3f}", "  ".join(f"{one:.3f}" for one in ratios))
    console.print(table)
