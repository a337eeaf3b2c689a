"""Every follower delivers what is stored, in order, in thousands of random worlds; and the worlds find each wrong rule."""

from __future__ import annotations

import os
import re
from collections import Counter

import pytest

from tests.log.model_store import Violation
from tests.log.mutants import MUTANTS, VARIANTS
from tests.log.world import World, run_worlds

WORLDS = int(os.environ.get("LOG_WORLDS", "2000"))
VARIANT_WORLDS = max(WORLDS // 8, 250)

# What must happen in 100 worlds at least this often, so that they try what they promise.
RARE = Counter(
    {
        "crash with a batch": 50,
        "pause with a batch": 50,
        "attempt of unknown result": 50,
        "lost reply of a range": 30,
        "range given up": 15,
        "range closed": 100,
        "write rolled back": 50,
        "late insert STORED": 10,
        "late insert REFUSED": 3,
        "DUPLICATE": 100,
        "MINE": 50,
        "REFUSED": 30,
        "announcement lost": 100,
        "old announcement dropped": 100,
        "held announcement dropped": 50,
        "record from the store": 500,
        "read failed": 20,
    }
)


@pytest.mark.parametrize("part", range(4))
def test_every_follower_delivers_what_is_stored_once_and_in_order(part: int) -> None:
    seen = run_worlds(World, range(part, WORLDS, 4))
    missing = {event: seen[event] for event, number in RARE.items() if seen[event] < number * WORLDS / 400}
    assert missing == {}
    assert seen["announcement of a range that a page ended in"] > 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_rule_that_only_costs_time_is_exact(variant: type[World]) -> None:
    run_worlds(variant, range(VARIANT_WORLDS))


@pytest.mark.parametrize(("mutant", "violation"), MUTANTS.items(), ids=[mutant.__name__ for mutant in MUTANTS])
def test_a_wrong_rule_is_caught(mutant: type[World], violation: str) -> None:
    with pytest.raises(Violation) as caught:
        run_worlds(mutant, range(max(WORLDS, 2000)))
    assert re.search(violation, str(caught.value))
