"""Damaged variants of every sample: decoding never raises, whatever a device sends, and says why there is no reading."""

from __future__ import annotations

import json
import random
import zlib
from pathlib import Path
from typing import Any

import orjson
import pytest

from bridge.core.decode import Decoder, Route
from bridge.core.formats.registry import FormatName, make_format
from bridge.core.message import Ignored, Message, Rejection
from bridge.core.topic import TopicPattern
from tests.core.formats.test_payloads import FOLDER, SAMPLES, payload_of, readings_of
from tests.core.test_decode import NOW_MS, NullOrigin, assert_well_formed

VARIANTS = 60
JUNK: list[Any] = [
    None, True, 0, -1, 1e308, 2**63, "", "x" * 300, "\ud800", "nan", "1,5", "21.5 °F", [], {}, [1, 2], [None], [[]], [{}],
    {"": {}}, {"value": None}, [{"value_type": "SDS_P1", "value": []}], {"a": {"b": {"c": [{"d": 1}]}}},
]  # fmt: skip


def damaged(body: Any, chance: random.Random) -> Any:
    """A copy in which about one value in six is junk, missing, or in another place."""
    if chance.random() < 0.1:
        return chance.choice(JUNK)
    if isinstance(body, dict):
        kept = {key: damaged(value, chance) for key, value in body.items() if chance.random() > 0.05}
        if kept and chance.random() < 0.1:
            kept[chance.choice(list(kept))] = dict(kept)
        return kept
    if isinstance(body, list):
        return [damaged(item, chance) for item in body] * chance.choice((1, 1, 1, 0, 3))
    return body


@pytest.mark.parametrize("file", SAMPLES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_damaged_samples_are_decoded_or_refused_with_a_reason(file: Path) -> None:
    sample, family = orjson.loads(file.read_bytes()), FormatName(file.parent.name)  # type: ignore[arg-type]
    pattern = TopicPattern.parse(sample.get("pattern", family.spec.usual_pattern))
    decoders = [Decoder([Route(pattern, format=make_format(name, pattern))]) for name in (family, FormatName.AUTO)]
    chance = random.Random(zlib.crc32(file.stem.encode()))
    for _ in range(VARIANTS):
        for decoder in decoders:
            payload = variant(sample, chance)
            decoded = decoder.decode(Message("mqtt", sample["topic"], payload, NOW_MS, NullOrigin()))
            for reading in readings_of(decoded):
                assert_well_formed(reading)
            if isinstance(decoded, Rejection | Ignored):
                assert decoded.reason.isprintable()
                assert 0 < len(decoded.reason) < 1000


def variant(sample: dict[str, Any], chance: random.Random) -> bytes:
    if "payload" in sample:
        return json.dumps(damaged(sample["payload"], chance)).encode()
    payload = bytearray(payload_of(sample))
    for _ in range(chance.randrange(1, 8)):
        payload[chance.randrange(len(payload))] = chance.randrange(256)
    return bytes(payload[: chance.randrange(1, len(payload) + 1)])


def test_every_family_is_a_format() -> None:
    assert {folder.name for folder in FOLDER.iterdir()} <= set(FormatName)


def test_flat_message_of_a_family_is_not_read_by_the_few_names_that_are_fields() -> None:
    pattern = TopicPattern.parse("sensors/{deviceId}/data")
    decoder = Decoder([Route(pattern, format=make_format(FormatName.AUTO, pattern))])
    payload = b'{"rco2": 612, "pm02": 3, "pm10": 4, "atmp": 22.9, "rhum": 43}'
    (reading,) = readings_of(decoder.decode(Message("mqtt", "sensors/hall/data", payload, NOW_MS, NullOrigin())))
    assert reading.values == {"temperature": 22.9, "humidity": 43, "co2": 612, "pm25": 3, "pm10": 4}
