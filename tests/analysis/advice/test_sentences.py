"""Every advice has a sentence, here and on the page."""

from __future__ import annotations

import itertools
import re
import string
from typing import Any

import pytest

from bridge.alarms.conditions import Above, Below
from bridge.alarms.defaults import DEFAULT_RULES
from bridge.analysis.advice.policy import Surroundings, alarm_advice, forecast_advice
from bridge.analysis.advice.record import Advice, AdviceReason
from bridge.analysis.advice.sentences import SENTENCES, SOURCE, sentence
from bridge.core.alarms.advice import AdviceKind
from tests.alarms.folding import START_MS
from tests.analysis.advice.bodies import alarm, prediction
from tests.analysis.advice.test_policy import of_alarm, own_rule
from tests.servers import REPO

AIR = [Surroundings(), Surroundings(is_outdoors=True), Surroundings(outside=0.0), Surroundings(outside=1e6)]
FORECASTS: list[dict[str, Any]] = [
    {"over_2000": 0.62},
    {"field": "pm25", "over_55_5": 0.8},
    {"field": "no2", "over_106": 0.8},
    {"field": "humidity", "over_70": 0.8},
    {"field": "temperature", "over_26": 0.8},
]


def advices() -> list[Advice]:
    """Advice of every kind, reason and surroundings."""
    own = (own_rule("temperature", Below(17, 18)), own_rule("temperature", Above(26, 25)), own_rule("humidity", Above(70, 65)))
    made = [forecast_advice(prediction(**more), START_MS, air) for more, air in itertools.product(FORECASTS, AIR)]
    rules = (*DEFAULT_RULES, *own)
    made += [alarm_advice(rule, alarm(rule).public(), "t1", START_MS, air) for rule, air in itertools.product(rules, AIR)]
    return [one for one in made if one is not None]


def test_each_key_has_a_sentence_and_each_sentence_is_used() -> None:
    assert {one.key for one in advices()} == set(SENTENCES) - {SOURCE}
    assert {one.kind for one in advices()} == set(AdviceKind)
    assert {one.reason for one in advices()} == set(AdviceReason)


@pytest.mark.parametrize("advice", advices(), ids=lambda one: f"{one.key}-{one.field}")
def test_sentence_has_no_hole_besides_its_parameters(advice: Advice) -> None:
    holes = {name for _, name, _, _ in string.Formatter().parse(SENTENCES[advice.key]) if name}
    assert holes <= advice.parameters.keys() | {"field", "unit"}
    text = sentence(advice)
    assert "{" not in text
    assert "  " not in text
    assert text.endswith(".")
    assert (f"The limit is that of {advice.source}." in text) is (advice.source is not None)


def test_sentence_says_what_to_do_and_why() -> None:
    advice = forecast_advice(prediction(over_2000=0.62), START_MS)
    assert advice is not None
    assert sentence(advice) == (
        "Air the room now: Carbon dioxide is likely to rise above 2,000 ppm within 3 h (62 %). The limit is that of UBA 2008."
    )
    damp = of_alarm(own_rule("humidity", Above(70, 65)), value=81.25)
    assert damp is not None
    assert sentence(damp) == "Run a dehumidifier, or air the room for a few minutes: Humidity is 81.2 %RH, above 70 %RH."


def test_page_has_the_sentences_as_the_bridge_writes_them() -> None:
    catalogue = (REPO / "web" / "src" / "standards" / "advice.en.ts").read_text("utf-8")
    assert dict(re.findall(r'^  "([\w.]+)": "(.*)",$', catalogue, re.MULTILINE)) == SENTENCES


def test_page_names_every_standard_that_advice_names() -> None:
    english = "".join(
        (REPO / "web" / "src" / "standards" / f"{name}.en.ts").read_text("utf-8") for name in ("messages", "alarms")
    )
    assert {one.standard for one in advices() if one.standard} <= set(re.findall(r'"(standard\.\w+)"', english))
