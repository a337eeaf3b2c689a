"""What is advised of a forecast or an alarm, and of what nothing is."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.alarms.conditions import Above, Below
from bridge.alarms.defaults import DEFAULT_RULES
from bridge.alarms.rules import Priority, Rule
from bridge.analysis.advice.policy import Surroundings, alarm_advice, forecast_advice
from bridge.analysis.advice.record import Advice, AdviceReason, advice_from_document
from bridge.core.alarms.advice import AdviceKind
from tests.alarms.folding import START_MS
from tests.analysis.advice.bodies import alarm, prediction

RULES = {rule.id: rule for rule in DEFAULT_RULES}


def of_forecast(surroundings: Surroundings = Surroundings(), **more: Any) -> Advice | None:  # noqa: B008 - frozen
    return forecast_advice(prediction(**more), START_MS, surroundings)


def of_alarm(rule: Rule, surroundings: Surroundings = Surroundings(), **more: Any) -> Advice | None:  # noqa: B008 - frozen
    return alarm_advice(rule, alarm(rule, **more).public(), "t1", START_MS, surroundings)


def own_rule(field: str, condition: Above | Below, **more: Any) -> Rule:
    return Rule(id="own", field=field, condition=condition, priority=Priority.MEDIUM, message="", advice="", **more)


def kind(advice: Advice | None) -> str | None:
    return None if advice is None else advice.kind.value


def test_likely_exceedance_of_a_limit_is_advice_with_all_that_it_rests_on() -> None:
    advice = of_forecast(over_1000=0.97, over_2000=0.62)
    assert advice == Advice(
        id=advice.id if advice else "",
        device_id="room-1",
        at_ms=START_MS,
        kind=AdviceKind.VENTILATE,
        reason=AdviceReason.FORECAST,
        key="advice.ventilate.forecast",
        field="co2",
        unit="ppm",
        limit=2000,
        probability=0.62,
        within=3,
        standard="standard.ubaCo2",
        source="UBA 2008",
    )
    assert advice.parameters == {"limit": 2000, "hours": 3, "probability": 62}


def test_the_highest_limit_that_is_likely_counts() -> None:
    advice = of_forecast(over_1000=0.97, over_2000=0.59)
    assert advice is not None
    assert (advice.limit, advice.probability) == (1000, 0.97)


@pytest.mark.parametrize(
    "more",
    [
        {"over_2000": 0.599},
        {"over_2000": 0.9, "model": "persistence"},
        {"over_2000": 0.9, "model": "learning"},
        {},
        {"field": "coPpm", "over_9_5": 0.9},
        {"field": "lpgPpm", "over_1400": 0.9},
        {"field": "ch4Ppm", "over_4400": 0.9},
        {"field": "temperature", "over_57": 0.9},
        {"field": "temperature", "over_5": 0.9},
        {"field": "humidity", "over_20": 0.9},
        {"over_30000": 0.9},
        {"field": "pm25", "over_250": 0.9},
    ],
)
def test_nothing_is_advised_of_what_is_unlikely_dangerous_or_no_matter_of_comfort(more: dict[str, Any]) -> None:
    assert of_forecast(**more) is None


def test_a_dangerous_limit_does_not_hide_the_one_below_it() -> None:
    advice = of_forecast(field="pm25", over_250=0.7, over_55_5=0.9)
    assert advice is not None
    assert (advice.limit, advice.source) == (55.5, "US EPA NowCast, 2024")


@pytest.mark.parametrize(
    ("field", "limit", "outside", "expected"),
    [
        ("pm25", "over_55_5", None, "clean_air"),
        ("pm25", "over_55_5", 55.5, "close_windows"),
        ("pm25", "over_55_5", 55.4, "ventilate"),
        ("no2", "over_106", None, "find_source"),
        ("no2", "over_106", 20.0, "ventilate"),
        ("o3", "over_90", 120.0, "close_windows"),
        ("humidity", "over_70", None, "dehumidify"),
        ("temperature", "over_26", None, "cool"),
    ],
)
def test_the_air_outside_decides_only_where_it_is_known(field: str, limit: str, outside: float | None, expected: str) -> None:
    advice = of_forecast(Surroundings(outside=outside), field=field, **{limit: 0.8})
    assert kind(advice) == expected
    assert advice is not None
    assert ("Outside" in advice.key) is (outside is not None)
    assert advice.outside == outside


@pytest.mark.parametrize(("field", "limit", "expected"), [("o3", "over_90", "close_windows"), ("co2", "over_2000", None)])
def test_a_device_outdoors_tells_of_the_windows_alone(field: str, limit: str, expected: str | None) -> None:
    assert kind(of_forecast(Surroundings(is_outdoors=True), field=field, **{limit: 0.8})) == expected


@pytest.mark.parametrize("rule", DEFAULT_RULES, ids=lambda rule: rule.id)
def test_each_default_rule_gives_its_advice_and_danger_none(rule: Rule) -> None:
    expected = {
        "co2-work": "ventilate",
        "co2-air": "ventilate",
        "co2-1000": "ventilate",
        "tvoc": "ventilate",
        "pm25-very-unhealthy": "clean_air",
        "pm25-unhealthy": "clean_air",
        "no2": "find_source",
        "o3-high": "find_source",
        "o3": "find_source",
        "so2": "find_source",
        "quality": "check_sensor",
        **dict.fromkeys(("stuck-temperature", "stuck-humidity", "stuck-co2", "stuck-pressure"), "check_sensor"),
    }
    assert kind(of_alarm(rule)) == expected.get(rule.id)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (own_rule("temperature", Below(17, 18)), "heat"),
        (own_rule("temperature", Below(-18, -17)), None),
        (own_rule("temperature", Above(26, 25)), "cool"),
        (own_rule("temperature", Above(-15, -17)), None),
        (own_rule("temperature", Above(57, 50)), None),
        (own_rule("humidity", Above(70, 65)), "dehumidify"),
        (own_rule("co2", Below(350, 400)), None),
        (own_rule("co2", Above(40_000, 30_000)), None),
        (own_rule("coPpm", Above(9, 8)), None),
    ],
)
def test_a_rule_of_ones_own_gives_advice_where_its_limit_is_one_of_comfort(rule: Rule, expected: str | None) -> None:
    assert kind(of_alarm(rule)) == expected


def test_a_critical_alarm_speaks_for_itself() -> None:
    rule = RULES["co2-air"]
    critical = alarm(rule).public() | {"priority": "critical"}
    assert alarm_advice(rule, critical, "t1", START_MS) is None


def test_advice_of_an_alarm_names_value_limit_source_and_alarm() -> None:
    advice = of_alarm(RULES["co2-air"])
    assert advice is not None
    assert (advice.key, advice.parameters, advice.source) == (
        "advice.ventilate.alarm",
        {"limit": 2000, "value": 2100},
        "UBA 2008",
    )
    assert advice.alarm == alarm(RULES["co2-air"]).id
    assert advice.probability is None


def test_the_same_input_gives_the_same_id_and_another_one_another() -> None:
    first, again = of_forecast(over_2000=0.62), of_forecast(over_2000=0.7)
    later = forecast_advice(prediction(over_2000=0.62), START_MS + 3_600_000)
    assert first is not None
    assert again is not None
    assert later is not None
    assert first.id == again.id
    assert first.id < later.id


def test_advice_is_what_its_document_says() -> None:
    for advice in (of_forecast(over_2000=0.62), of_alarm(RULES["pm25-unhealthy"], Surroundings(outside=80.0))):
        assert advice is not None
        assert advice_from_document(advice.to_document()) == advice
