"""Values of hazards in the shapes in which devices send them are taken, or named while the rest of the message is stored."""

from __future__ import annotations

import pytest

from bridge.core.formats.registry import FormatName
from tests.core.formats.decoding import reading, rejection

TOPIC = "sensors/a/data"


@pytest.mark.parametrize(
    ("body", "ppm"),
    [
        ({"ch4": {"value": 20, "unit": "%LEL"}}, {"ch4Ppm": 8800}),
        ({"ch4": {"value": 20, "unit": "% LEL"}}, {"ch4Ppm": 8800}),
        ({"ch4": "20 %LEL"}, {"ch4Ppm": 8800}),
        ({"ch4": 20, "unit": "%LEL"}, {"ch4Ppm": 8800}),
        ({"ch4": 20, "ch4_unit": "LEL%"}, {"ch4Ppm": 8800}),
        ({"ch4_lel": 20}, {"ch4Ppm": 8800}),
        ({"methane_percent_lel": "20"}, {"ch4Ppm": 8800}),
        ({"ch4": {"value": 100, "unit": "% UEG"}}, {"ch4Ppm": 44000}),
        ({"ch4": {"value": 0.88, "unit": "Vol.-%"}}, {"ch4Ppm": 8800}),
        ({"lpg": {"value": 20, "unit": "%LEL"}}, {"lpgPpm": 2800}),
        ({"h2": {"value": 10, "unit": "%LFL"}}, {"h2": 4000}),
        ({"type": "CH4", "value": 20, "unit": "%LEL"}, {"ch4Ppm": 8800}),
        ({"gas": "methane", "value": 20, "unit": "%LEL"}, {"ch4Ppm": 8800}),
        (
            [{"gas": "ch4", "value": 20, "unit": "%LEL"}, {"gas": "co", "value": 30, "unit": "ppm"}],
            {"ch4Ppm": 8800, "coPpm": 30},
        ),
    ],
    ids=str,
)
def test_percentage_of_the_lower_explosive_limit_is_converted(body: object, ppm: dict[str, float]) -> None:
    found = reading(FormatName.AUTO, body, TOPIC)
    assert (found.values, found.quality) == (ppm, {})


@pytest.mark.parametrize(
    "value",
    [True, 1, 1.0, "1", "1.0", "on", "ON", "true", "True", "yes", "Yes", "y", "alarm", "ALARM", " detected ", "active", "fire"],
    ids=repr,
)
def test_flame_is_seen_in_every_word(value: object) -> None:
    shapes = (
        {"flame": value},
        {"flameDetected": {"value": value}},
        {"flame": {"detected": value}},
        {"flame": {"State": value, "battery_ok": True}},
        {"values": {"flame": value}},
        {"fire": value},
        {"flame_alarm": value},
        {"type": "flame", "value": value},
    )
    for body in shapes:
        assert reading(FormatName.AUTO, body, TOPIC).values == {"flameDetected": True}, body
    assert reading(FormatName.SCALAR, str(value).encode(), "sensors/a/flame").values == {"flameDetected": True}


@pytest.mark.parametrize("value", [False, 0, 0.0, "0", "off", "false", "no", "clear", "normal", "OK", "not_detected"], ids=repr)
def test_absence_of_a_flame_is_seen_in_every_word(value: object) -> None:
    for body in ({"flame": value}, {"flame": {"value": value}}, {"flame": {"status": value}}):
        assert reading(FormatName.AUTO, body, TOPIC).values == {"flameDetected": False}, body


@pytest.mark.parametrize("value", ["none", "unknown", "unavailable", "high", "low", "fault", 2, -1, 255, "2"], ids=repr)
def test_word_without_a_clear_meaning_is_no_flame_and_no_absence_of_one(value: object) -> None:
    found = reading(FormatName.AUTO, {"flame": value, "temperature": 21}, TOPIC)
    assert (found.values, found.quality) == ({"temperature": 21}, {"flameDetected": "not true or false"})


@pytest.mark.parametrize(
    "shape",
    [
        {"value": 300, "unit": "ppm"},
        {"Value": "300", "Unit": "ppm"},
        {"val": 300, "uom": "ppm"},
        {"v": 300000, "u": "ppb"},
        {"ppm": 300},
        {"value": {"value": 300, "unit": "ppm"}},
        {"concentration": 300, "unit": "ppm"},
        {"measurement": 300},
        {"value": "300 ppm"},
        [{"value": 300, "unit": "ppm"}],
        {"value": 0.0003, "unit": "fraction"},
        {"value": "> 300", "unit": "ppm"},
        "≥300 ppm",
        ">=300",
    ],
    ids=str,
)
def test_value_with_its_unit_is_taken_in_every_shape(shape: object) -> None:
    found = reading(FormatName.AUTO, {"co": shape}, TOPIC)
    assert (found.values, found.quality, found.ignored) == ({"coPpm": 300}, {}, {})


@pytest.mark.parametrize(
    ("body", "values"),
    [
        ({"temperature": {"celsius": 60}}, {"temperature": 60}),
        ({"temperature": {"f": 140}}, {"temperature": 60}),
        ({"type": "co", "value": 300, "unit": "ppm"}, {"coPpm": 300}),
        ({"sensor": {"type": "co", "reading": {"value": 300, "unit": "ppm"}}}, {"coPpm": 300}),
        ({"sensor": "co", "value": 300, "battery": 80}, {"coPpm": 300, "battery": 80}),
        ({"parameter": "temperature", "reading": 140, "unit": "F", "timestamp": 1767000000}, {"temperature": 60}),
    ],
    ids=str,
)
def test_unit_as_a_key_and_a_name_beside_its_value_are_understood(body: object, values: dict[str, float]) -> None:
    assert reading(FormatName.AUTO, body, TOPIC).values == values


@pytest.mark.parametrize(
    ("body", "ignored"),
    [
        ({"gas": 1}, {"gas": 1}),
        ({"smoke": "yes"}, {"smoke": "yes"}),
        ({"smoke": {"value": "on"}}, {"smoke.value": "on"}),
        ({"gas": {"value": 20, "unit": "%LEL"}}, {"gas.value": 20}),
        ({"lel": 20}, {"lel": 20}),
        ({"leak": True, "tamper": 0}, {"leak": True, "tamper": 0}),
        ({"co": {"level": 2}}, {"co.level": 2}),
        ({"threshold": {"type": "co", "value": 50}}, {"threshold.value": 50}),
    ],
    ids=str,
)
def test_hazard_without_a_field_is_named_and_kept_beside_what_is_taken(
    body: dict[str, object], ignored: dict[str, object]
) -> None:
    found = reading(FormatName.AUTO, body | {"temperature": 21}, TOPIC)
    assert found.values == {"temperature": 21}
    assert found.ignored.keys() >= ignored.keys()
    assert found.extra.items() >= ignored.items()
    assert all(key.partition(".")[0] in rejection(FormatName.AUTO, body, TOPIC).reason for key in ignored)


def test_channels_are_no_units() -> None:
    for body in ({"temperature": {"1": 20, "2": 21}}, {"temperature": {"a": 20, "b": 21, "c": 22}}):
        assert reading(FormatName.AUTO, body | {"co": 1}, TOPIC).values == {"coPpm": 1}
