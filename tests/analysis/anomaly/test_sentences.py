"""Every anomaly has a sentence, in the language and in the docs."""

from __future__ import annotations

import ast
import re
import string

import pytest

from bridge.analysis.anomaly.record import Anomaly, AnomalyKind
from bridge.analysis.anomaly.sentences import SENTENCES, rounded, sentence
from tests.house import MODULES
from tests.servers import REPO


def keys() -> set[str]:
    """Every key that a rule uses."""
    sources = [source for name, source in MODULES.items() if name.startswith("bridge.analysis.anomaly.rules.")]
    texts = [node.value for source in sources for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    return {text for text in texts if isinstance(text, str) and re.fullmatch(r"anomaly\.\w+", text)}


def test_each_key_has_a_sentence_and_each_sentence_is_used() -> None:
    assert keys() == set(SENTENCES)


@pytest.mark.parametrize("key", SENTENCES)
def test_sentence_has_no_hole_besides_its_parameters(key: str) -> None:
    holes = {name for _, name, _, _ in string.Formatter().parse(SENTENCES[key]) if name}
    parameters = dict.fromkeys(holes - {"field", "fields", "unit", "neighbour"}, 12.3456)
    anomaly = Anomaly(
        id="1", kind=AnomalyKind.STUCK, device_id="kitchen", fields=("humidity", "temperature"), key=key, began_ms=0,
        detected_ms=0, parameters=parameters, neighbour="hall",
    )  # fmt: skip
    text = sentence(anomaly)
    assert "{" not in text
    assert "12.3 " in text or "12.3." in text or "Temperature" in text
    assert text.endswith(".")


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.0, "0"), (21.37, "21.4"), (-0.0456, "-0.0456"), (99.96, "100"), (1234.5, "1,234"), (-5000, "-5,000")],
)
def test_numbers_have_three_digits_that_count(number: float, text: str) -> None:
    assert rounded(number) == text


def test_docs_have_a_row_for_each_kind() -> None:
    page = (REPO / "docs" / "anomalies.md").read_text("utf-8")
    assert re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE) == [kind.value for kind in AnomalyKind]


def test_page_has_the_sentences_as_the_bridge_writes_them() -> None:
    catalogue = (REPO / "web" / "src" / "standards" / "anomalies.en.ts").read_text("utf-8")
    assert dict(re.findall(r'^  "([\w.]+)": "(.*)",$', catalogue, re.MULTILINE)) == SENTENCES
