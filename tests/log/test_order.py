"""The order of cursors: what it hands out, what is final, and which documents it accepts."""

from __future__ import annotations

from typing import Any

import pytest
from bson import decode, encode

from bridge.core.errors import OrderError
from bridge.core.readings.identity import CURSOR_LIMIT
from bridge.log.order import MAX_OPEN, MAX_RANGE, CursorRange, Order

NOW_US = 1_790_000_000_000_000
TWO = Order(20, (CursorRange(0, 6, 10, "a"), CursorRange(10, 18, 20, "b")))


def test_ranges_are_linked_and_follow_the_clock() -> None:
    order, first = Order(7).hand_out(NOW_US, 3, "a")
    order, second = order.hand_out(NOW_US + 100, 1, "b")
    assert first == CursorRange(7, NOW_US + 1, NOW_US + 3, "a")
    assert second == CursorRange(NOW_US + 3, NOW_US + 101, NOW_US + 101, "b")
    assert (first.count, second.count) == (3, 1)
    assert order == Order(NOW_US + 101, (first, second))


def test_ranges_rise_although_the_clock_goes_back() -> None:
    order, first = Order().hand_out(NOW_US, 5, "a")
    _, second = order.hand_out(NOW_US - 1_000_000, 5, "b")
    assert (second.previous, second.low) == (first.high, first.high + 1)


def test_everything_below_the_first_open_range_is_final() -> None:
    assert Order(20).final_until == 20
    assert TWO.final_until == 0
    assert TWO.without([10]).final_until == 10
    assert TWO.without([20]).final_until == 0
    assert TWO.without([10, 20]) == Order(20)


def test_finished_ranges_leave_in_the_step_that_hands_out_the_next() -> None:
    order, new = TWO.hand_out(NOW_US, 1, "a", finished={10, 999})
    assert order.open == (TWO.open[1], new)


@pytest.mark.parametrize("count", [0, -1, MAX_RANGE + 1])
def test_a_count_out_of_bounds_is_refused(count: int) -> None:
    with pytest.raises(OrderError, match=f"^{count} cursors were requested: must be 1 to {MAX_RANGE}$"):
        Order().hand_out(NOW_US, count, "a")


def test_cursors_above_the_limit_are_refused() -> None:
    order, _ = Order().hand_out(CURSOR_LIMIT - 3, 1, "a")
    order, last = order.hand_out(0, 1, "a")
    assert last.high == CURSOR_LIMIT - 1
    with pytest.raises(OrderError, match=r"^no cursors left after 9007199254740991: must stay below"):
        order.hand_out(0, 1, "a")


def test_too_many_open_ranges_are_refused() -> None:
    order = Order()
    for _ in range(MAX_OPEN):
        order, newest = order.hand_out(0, 1, "a")
    with pytest.raises(OrderError, match=f"^{MAX_OPEN} ranges are open: must be less than {MAX_OPEN}"):
        order.hand_out(0, 1, "a")
    assert order.hand_out(0, 1, "a", finished=[newest.high])[1].low == newest.high + 1


@pytest.mark.parametrize("name", ["", "a" * 65])
def test_an_invalid_name_of_a_bridge_is_refused(name: str) -> None:
    with pytest.raises(OrderError, match=r"must be a text of 1 to 64 characters$"):
        Order().hand_out(NOW_US, 1, name)


@pytest.mark.parametrize("order", [Order(), Order(NOW_US), TWO, Order().hand_out(NOW_US, 1000, "plant-1")[0]])
def test_a_document_is_read_back_from_bson_as_it_was(order: Order) -> None:
    stored: dict[str, Any] = decode(encode({"_id": "order", **order.to_document()}))
    assert Order.from_document(stored) == order


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"last": "20"}, "last is 20: must be an integer"),
        ({"last": True}, "last is True: must be an integer"),
        ({"last": -1}, "last is -1: must be an integer"),
        ({"last": 2**53}, "last is 9007199254740992: must be an integer"),
        ({"last": 19}, r"open\[1\] is 10, 18, 20: must be 10 <= previous < low <= high <= 19"),
        ({"open": None}, "open is None: must be a list of ranges"),
        ({"open": [7]}, r"open\[0\] is 7: must be an object of bridge, high, low, previous"),
        ({"open": [{"low": 1}]}, r"open\[0\] is \['low'\]: must be an object of bridge, high, low, previous"),
        ({"epoch": 1}, r"the document is \['last', 'open', 'epoch'\]: must be an object of last, open"),
        ({"open": [{"previous": 0, "low": 0, "high": 2, "bridge": "a"}]}, r"open\[0\] is 0, 0, 2: must be"),
        ({"open": [{"previous": 0, "low": 3, "high": 2, "bridge": "a"}]}, r"open\[0\] is 0, 3, 2: must be"),
        ({"open": [{"previous": 0, "low": 1.5, "high": 2, "bridge": "a"}]}, r"open\[0\].low is 1.5: must be an integer"),
        ({"open": [{"previous": 0, "low": 1, "high": 2, "bridge": ""}]}, r"open\[0\].bridge is : must be a text"),
        ({"open": TWO.to_document()["open"][::-1]}, r"open\[1\] is 0, 6, 10: must be 20 <= previous"),
    ],
)
def test_a_damaged_document_is_refused_in_one_sentence(change: dict[str, Any], fault: str) -> None:
    with pytest.raises(OrderError, match=f"^the order of cursors is damaged: {fault}") as refused:
        Order.from_document(TWO.to_document() | change)
    assert "\n" not in str(refused.value)


def test_a_document_without_a_field_is_refused() -> None:
    with pytest.raises(OrderError, match=r"the document is \['open'\]: must be an object of last, open$"):
        Order.from_document({"open": []})
