"""5,000 hostile messages per format: nothing is raised, memory does not grow, and every message has an outcome."""

from __future__ import annotations

import gc
import resource
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from bridge.core.decode import Decoder, Route
from bridge.core.formats.registry import FormatName, make_format
from bridge.core.message import Decoded, Ignored, ReadingBatch, Rejection, StaleRetained
from bridge.core.readings.reading import Reading
from bridge.core.topic import TopicPattern
from tests.core.formats.decoding import TOPICS, route
from tests.core.formats.test_payloads import FOLDER, payload_of
from tests.core.test_decode import assert_well_formed, message

MESSAGES = 1500
GROWTH_LIMIT_BYTES = 64 * 1024 * 1024
PAGE = resource.getpagesize()

VALUES: list[Any] = [
    None, True, False, 0, -1, 1e308, -1e308, 2**63, -(2**63), 2**64 - 1, 0.1, 1795860000, "", " ", "nan", "NaN", "inf", "21,5",
    "1,234", "21.5 °C", "9" * 300, "x" * 5000, "\0", "\u202e", "💨", "../..", "$where", "{}", "[1]", [], {}, [[]], [{}], [None],
    {"": 1}, {"a": {"b": {"c": 1}}}, {"value": 21.5, "unit": "°F"}, [1, 2, 3], [{"name": "temperature", "value": 1}],
    {"temperature": 1e400},
]  # fmt: skip
KEYS = [
    "", ".", "a.b", "temperature", "temp_f", "unit", "values", "ts", "time", "deviceId", "id", "x" * 200, "\0", "💨", "$a", "0",
    "metrics", "fields", "tags", "name", "sensordatavalues", "params", "n", "v", "bn", "bt", "__proto__",
]  # fmt: skip
BYTES = [
    b"", b"\0", b"null", b"[]", b"{}", b'""', b"[" * 3000, b'{"a":' * 3000, b"[" * 500 + b"]" * 500,
    b'{"a":' * 40 + b"1" + b"}" * 40, b"1" * 400, b"-", b'{"temperature": 1' + b"0" * 400 + b"}", b'"\\ud800"', b"\xff\xfe",
    b"\x1f\x8b\x08\0\0\0\0\0\0\x03", b"\x9f" * 2000, b"\xa1" * 2000, b"\xc2" + b"\x5b" + b"\x7f" * 20, b"\x91" * 2000,
    b"\x0a" * 500, b"temperature=", b"a,b=c d=1i 99999999999999999999", b'a b="' + b"\\" * 500, b"a" * 70_000,
]  # fmt: skip
LEVELS = [
    "",
    "temperature",
    "$unit",
    "x" * 300,
    "💨",
    "SENSOR",
    "status",
    "NDATA",
    "DBIRTH",
    "temperature:0",
    "state",
    "..",
    " ",
]


def samples_of(name: FormatName) -> list[dict[str, Any]]:
    if name is FormatName.MAPPING:
        return [{"topic": TOPICS[name], "payload": {"t": [{"val": 613}], "gas": {"co2": 645}}}]
    folder: Path = FOLDER / name.name.lower()
    families = sorted(folder.glob("*.json")) or sorted(FOLDER.glob("*/*.json"))
    return [orjson.loads(file.read_bytes()) for file in families]


def mutated(body: Any, random: Random, depth: int = 0) -> Any:
    """Replace, add, repeat or remove a few values of a JSON value."""
    if depth > 6 or random.random() < 0.05:
        return random.choice(VALUES)
    if isinstance(body, dict):
        changed = {key: mutated(value, random, depth + 1) if random.random() < 0.4 else value for key, value in body.items()}
        if random.random() < 0.3:
            changed[random.choice(KEYS)] = random.choice(VALUES)
        if changed and random.random() < 0.1:
            del changed[random.choice(list(changed))]
        if random.random() < 0.01:
            changed |= {f"{random.choice(KEYS)[:40]}{number}": number for number in range(1500)}
        return changed
    if isinstance(body, list):
        changed_items = [mutated(item, random, depth + 1) if random.random() < 0.4 else item for item in body]
        return changed_items * (300 if random.random() < 0.02 else random.choice([1, 1, 1, 2]))
    return random.choice(VALUES) if random.random() < 0.5 else body


