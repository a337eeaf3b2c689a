"""The account of every message."""

from __future__ import annotations

import pytest

from bridge.core.ledger import Ledger
from bridge.core.message import Outcome

LINE = ["received", "stored", "duplicate", "rejected", "dropped", "waiting"]


def test_an_empty_ledger_has_no_lines() -> None:
    assert Ledger().as_dict() == {}


def test_a_message_that_came_in_waits() -> None:
    ledger = Ledger()
    ledger.count_received("mqtt")
    assert ledger.as_dict() == {"mqtt": dict.fromkeys(LINE, 0) | {"received": 1, "waiting": 1}}


@pytest.mark.parametrize("outcome", Outcome)
def test_a_message_that_met_its_end_is_counted_under_it(outcome: Outcome) -> None:
    ledger = Ledger()
    ledger.count_received("mqtt")
    ledger.count_received("mqtt")
    ledger.count_outcome("mqtt", outcome)
    assert ledger.as_dict()["mqtt"] == dict.fromkeys(LINE, 0) | {"received": 2, "waiting": 1, outcome.value: 1}


def test_each_source_has_its_own_line() -> None:
    ledger = Ledger()
    ledger.count_received("mqtt")
    ledger.count_received("http")
    ledger.count_outcome("http", Outcome.REJECTED)
    assert ledger.account("mqtt").waiting == 1
    assert ledger.account("http").rejected == 1
    assert ledger.account("http").waiting == 0


def test_a_line_is_shown_in_the_words_of_the_contract() -> None:
    ledger = Ledger()
    ledger.account("mqtt")
    assert list(ledger.as_dict()["mqtt"]) == LINE
