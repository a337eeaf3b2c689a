"""Parsing of records: a valid one becomes its reading again, any other is refused with a reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from bson.objectid import ObjectId
from hypothesis import given
from hypothesis import strategies as some

from bridge.core.errors import RecordError
from bridge.core.readings.identity import is_device_id, record_id
from bridge.core.readings.measurements import AQI_SCALES, MEASUREMENTS, VALUE_NAMES, Flag, Value
from bridge.core.readings.reading import Reading
from bridge.core.readings.record import RECORD_NAMES, parse_record

MOMENTS = some.integers(0, 2**53 // 1000 - 1)
TEXTS = some.text(some.characters(codec="utf-8"), max_size=20)


FIELDS: dict[str, some.SearchStrategy[Value]] = {"aqiScale": some.sampled_from(sorted(AQI_SCALES))}
for _one in MEASUREMENTS:
    _low, _high = _one.refuse
    FIELDS[_one.name] = (
        some.booleans() if isinstance(_one, Flag) else some.floats(_low, _high) | some.integers(-int(-_low), int(_high))
    )


def in_order(values: dict[str, Value]) -> dict[str, Value]:
    return {name: values[name] for name in VALUE_NAMES if name in values}


VALUES = some.fixed_dictionaries(
    {"temperature": FIELDS["temperature"]}, optional={name: FIELDS[name] for name in VALUE_NAMES if name != "temperature"}
).map(in_order)


EXTRA = some.dictionaries(
    some.text("aZ._é-[]0", min_size=1, max_size=20),
    some.booleans() | some.integers(-(2**53) + 1, 2**53 - 1) | some.floats(-1e15, 1e15) | some.text("a é", max_size=20),
    max_size=32,
)


def readings() -> some.SearchStrategy[Reading]:
    return some.builds(
        Reading,
        id=some.binary(min_size=12, max_size=12).map(ObjectId),
        device_id=some.text("aZ09._:-/ é*,", min_size=1, max_size=128).filter(is_device_id),
        values=VALUES,
        timestamp_ms=MOMENTS,
        received_ms=MOMENTS,
        quality=some.dictionaries(TEXTS, TEXTS, max_size=3),
        device_timestamp=some.none() | TEXTS | some.integers(-(2**63), 2**63 - 1) | some.floats(-1e18, 1e18),
        retained=some.booleans(),
        seq=some.integers(1, 2**53 - 1),
        extra=EXTRA,
    )


@given(readings())
def test_parsed_public_record_equals_its_reading(reading: Reading) -> None:
    record = orjson.loads(orjson.dumps(reading.public()))
    parsed = parse_record(record)
    assert parsed == replace(reading, seq=0)
    assert {name: type(value) for name, value in parsed.values.items()} == {
        name: type(value) for name, value in reading.values.items()
    }
    assert set(record) <= set(RECORD_NAMES)


MINIMAL = {"deviceId": "a", "timestamp": "2026-01-31T12:00:00.000Z", "temperature": 20}


def test_missing_id_and_time_of_receipt_are_derived() -> None:
    reading = parse_record(MINIMAL)
    assert reading.received_ms == reading.timestamp_ms == 1_769_860_800_000
    assert reading.id == record_id("a", reading.timestamp_ms, {"temperature": 20})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"temperature": None}, "temperature is not a number"),
        ({"temperature": "20"}, "temperature is not a number"),
        ({"temperature": True}, "temperature is not a number"),
        ({"temperature": 201}, "temperature is outside -90..200"),
        ({"eco2": 2**70}, "eco2 is outside 0..65535"),
        ({"flameDetected": 1}, "flameDetected must be true or false"),
        ({"aqiScale": []}, "aqiScale must be one of uba, epa"),
        ({"tempreature": 1}, "'tempreature' is not a field of a reading"),
        ({"deviceId": "a+b"}, r"deviceId contains '\+': must be"),
        ({"deviceId": ".."}, r"deviceId has the level '..'"),
        ({"deviceId": 1}, "deviceId is not a text: must be"),
        ({"timestamp": "yesterday"}, "timestamp must be a time"),
        ({"timestamp": None}, "timestamp must be a time"),
        ({"timestamp": "0001-01-01T00:00:00+14:00"}, "timestamp must be a time in ISO 8601, from 1970 to 2255"),
        ({"receivedAt": ""}, "receivedAt must be a time"),
        ({"_id": "x"}, "_id must be 24 hexadecimal digits"),
        ({"_id": None}, "_id must be 24 hexadecimal digits"),
        ({"quality": []}, "quality must be an object of texts"),
        ({"quality": {"eco2": 1}}, "quality must be an object of texts"),
        ({"deviceTimestamp": []}, "deviceTimestamp must be a text or a number"),
        ({"deviceTimestamp": 2**64}, "deviceTimestamp must be a text or a number"),
        ({"extra": []}, "extra must be an object of at most 32 texts, numbers and true/false"),
        ({"extra": {"a": None}}, "extra must be"),
        ({"extra": {"a": [1]}}, "extra must be"),
        ({"extra": {"$a": 1}}, "extra must be"),
        ({"extra": {"__proto__": 1}}, "extra must be"),
        ({"extra": {"a" * 65: 1}}, "extra must be"),
        ({"extra": {"a": "b" * 257}}, "extra must be"),
        ({"extra": {"a": 2**53}}, "extra must be"),
        ({"extra": {str(n): n for n in range(33)}}, "extra must be"),
        ({"extra": {str(n): "b" * 256 for n in range(8)}}, "extra must be"),
        ({"retained": "yes"}, "retained must be true or false"),
    ],
)
def test_invalid_record_is_refused_with_a_reason(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        parse_record(MINIMAL | change)


def test_record_without_a_measurement_is_refused() -> None:
    with pytest.raises(RecordError, match="no measurement"):
        parse_record({"deviceId": "a", "timestamp": "2026-01-31", "aqiScale": "epa"})