def damaged(payload: bytes, random: Random) -> bytes:
    """Cut, change or repeat bytes."""
    changed = bytearray(payload)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(changed) + 1)
        match random.randrange(4):
            case 0:
                del changed[at:]
            case 1:
                changed[at : at + 1] = random.randbytes(1)
            case 2:
                changed[at:at] = random.randbytes(random.randint(1, 8))
            case _:
                changed[at:at] = changed[: random.randint(0, 60)]
    return bytes(changed)


def hostile_messages(name: FormatName, random: Random) -> Iterator[tuple[str, bytes]]:
    """Yield topic and payload of `MESSAGES` messages."""
    samples = samples_of(name)
    for _ in range(MESSAGES):
        sample = random.choice(samples)
        topic = sample["topic"]
        if random.random() < 0.1:
            levels = topic.split("/")
            levels[random.randrange(len(levels))] = random.choice(LEVELS)
            topic = "/".join(levels)
        kind = random.random()
        if kind < 0.15:
            yield topic, random.choice(BYTES)
        elif kind < 0.3:
            yield topic, random.randbytes(random.randint(0, 300))
        elif kind < 0.65 and "payload" in sample:
            yield topic, orjson.dumps(mutated(sample["payload"], random), option=orjson.OPT_PASSTHROUGH_SUBCLASS)
        else:
            yield topic, damaged(payload_of(sample), random)


def decoder_of(name: FormatName) -> Decoder:
    if name is FormatName.MAPPING:
        return Decoder([route(name)])
    patterns = {sample.get("pattern", name.spec.usual_pattern) for sample in samples_of(name)}
    parsed = [TopicPattern.parse(pattern) for pattern in sorted(patterns)]
    fitting = [one for one in parsed if set(name.spec.levels) <= {level for level in one.names if level}]
    return Decoder([Route(pattern, format=make_format(name, pattern)) for pattern in fitting])


def outcome_of(decoded: Decoded) -> str:
    match decoded:
        case Reading() | ReadingBatch():
            return "stored"
        case Rejection():
            return "rejected"
        case Ignored() | StaleRetained():
            return "ignored"
    raise AssertionError(decoded)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * PAGE


@pytest.mark.parametrize("name", FormatName)
def test_hostile_messages_are_all_counted_and_memory_does_not_grow(name: FormatName) -> None:
    decoder, random = decoder_of(name), Random(name)
    outcomes: Counter[str] = Counter()
    gc.collect()
    before = resident_bytes()
    for number, (topic, payload) in enumerate(hostile_messages(name, random)):
        decoded = decoder.decode(message(payload, topic, retained=number % 50 == 0))
        outcomes[outcome_of(decoded)] += 1
        if number % 10 == 0:
            assert_well_formed(decoded)
    gc.collect()
    assert outcomes.total() == MESSAGES
    assert outcomes["stored"] > MESSAGES / 100, outcomes
    assert outcomes["rejected"] > MESSAGES / 10, outcomes
    assert resident_bytes() - before < GROWTH_LIMIT_BYTES


LONG = "x" * 50_000


@pytest.mark.parametrize(
    "body",
    [
        {"{n}" + LONG: 1, "temperature": 21.5},
        {"a": {"{n}" + LONG: 1}, "temperature": 21.5},
        {"temperature": 21.5, "unit": "{n}" + LONG},
        {"temperature": {"value": 21.5, "unit": "{n}" + LONG}},
        {"sensors": [{"name": "temperature", "value": 21.5}, {"name": "{n}" + LONG, "value": 1}]},
    ],
    ids=["key", "inner key", "unit", "unit of a value", "name of a value"],
)
def test_long_texts_that_are_never_repeated_are_not_kept(body: object) -> None:
    decoder, payload = decoder_of(FormatName.AUTO), orjson.dumps(body)
    gc.collect()
    before = resident_bytes()
    for number in range(MESSAGES):
        decoder.decode(message(payload.replace(b"{n}", b"%d" % number), TOPICS[FormatName.AUTO]))
    gc.collect()
    assert resident_bytes() - before < GROWTH_LIMIT_BYTES
