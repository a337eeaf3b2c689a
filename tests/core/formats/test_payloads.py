"""The sample payloads of every family, by its own format and by `auto`: their records, and the keys that are not taken.

A sample is a JSON file in `tests/payloads/<family>/`: its topic, when it was received, and `payload` (JSON), `text`, `base64`
or `form` (an object, sent URL-encoded); the `records`, the paths of all keys that are not taken, and the outcome if it is not
stored. `earlier` has messages that precede it, each with its topic and payload.
"""

from __future__ import annotations

import base64
from operator import itemgetter
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from bridge.core.decode import Decoder, Route
from bridge.core.formats.registry import FormatName, make_format
from bridge.core.message import Decoded, Ignored, Message, ReadingBatch, Rejection
from bridge.core.readings.reading import Reading
from bridge.core.timestamp import parse_time
from bridge.core.topic import TopicPattern
from tests.core.test_decode import NullOrigin

FOLDER = Path(__file__).parents[2] / "payloads"
SAMPLES = sorted(FOLDER.glob("*/*.json"))
BY_BRIDGE = {"_id", "receivedAt", "seq", "extra"}


def payload_of(sample: dict[str, Any]) -> bytes:
    if "payload" in sample:
        return orjson.dumps(sample["payload"])
    if "form" in sample:
        return urlencode(sample["form"]).encode()
    return base64.b64decode(sample["base64"]) if "base64" in sample else sample["text"].encode()


def decode(sample: dict[str, Any], name: FormatName, family: FormatName) -> Decoded:
    pattern = TopicPattern.parse(sample.get("pattern", family.spec.usual_pattern))
    decoder = Decoder([Route(pattern, format=make_format(name, pattern))])
    received = parse_time(sample["received"])
    assert received is not None
    for before in sample.get("earlier", []):
        decoder.decode(Message("mqtt", before["topic"], payload_of(before), received, NullOrigin()))
    return decoder.decode(Message("mqtt", sample["topic"], payload_of(sample), received, NullOrigin()))


def readings_of(decoded: Decoded) -> list[Reading]:
    return [decoded] if isinstance(decoded, Reading) else list(decoded.readings) if isinstance(decoded, ReadingBatch) else []


def family_of(file: Path) -> FormatName:
    return FormatName[file.parent.name.upper()]


def is_for_auto(file: Path) -> bool:
    return family_of(file).spec.recognizes is not None or bool(orjson.loads(file.read_bytes()).get("auto"))


@pytest.mark.parametrize(
    ("file", "auto"),
    [(file, auto) for file in SAMPLES for auto in (False, True) if not auto or is_for_auto(file)],
    ids=lambda value: f"{value.parent.name}/{value.stem}" if isinstance(value, Path) else "auto" if value else "own",
)
def test_sample_gives_its_records(file: Path, auto: bool) -> None:
    sample, family = orjson.loads(file.read_bytes()), family_of(file)
    decoded = decode(sample, FormatName.AUTO if auto else family, family)
    match sample.get("outcome", "stored"):
        case "ignored":
            assert isinstance(decoded, Ignored), decoded
            return
        case "rejected":
            assert isinstance(decoded, Rejection), decoded
            assert sample["reason"] in decoded.reason
            return
    readings = readings_of(decoded)
    assert readings, decoded
    public = sorted((reading.public() for reading in readings), key=itemgetter("deviceId"))
    for record, expected in zip(public, sorted(sample["records"], key=itemgetter("deviceId")), strict=True):
        expected.setdefault("timestamp", record["receivedAt"])
        assert {key: value for key, value in record.items() if key not in BY_BRIDGE or key in expected} == expected
    assert sorted(path for reading in readings for path in reading.ignored) == sorted(sample.get("ignored", []))
    if auto:
        assert {reading.family for reading in readings} == {family.value}


def test_every_family_has_three_samples() -> None:
    counts = {name: len(list((FOLDER / name).glob("*.json"))) for name in FormatName if name.spec.recognizes is not None}
    assert {name: count for name, count in counts.items() if count < 3} == {}
