"""Message counters per source."""

from __future__ import annotations

import pytest

from bridge.core.ledger import Ledger
from bridge.core.message import Outcome

COUNTERS = ["received", "stored", "duplicate", "rejected", "ignored", "dropped", "waiting", "readings"]


def test_new_ledger_is_empty() -> None:
    assert Ledger().as_dict() == {}


def test_received_message_is_waiting() -> None:
    ledger = Ledger()
    ledger.count_received("mqtt")
    assert ledger.as_dict() == {"mqtt": dict.fromkeys(COUNTERS, 0) | {"received": 1, "waiting": 1}}


@pytest.mark.parametrize("outcome", Outcome)
def test_outcome_is_counted_and_no_longer_waiting(outcome: Outcome) -> None:
    ledger = Ledger()
    ledger.count_received("mqtt")
    ledger.count_received("mqtt")
    ledger.count_outcome("mqtt", outcome)
    assert ledger.as_dict()["mqtt"] == dict.fromkeys(COUNTERS, 0) | {"received": 2, "waiting": 1, outcome.value: 1}


def test_readings_are_counted_beside_the_messages() -> None:
    ledger = Ledger()
    ledger.count_received("mqtt")
    ledger.count_outcome("mqtt", Outcome.STORED)
    ledger.count_readings("mqtt", 3)
    assert ledger.as_dict()["mqtt"] == dict.fromkeys(COUNTERS, 0) | {"received": 1, "stored": 1, "readings": 3}


def test_each_source_has_its_own_account() -> None:
    ledger = Ledger()
    ledger.count_received("mqtt")
    ledger.count_received("http")
    ledger.count_outcome("http", Outcome.REJECTED)
    assert ledger.account("mqtt").waiting == 1
    assert ledger.account("http").rejected == 1
    assert ledger.account("http").waiting == 0


def test_account_has_the_counters_of_the_contract_in_order() -> None:
    ledger = Ledger()
    ledger.account("mqtt")
    assert list(ledger.as_dict()["mqtt"]) == COUNTERS
