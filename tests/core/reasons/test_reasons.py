"""Reasons and their keys: every key is that of a text which the bridge writes, and has a text in every language of the page."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache

import pytest

from bridge.core.reasons import cause_of, with_cause
from bridge.core.reasons.catalogue import REASONS
from tests.servers import REPO

HOLE = re.compile(r"\{[^{}]*\}")
SAMPLES = {"address": "mqtts://broker.example:8883"} | dict.fromkeys(
    ("count", "all", "limit", "bytes", "seconds", "low", "high", "shortest", "longest", "port"), "12"
)
COMPOSED: dict[str, tuple[str, ...]] = {
    "measurement.null": ("no measurement: the payload is {}", "null"),
    "measurement.empty": ("no measurement: the payload is {}", "empty"),
    "device.idInvalid": ("no valid device id: {} {}; allowed are {}", "1 to 128 printable characters"),
    "subscription.inFile": ("{} matches the same topics and is {}", "in the settings file"),
    "subscription.stored": ("{} matches the same topics and is {}", "stored"),
    "broker.password": ("the broker does not authorize {}", "this user or password", "correct mqtt.username and mqtt.password"),
    "broker.noUser": ("the broker does not authorize {}", "a client without a user", "correct mqtt.username and mqtt.password"),
    "broker.silent": ("no answer from {} within {} s", "port {} of {}", "correct {}, or check the network and its firewalls"),
}
"""The texts in the code of which some reasons are put together."""
KEYS_LIMIT = 200
"""The page loads the texts of one language at once."""


def filled(template: str) -> str:
    return HOLE.sub(lambda hole: SAMPLES.get(hole[0][1:-1], "some words"), template)


def literals(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)


@cache
def code() -> str:
    """Every text in the code of the bridge but for the catalogue, with {} for what is filled in."""
    files = (path for path in (REPO / "bridge").rglob("*.py") if path.parent.name != "reasons")
    return "\n".join(text for path in files for text in literals(ast.parse(path.read_text("utf-8"))))


def texts(language: str) -> dict[str, str]:
    source = (REPO / "web" / "src" / "standards" / f"reasons.{language}.ts").read_text("utf-8")
    return {key: json.loads(text) for key, text in re.findall(r'^  "reason\.([\w.]+)": (".*"),$', source, re.MULTILINE)}


@pytest.mark.parametrize("key", REASONS)
def test_text_of_every_template_has_its_key_and_parameters(key: str) -> None:
    cause = cause_of(filled(REASONS[key]))
    assert cause is not None
    assert cause["key"] == key
    assert cause["parameters"].keys() == {hole[1:-1] for hole in HOLE.findall(REASONS[key])}


@pytest.mark.parametrize("key", REASONS)
def test_bridge_writes_the_text_of_every_key(key: str) -> None:
    """Whole, or put together from a fault and what to do about it."""
    if key in COMPOSED:
        assert [part for part in COMPOSED[key] if part not in code()] == []
        return
    template = HOLE.sub("{}", REASONS[key])
    if template in code():
        return
    parts = (part for text in template.split("{}") for part in re.split(r"; |: | until | lost| found", text))
    missing = [part.strip(" ():") for part in parts if part.strip(" ():") not in code()]
    assert missing == []


def test_page_has_every_text_in_every_language() -> None:
    assert texts("en") == dict(REASONS)
    for language in ("ru", "es", "fr", "de"):
        assert texts(language).keys() == REASONS.keys(), language
    assert len(REASONS) <= KEYS_LIMIT


def test_reason_within_a_reason_has_its_own_key() -> None:
    cause = cause_of("2 of 3 readings: not a JSON object but a list")
    assert cause == {
        "key": "payload.some",
        "parameters": {
            "count": "2",
            "all": "3",
            "reason": {
                "text": "not a JSON object but a list",
                "key": "payload.notObject",
                "parameters": {"type": {"text": "a list", "key": "type.list", "parameters": {}}},
            },
        },
    }


def test_text_that_follows_no_template_has_no_cause_and_stays() -> None:
    for text in ("", "something new", "device offline " * 200):
        assert with_cause({"reason": text}) == {"reason": text}
    assert with_cause({"reason": None}) == {"reason": None}
    assert with_cause({"error": "device offline"}, "error")["cause"] == {"key": "command.offline", "parameters": {}}
