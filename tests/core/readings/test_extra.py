"""The limits of values that are no measurement."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.readings.extra import EXTRA_BYTES, EXTRA_KEYS, add_extra, bounded_extra
from bridge.core.readings.extraction import extract_leaves
from bridge.core.readings.leaf import Leaf

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300)


def test_first_keys_are_kept_up_to_the_limit() -> None:
    kept = bounded_extra({f"k{n}": n for n in range(EXTRA_KEYS + 5)})
    assert list(kept) == [f"k{n}" for n in range(EXTRA_KEYS)]


def test_value_that_does_not_fit_any_more_leaves_room_for_smaller_ones() -> None:
    kept = bounded_extra({f"k{n}": "x" * 250 for n in range(9)} | {"small": 1})
    assert list(kept) == [f"k{n}" for n in range(8)] + ["small"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("", 1), ("$set", 1), ("a" * 65, 1), ("a\n", 1), ("\ud800", 1), ("__proto__", 1), ("a", None), ("a", [1]), ("a", {}),
        ("a", math.nan), ("a", math.inf), ("a", 2**53), ("a", "x" * 257), ("a", "\0"), ("a", "\ud800"),
    ],
)  # fmt: skip
def test_value_that_a_store_or_client_would_refuse_is_left_out(key: str, value: object) -> None:
    extra: dict[str, float | int | bool | str] = {}
    assert add_extra(extra, 0, key, value) == 0
    assert extra == {}


@given(st.lists(st.lists(st.tuples(st.text(max_size=70), SCALARS), max_size=40), min_size=1, max_size=4))
def test_values_of_any_samples_stay_within_the_limits(samples: list[list[tuple[str, object]]]) -> None:
    first, *others = (extract_leaves(Leaf(path, value) for path, value in sample) for sample in samples)
    for other in others:
        first.add(other)
    size = sum(len(key.encode()) + (len(one.encode()) if isinstance(one, str) else 8) for key, one in first.extra.items())
    assert len(first.extra) <= EXTRA_KEYS
    assert size <= EXTRA_BYTES
    assert first.extra == bounded_extra(first.extra)
