"""A failed sensor raises no alarm and is no clean air; a value that may be true raises its alarm."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from bridge.air.score import global_score
from bridge.alarms.conditions import Above, Mean
from bridge.alarms.defaults import profile_rules
from bridge.alarms.fold import AlarmFold
from bridge.alarms.rules import Priority, Rule
from bridge.core.decode import Decoder, Route
from bridge.core.formats.registry import FormatName, make_format
from bridge.core.message import Decoded, Message, Outcome
from bridge.core.readings.reading import Reading
from bridge.core.topic import TopicPattern
from tests.alarms.folding import MINUTE_MS, SECOND_MS, START_MS

PATTERN = TopicPattern.parse("sensors/{deviceId}/data")
ANY = tuple(
    Rule(
        id=f"any-{field.lower()}",
        field=field,
        condition=Above(limit, limit - 1),
        averaging=None if mean is None else Mean(mean),
        priority=Priority.HIGH,
        message="{value}",
        advice="",
    )
    for field, limit, mean in (("co2", 400.0, None), ("tvoc", 100.0, 60), ("no2", 10.0, None), ("h2", 10.0, None))
)
"""Rules that any value raises."""


class NullOrigin:
    def acknowledge(self, message: Message, outcome: Outcome, meaning: Decoded | None = None) -> None: ...


def stored(body: object, at_ms: int, device: str = "a", family: FormatName = FormatName.AUTO) -> Reading:
    """The reading of a message, as the pipeline stores it."""
    message = Message("mqtt", f"sensors/{device}/data", orjson.dumps(body), at_ms, NullOrigin())
    reading = Decoder([Route(PATTERN, format=make_format(family, PATTERN))]).decode(message)
    assert isinstance(reading, Reading), reading
    reading.seq = at_ms * 1000
    return reading


def raised(body: object, seconds: int = 1, number: int = 20, **more: Any) -> set[str]:
    """The alarms that the same message raises, sent so many times, so many seconds apart."""
    fold = AlarmFold((*profile_rules("home"), *ANY))
    found = set()
    for index in range(1, number + 1):
        at_ms = START_MS + index * seconds * SECOND_MS
        found |= {one.record.rule for one in fold.step(stored(body, at_ms, **more)) if one.announces}
    return found - {"quality"}


FAILED = [
    *({"co2": number} for number in (65535, 65534, 32767, 65535.0, 655350, 655340, 327670, 999999, "65535")),
    *({"coPpm": number} for number in (65535, 65534, 32767, 6553.5, 6553.4, 3276.7, 655350, 999999)),
    *({name: number} for name in ("ch4Ppm", "lpgPpm", "h2") for number in (65535, 65534, 32767, 655350)),
    *({name: number} for name in ("no2", "o3", "so2", "hcho") for number in (65535, 65534, 32767, 655350)),
    *({name: number} for name in ("pm1", "pm25", "pm4", "pm10") for number in (6553.5, 6553.4, 3276.7)),
    *({name: 65535} for name in ("tvoc", "toluene", "acetone", "alcohol", "nh3", "h2s", "radon")),
    {"temperature": 163.835},
    {"vocIndex": 511},
    {"pressure": 1155.35},
    {"values": {"CO2": 65535}},
    {"co2": {"value": 65535, "unit": "ppm"}},
    {"co2": "65535 ppm"},
    {"co2": {"value": 6.5535, "unit": "%"}},
    {"co": {"value": 65535, "unit": "mg/m³"}},
    {"pm25": {"value": 6.5535, "unit": "mg/m³"}},
    {"tvoc": {"value": 65535, "unit": "µg/m³"}},
    {"no2": {"value": 65535, "unit": "µg/m³"}},
    {"toluene": {"value": 2147483647, "unit": "µg/m³"}},
    {"DS18B20": {"Temperature": 85}},
    {"DS18B20": {"Temperature": 185}, "unit": "°F"},
]


@pytest.mark.parametrize("body", FAILED, ids=lambda body: orjson.dumps(body).decode())
def test_code_of_a_failed_sensor_is_stored_flagged_and_judged_as_nothing(body: object) -> None:
    reading = stored(body, START_MS)
    assert reading.values
    assert reading.quality.keys() == reading.values.keys()
    assert all("sensor failure" in fault or "DS18B20" in fault for fault in reading.quality.values())
    assert global_score(reading.values, reading.quality) is None
    assert raised(body) == set()
    assert raised(body, 60, 8 * 60 + 20) == set()


def test_value_of_a_failed_sensor_is_stored_as_it_was_sent() -> None:
    assert stored({"co2": 65535, "temperature": 21}, START_MS).values == {"co2": 65535, "temperature": 21}
    assert stored({"co2": 65535}, START_MS).quality == {"co2": "sensor failure: 65535 is a code, not a value"}


@pytest.mark.parametrize("body", [{"co2": 65535}, {"pm25": 65535, "humidity": 40}, {"temperature": -127, "humidity": 40}])
def test_sensor_that_sends_only_codes_is_reported_by_the_share_of_flagged_readings(body: object) -> None:
    fold, found = AlarmFold(profile_rules("home")), set()
    for minute in range(1, 31):
        at_ms = START_MS + minute * MINUTE_MS
        found |= {one.record.rule for one in [*fold.tick(at_ms), *fold.step(stored(body, at_ms))] if one.announces}
    assert found == {"quality"}


@pytest.mark.parametrize("device", ["ds18b20-cellar", "DS18B20", "dallas-1"])
def test_power_on_value_of_a_device_that_is_named_after_its_sensor_is_flagged(device: str) -> None:
    assert raised({"temperature": 85}, device=device) == set()
    assert raised({"temperature": 84.9375}, device=device) == {"heat"}


def test_power_on_value_of_a_dragino_probe_is_flagged() -> None:
    body = {"BatV": 3.0, "TempC_DS": 85}
    assert stored(body, START_MS, family=FormatName.DRAGINO).quality.keys() == {"temperature"}
    assert raised(body, family=FormatName.DRAGINO) == set()


TRUE = [
    *(({"co2": number}, 20, 50, "co2-work") for number in (5000, 9999, 10000, 6553.5)),
    *(({"co2": number}, 1, 20, "co2-danger") for number in (30000, 32766, 32768, 40000, 50000, 65533, 65536, 99999, 1_000_000)),
    *(({"coPpm": number}, 1, 20, "co-ceiling") for number in (327.67, 655.35, 999, 1000, 1500, 5000, 9999, 10000, 65536)),
    ({"co": {"value": 65535, "unit": "ppb"}}, 60, 120, "co-dose"),
    *(({"ch4Ppm": number}, 1, 20, "ch4-high") for number in (9999, 10000, 44000, 50000, 65536, 99999, 1_000_000)),
    ({"ch4Ppm": 6553.5}, 1, 20, "ch4-low"),
    *(({"lpgPpm": number}, 1, 20, "lpg-high") for number in (3276.7, 6553.5, 10000, 20000)),
    *(({"pm25": number}, 60, 20, "pm25-smoke") for number in (327.67, 655.35, 999, 999.9, 1000, 5000, 6553, 10000)),
    *(({"temperature": number}, 1, 20, "heat") for number in (57, 85, 99.9, 100, 125, 127, 163.8, 200)),
    ({"no2": 20001}, 60, 90, "no2"),
]


@pytest.mark.parametrize(("body", "seconds", "number", "rule"), TRUE, ids=lambda one: str(one) if isinstance(one, dict) else "")
def test_value_at_which_sensors_stop_and_the_neighbour_of_a_code_raise_the_alarm(
    body: object, seconds: int, number: int, rule: str
) -> None:
    assert rule in raised(body, seconds, number)
