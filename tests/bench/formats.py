"""`make bench ARGS=formats`: what each payload format costs, over its samples in `tests/payloads/`.

With `--against CHECKOUT`, the default format of both checkouts, whose processes take turns at batches of a few milliseconds, so
that other load on the machine slows both alike.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
BATCHES = 40
DEFAULT_FORMAT = """
import sys
from time import process_time
from bridge.core.decode import Decoder
from bridge.core.message import Message
from bridge.settings.mqtt import SubscriptionSettings

class Origin:
    def acknowledge(self, message, outcome, meaning=None): ...

NINE = (b'"temperature": 25.5, "humidity": 41, "aqi": 2, "eco2": 640, "tvoc": 120, "coPpm": 1.2, "co2": 645, "pm25": 8.5,'
    b' "pm10": 9.5')
PAYLOADS = {
    "exact names": b'{%s, "timestamp": 1795860000}' % NINE,
    "one value": b'{"temperature": 25.5}',
    "aliases": b'{"Timestamp": 1795860000, "temp": 25.5, "hum": 41, "CO2": 645, "pm2_5": 8.5, "pm10_0": 9.5, "lux": 300}',
    "values in an object": b'{"sensorId": "room-1", "timestamp": 1795860000, "values": {%s}}' % NINE,
    "an unknown key": b'{%s, "timestamp": 1795860000, "firmware": "1.4.2"}' % NINE,
    "one value, an unknown key": b'{"temperature": 25.5, "uptime": 12345}',
    "five unknown keys": b'{"temperature": 25.5, "humidity": 41, "pm25": 8.5, "timestamp": 1795860000, "firmware": "1.4.2",'
    b' "uptime": 12345, "heap": 183000, "ssid": "home", "ok": true}',
}
decoder = Decoder([SubscriptionSettings(pattern="sensors/{deviceId}/data").route])
messages = {name: [Message("mqtt", f"sensors/room-{n % 50}/data", payload, 1795860001000, Origin()) for n in range(500)]
    for name, payload in PAYLOADS.items()}
print("\\t".join(PAYLOADS), flush=True)
for line in sys.stdin:
    batch = messages[line.strip()]
    start = process_time()
    for message in batch:
        decoder.decode(message)
    print((process_time() - start) / len(batch) * 1e6, flush=True)
"""
"""Measures the default settings on any checkout: prints the kinds of message, tab-separated, then for each line of its input, a
kind, the µs of CPU per message.
"""


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


@contextmanager
def measured(checkout: Path) -> Iterator[tuple[list[str], Callable[[str], float]]]:
    """Yield the kinds of message, and a function that returns the µs per message of one batch of a kind in a checkout."""
    if not (checkout / "bridge" / "__init__.py").is_file():
        raise BridgeError(f"--against {checkout}: not a checkout of the bridge: it has no bridge/__init__.py")
    environment = os.environ | {"PYTHONPATH": str(checkout.resolve())}
    command = [sys.executable, "-c", DEFAULT_FORMAT]
    with subprocess.Popen(
        command, cwd=checkout, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        requests, answers = process.stdin, process.stdout

        def measure(kind: str) -> float:
            print(kind, file=requests, flush=True)
            return float(answers.readline())

        yield answers.readline().rstrip("\n").split("\t"), measure
        requests.close()


def paired_costs(here: Path, before: Path, pairs: int) -> dict[str, list[tuple[float, float]]]:
    """Return the costs here and before of each pair, by kind of message. A pair is the least of `BATCHES` of each, in turn."""
    with measured(here) as (kinds, now), measured(before) as (_, then):
        return {kind: [_pair(kind, now, then) for _ in range(pairs)] for kind in kinds}


def _pair(kind: str, now: Callable[[str], float], then: Callable[[str], float]) -> tuple[float, float]:
    batches = [(now(kind), then(kind)) for _ in range(BATCHES)]
    return min(cost for cost, _ in batches), min(cost for _, cost in batches)


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
