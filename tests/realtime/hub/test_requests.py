"""Validation of `subscribe` and `unsubscribe`."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bridge.realtime.hub.requests import DEVICES_LIMIT, REPLAY_LIMIT, SubscribeRequest, UnsubscribeRequest, error_response


@pytest.mark.parametrize(
    ("body", "devices", "since", "limit", "every"),
    [
        ({}, None, None, 1000, None),
        ({"devices": None, "since": None, "every": None}, None, None, 1000, None),
        ({"devices": ["a", "b", "a"]}, frozenset("ab"), None, 1000, None),
        ({"devices": []}, frozenset(), None, 1000, None),
        ({"since": 0}, None, 0, 1000, None),
        ({"since": 1_767_000_000_000_000, "limit": 1}, None, 1_767_000_000_000_000, 1, None),
        ({"since": 5.0}, None, 5, 1000, None),
        ({"every": "100ms"}, None, None, 1000, 100),
        ({"every": "1s"}, None, None, 1000, 1000),
        ({"every": "60m"}, None, None, 1000, 3_600_000),
    ],
)
def test_valid_request_is_parsed(
    body: dict[str, Any], devices: frozenset[str] | None, since: int | None, limit: int, every: int | None
) -> None:
    request = SubscribeRequest.model_validate(body)
    assert (request.devices, request.since, request.limit, request.every) == (devices, since, limit, every)


@pytest.mark.parametrize(
    ("body", "field", "text"),
    [
        ([], None, "the request"),
        ("a", None, "the request"),
        (0, None, "the request"),
        ({"device": ["a"]}, "device", "not permitted"),
        ({"devices": "a"}, "devices", "frozenset"),
        ({"devices": {"a": 1}}, "devices", "frozenset"),
        ({"devices": ["a+b"]}, "devices.0", "contains '+': must be 1 to 128 printable characters"),
        ({"devices": [".."]}, "devices.0", "has the level '..'"),
        ({"devices": [""]}, "devices.0", "is empty"),
        ({"devices": [7]}, "devices.0", "string"),
        ({"devices": [str(n) for n in range(DEVICES_LIMIT + 1)]}, "devices", "at most 1000"),
        ({"since": -1}, "since", "greater than or equal to 0"),
        ({"since": 2**53}, "since", "less than"),
        ({"since": "soon"}, "since", "integer"),
        ({"since": 1.5}, "since", "integer"),
        ({"limit": 0}, "limit", "greater than or equal to 1"),
        ({"limit": REPLAY_LIMIT + 1}, "limit", "less than or equal to 100000"),
        ({"limit": None}, "limit", "integer"),
        ({"every": 1000}, "every", "an interval looks like 500ms, 1s or 5m"),
        ({"every": "99ms"}, "every", "from 100ms to 60m"),
        ({"every": "61m"}, "every", "from 100ms to 60m"),
        ({"every": "1h"}, "every", "an interval"),
        ({"every": "-1s"}, "every", "an interval"),
        ({"every": "١s"}, "every", "an interval"),
    ],
)
def test_invalid_request_is_answered_with_field_and_error(body: object, field: str | None, text: str) -> None:
    with pytest.raises(ValidationError) as raised:
        SubscribeRequest.model_validate(body)
    response = error_response(raised.value)
    assert response["ok"] is False
    assert response["field"] == field
    assert text in response["error"]


def test_further_errors_are_counted() -> None:
    with pytest.raises(ValidationError) as raised:
        SubscribeRequest.model_validate({"since": -1, "limit": 0, "every": 1})
    assert error_response(raised.value)["error"].endswith("(and 2 more)")


def test_unsubscribe_accepts_devices_only() -> None:
    assert UnsubscribeRequest.model_validate({"devices": ["a"]}).devices == frozenset("a")
    with pytest.raises(ValidationError):
        UnsubscribeRequest.model_validate({"since": 0})


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(json | st.fixed_dictionaries({}, optional=dict.fromkeys(("devices", "since", "limit", "every"), json)))
def test_any_json_is_parsed_or_refused_with_an_error(body: object) -> None:
    assert _is_valid_or_explained(body)


def _is_valid_or_explained(body: object) -> bool:
    try:
        since = SubscribeRequest.model_validate(body).since
    except ValidationError as error:
        return bool(error_response(error)["error"])
    return since is None or 0 <= since < 2**53
