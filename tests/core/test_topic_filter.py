"""Topic filters compared: against every short topic, and case by case."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.topic import TopicPattern
from bridge.core.topic_filter import covers, overlaps, union

LEVELS = ("a", "b", "$s", "+")
TOPICS = ["/".join(levels) for length in range(1, 5) for levels in product(("a", "b", "c", "$s", ""), repeat=length)]
FILTERS = st.builds(
    lambda levels, multi: "/".join([*levels, *(["#"] if multi or not levels else [])]),
    st.lists(st.sampled_from(LEVELS), max_size=3),
    st.booleans(),
)


def matched(topic_filter: str) -> set[str]:
    pattern = TopicPattern.parse(topic_filter)
    return {topic for topic in TOPICS if pattern.match(topic) is not None}


@given(FILTERS, FILTERS)
def test_filters_overlap_exactly_if_a_topic_matches_both(one: str, other: str) -> None:
    assert overlaps(one, other) == overlaps(other, one) == bool(matched(one) & matched(other))


@given(FILTERS, FILTERS)
def test_covering_filter_matches_every_topic_of_the_covered_one(wide: str, narrow: str) -> None:
    if covers(wide, narrow):
        assert matched(wide) >= matched(narrow)


@given(FILTERS, FILTERS)
def test_union_covers_both(one: str, other: str) -> None:
    if overlaps(one, other):
        assert matched(union(one, other)) >= matched(one) | matched(other)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("a/+/c", "a/b/+", "a/+/+"),
        ("a/b", "a/#", "a/#"),
        ("a", "a/#", "a/#"),
        ("a/+/#", "a/b", "a/+/#"),
        ("+/b/#", "a/+/c", "+/+/#"),
        ("$SYS/+", "$SYS/a", "$SYS/+"),
    ],
)
def test_union_is_no_wider_than_level_by_level(one: str, other: str, expected: str) -> None:
    assert union(one, other) == union(other, one) == expected


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ("a/+", "a/b", True),
        ("a/b", "a/b", True),
        ("a/#", "a/+/b", True),
        ("a/#", "a", True),
        ("#", "a/#", True),
        ("+/+", "a/+", True),
        ("a/b", "a/+", False),
        ("a/+", "a/#", False),
        ("a/+", "a/b/c", False),
        ("a/+/b", "a/+", False),
        ("#", "$SYS/#", False),
        ("+/a", "$SYS/a", False),
        ("$SYS/#", "$SYS/a", True),
    ],
)
def test_filter_covers_another(wide: str, narrow: str, *, expected: bool) -> None:
    assert covers(wide, narrow) is expected
