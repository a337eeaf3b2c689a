"""The page has the texts of every default rule, exactly as the bridge writes them, and no others."""

from __future__ import annotations

import re

from bridge.alarms.defaults import DEFAULT_RULES
from bridge.alarms.rules_file.rule_tables import UL_CO
from tests.servers import REPO

STANDARDS = REPO / "web" / "src" / "standards"


def texts(name: str) -> dict[str, str]:
    return dict(re.findall(r'^  "([\w.-]+)": "(.*)",$', (STANDARDS / name).read_text("utf-8"), re.MULTILINE))


def test_page_has_the_message_of_every_default_rule() -> None:
    messages = {key: text for key, text in texts("alarms.en.ts").items() if key.startswith("rule.")}
    assert messages == {f"rule.{rule.id}": rule.message for rule in DEFAULT_RULES}


def test_page_has_the_advice_of_every_default_rule_once() -> None:
    advice = [text for key, text in texts("alarms.en.ts").items() if key.startswith("todo.")]
    assert sorted(advice) == sorted({rule.advice for rule in DEFAULT_RULES})


def test_page_names_every_standard_of_a_default_rule_and_no_others() -> None:
    of_alarms = {key for key in texts("alarms.en.ts") if key.startswith("standard.")}
    of_rules = {rule.standard.key for rule in DEFAULT_RULES if rule.standard is not None} | {UL_CO.key}
    assert of_rules - of_alarms <= texts("messages.en.ts").keys()
    assert of_alarms <= of_rules
    assert of_alarms.isdisjoint(texts("messages.en.ts"))
