"""The default rules as they were designed: limits, delays, priorities and standards, each written down here once more."""

from __future__ import annotations

import pytest

from bridge.alarms.co_dose import EN_50291
from bridge.alarms.conditions import (
    Above,
    Below,
    ClockWrong,
    Dose,
    FlaggedShare,
    Is,
    Mean,
    Missing,
    NowCast,
    Silence,
    Unchanged,
    Unreachable,
)
from bridge.alarms.defaults import DEFAULT_RULES, PROFILES

BY_ID = {rule.id: rule for rule in DEFAULT_RULES}
TABLE = {
    "co-ceiling": (200, 150, None, True, "critical", True, True, "standard.niosh"),
    "co-8h": (9.5, 8, 480, False, "medium", False, True, "standard.epaAqi"),  # above 9.4, to one decimal place
    "co-work": (20, 16, 480, False, "high", False, False, "standard.euWork"),
    "ch4-high": (8800, 7040, None, True, "critical", True, True, "standard.isoMethane"),
    "ch4-low": (4400, 3520, None, True, "high", False, True, "standard.isoMethane"),
    "lpg-high": (2800, 2240, None, True, "critical", True, True, "standard.isoButane"),
    "lpg-low": (1400, 1120, None, True, "high", False, True, "standard.isoButane"),
    "heat": (57, 50, None, True, "high", False, True, "standard.heat"),
    "co2-danger": (30_000, 20_000, None, True, "critical", True, True, "standard.niosh"),
    "co2-work": (5000, 4500, 15, False, "high", False, True, "standard.niosh"),
    "co2-air": (2000, 1700, 10, False, "low", False, True, "standard.ubaCo2"),
    "co2-1000": (1000, 850, 10, False, "low", False, False, "standard.ubaCo2"),
    "pm25-smoke": (250, 150, 10, False, "high", False, True, "standard.ours"),
    "pm25-very-unhealthy": (125.5, 100, NowCast(), False, "high", False, True, "standard.epaNowCast"),
    "pm25-unhealthy": (55.5, 45, NowCast(), False, "medium", False, True, "standard.epaNowCast"),
    "no2": (106, 84.8, 60, False, "medium", False, True, "standard.who2021"),
    "o3-high": (120, 96, 60, False, "high", False, True, "standard.euAir"),
    "o3": (90, 72, 60, False, "medium", False, True, "standard.euAir"),
    "so2": (191, 152.8, 10, False, "medium", False, True, "standard.who2021"),
    "toluene": (50, 40, 480, False, "medium", False, False, "standard.euWork"),
    "acetone": (500, 400, 480, False, "medium", False, False, "standard.euWork"),
    "alcohol": (1000, 800, 480, False, "low", False, False, "standard.niosh"),
    "tvoc": (2200, 1760, 60, False, "low", False, False, "standard.ubaTvoc"),
    "battery": (15, 20, None, False, "low", False, True, "standard.ours"),
}
"""Set, clear, averaged over minutes, two of three, priority, latched, on at first, standard."""

OTHERS = {
    "co-dose": (Dose(EN_50291), 300, False, "critical", True, "standard.enCo"),
    "flame": (Is(value=True), 60, True, "critical", True, "standard.ours"),
    "no-data": (Silence(3, 60), 0, False, "medium", False, "standard.ours"),
    "missing": (Missing(3, 900), 0, False, "high", False, "standard.ours"),
    "quality": (FlaggedShare(0.5, 0.25, 15), 0, False, "low", False, "standard.ours"),
    "clock": (ClockWrong(10), 0, False, "low", False, "standard.ours"),
    **{
        f"stuck-{field}": (Unchanged(24), 0, False, "low", False, "standard.ours")
        for field in ("temperature", "humidity", "co2", "pressure")
    },
    "store-unavailable": (Unreachable("store", 60), 0, False, "high", False, "standard.ours"),
    "broker-unavailable": (Unreachable("broker", 60), 0, False, "high", False, "standard.ours"),
}
"""Condition, seconds until it is over, two of three, priority, latched, standard; all are on at first."""


def test_every_default_rule_is_in_one_of_the_tables() -> None:
    assert BY_ID.keys() == TABLE.keys() | OTHERS.keys()


@pytest.mark.parametrize("rule_id", TABLE)
def test_level_is_that_of_the_table(rule_id: str) -> None:
    rule = BY_ID[rule_id]
    assert isinstance(rule.condition, Above | Below)
    limit, clear = rule.condition.limit, rule.condition.clear
    averaging = rule.averaging.minutes if isinstance(rule.averaging, Mean) else rule.averaging
    standard = rule.standard.key if rule.standard else None
    is_on = rule_id in PROFILES["home"]
    assert (
        limit, clear, averaging, rule.two_of_three, rule.priority.value, rule.latched, is_on, standard,
    ) == TABLE[rule_id]  # fmt: skip
    assert (rule.on_delay_seconds, rule.off_delay_seconds) == (0, 0)


@pytest.mark.parametrize("rule_id", OTHERS)
def test_condition_is_that_of_the_table(rule_id: str) -> None:
    rule = BY_ID[rule_id]
    standard = rule.standard.key if rule.standard else None
    assert (
        rule.condition, rule.off_delay_seconds, rule.two_of_three, rule.priority.value, rule.latched, standard,
    ) == OTHERS[rule_id]  # fmt: skip
    assert rule_id in PROFILES["home"]


def test_lower_rules_are_suppressed_by_the_higher_ones_of_the_same_field() -> None:
    """`co-dose` is not: it is critical, too, and says for how long."""
    ranks = ["low", "medium", "high", "critical"]
    for rule in DEFAULT_RULES:
        if not isinstance(rule.condition, Above) or rule.field is None:
            continue
        worse = {
            other.id
            for other in DEFAULT_RULES
            if other.field == rule.field and ranks.index(other.priority) > ranks.index(rule.priority)
        }
        assert worse <= set(rule.suppressed_by), rule.id
