"""The times at which devices are looked at, against a plain search through all of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.devices.silence import SilenceTimes


def test_a_device_is_taken_once_after_its_time() -> None:
    times = SilenceTimes()
    times.look_at("a", 10.0)
    assert times.take(10.0) == []
    assert times.take(10.1) == ["a"]
    assert times.take(100.0) == []


def test_an_earlier_time_replaces_a_later_one_and_a_later_one_is_ignored() -> None:
    times = SilenceTimes()
    times.look_at("a", 10.0)
    times.look_at("a", 5.0)
    times.look_at("a", 20.0)
    assert times.take(6.0) == ["a"]
    assert times.take(100.0) == []


def test_the_longest_due_are_taken_first_and_not_more_than_the_limit() -> None:
    times = SilenceTimes()
    for number, name in enumerate("cab"):
        times.look_at(name, float(number))
    assert times.take(10.0, 2) == ["c", "a"]
    assert times.take(10.0, 2) == ["b"]


def test_only_an_earlier_next_time_is_a_change() -> None:
    times = SilenceTimes()
    for name, time, changes in (("a", 10.0, True), ("b", 20.0, False), ("b", 15.0, False), ("b", 5.0, True)):
        times.changed.clear()
        times.look_at(name, time)
        assert times.changed.is_set() is changes


def test_replaced_times_do_not_accumulate() -> None:
    times = SilenceTimes()
    for step in range(10_000):
        times.look_at("a", 20_000.0 - step)
    assert len(times._heap) < 1_000
    assert times.take(20_000.0) == ["a"]


_NAMES = st.sampled_from("abcde")
_STEPS = st.one_of(
    st.tuples(st.just("look_at"), _NAMES, st.integers(0, 50)),
    st.tuples(st.just("remove"), _NAMES, st.just(0)),
    st.tuples(st.just("take"), st.just(""), st.integers(0, 50)),
)


@given(st.lists(_STEPS, max_size=60))
def test_devices_are_taken_as_if_all_were_searched(steps: list[tuple[str, str, int]]) -> None:
    times, expected = SilenceTimes(), dict[str, float]()
    for step, name, number in steps:
        if step == "look_at":
            times.look_at(name, number)
            expected[name] = min(number, expected.get(name, number))
        elif step == "remove":
            times.remove(name)
            expected.pop(name, None)
        else:
            due = sorted((at, one) for one, at in expected.items() if at < number)
            assert [expected.pop(one) for _, one in due] == [at for at, _ in due]
            assert sorted(times.take(number)) == sorted(one for _, one in due)
    assert len(times) == len(expected)
