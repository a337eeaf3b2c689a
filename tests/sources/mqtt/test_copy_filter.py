"""Copies for overlapping subscriptions: exactly one is processed, whatever was subscribed when it was sent."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.core.topic import TopicPattern
from bridge.settings import SubscriptionSettings
from bridge.sources.mqtt.copy_filter import CopyFilter
from bridge.sources.mqtt.publish_parser import Publish
from bridge.sources.mqtt.subscriptions import Filter, SubscriptionPlan

PATTERNS = ("a/{x}/{y}", "{x}/b/{y}", "{x}/{y}/c", "a/b/#", "#")
TOPICS = ("a/b/c", "a/b/d", "a/d/c", "d/b/c", "d/d/d", "a/b")


def copy_filter(*patterns: str) -> CopyFilter:
    return CopyFilter(SubscriptionPlan.of([SubscriptionSettings(pattern=text) for text in patterns]))


def published(topic: str, *identifiers: int, payload: bytes = b"1") -> Publish:
    return Publish(topic, payload, 1, 1, retained=False, identifiers=identifiers)


class Broker:
    """Sends a copy for each subscription of a session, with its identifier, and keeps them until they are read."""

    def __init__(self) -> None:
        self.subscribed: dict[str, int] = {}
        self.queue: list[Publish] = []

    def subscribe(self, one: Filter) -> None:
        self.subscribed[one.text] = one.identifier

    def publish(self, topic: str, payload: bytes) -> None:
        for text, identifier in self.subscribed.items():
            if TopicPattern.parse(text).match(topic) is not None:
                self.queue.append(published(topic, *([identifier] if identifier else []), payload=payload))


@given(
    st.permutations(PATTERNS[:4]),
    st.lists(st.integers(2, 4), min_size=1, max_size=3),
    st.lists(st.sampled_from(TOPICS), min_size=1, max_size=6),
    st.data(),
)
def test_each_message_is_taken_exactly_once_while_subscriptions_are_added(
    order: list[str], counts: list[int], topics: list[str], data: st.DataObject
) -> None:
    """Each connection has more patterns than the last; messages are published while they are subscribed to one by one."""
    broker, memory, sent, taken = Broker(), list[str](), 0, list[bytes]()
    for count in sorted(counts):
        patterns = data.draw(st.permutations(order[:count]))
        copies = copy_filter(*patterns)
        copies.start(memory, identified=True)

        def receive(copies: CopyFilter = copies) -> None:
            taken.extend(one.payload for one in broker.queue if copies.takes(one))
            broker.queue.clear()

        for one in copies.filters:
            copies.add(one)
            broker.subscribe(one)
            for topic in topics:
                broker.publish(topic, b"%d" % sent)
                sent += any(TopicPattern.parse(text).match(topic) is not None for text in broker.subscribed)
            if data.draw(st.booleans()):
                receive()
        memory = copies.subscribed
    receive()
    assert sorted(taken, key=int) == [b"%d" % number for number in range(sent)]


def test_refused_filter_has_no_copies() -> None:
    copies = copy_filter("a/{x}/{y}", "{x}/b/{y}")
    copies.start([], identified=True)
    first, second = copies.filters
    copies.add(first)
    copies.remove(first)
    copies.add(second)
    assert copies.takes(published("a/b/c", second.identifier))
    copies.add(first)  # permitted later: the copies of before are for the second
    assert copies.takes(published("a/b/c", second.identifier))
    assert not copies.takes(published("a/b/c", first.identifier))
    assert copies.copies == 1
    assert copies.subscribed == [second.text, first.text]


def test_one_copy_with_several_identifiers_is_taken() -> None:
    copies = copy_filter("a/{x}/{y}", "{x}/b/{y}")
    copies.start(["a/+/+", "+/b/+"], identified=True)
    first, second = copies.plan.filters
    assert copies.takes(published("a/b/c", second.identifier, first.identifier))
    assert copies.takes(published("x/b/c", second.identifier))


def test_copy_for_a_subscription_of_earlier_settings_is_taken() -> None:
    copies = copy_filter("a/{x}/{y}", "{x}/b/{y}")
    copies.start(["a/+/+", "+/b/+"], identified=True)
    assert copies.takes(published("a/b/c", 7))


def test_nothing_is_dropped_while_the_earlier_subscriptions_are_unknown() -> None:
    copies = copy_filter("a/{x}/{y}", "{x}/b/{y}")
    copies.start(None, identified=True)
    for one in copies.filters:
        copies.add(one)
    assert all(copies.takes(published("a/b/c", one.identifier)) for one in copies.plan.filters)


def test_queued_message_of_a_time_without_overlaps_is_taken() -> None:
    copies = copy_filter("a/{x}/{y}", "{x}/b/{y}")
    copies.start(["a/+/+"], identified=True)
    assert copies.takes(published("a/b/c"))
    assert copies.takes(published("a/b/c"))


def test_without_identifiers_filters_are_merged_and_unwanted_messages_are_dropped() -> None:
    copies = copy_filter("a/{x}/{y}", "{x}/b/{y}", "c/{x}")
    copies.start(["a/+/+"], identified=False)
    assert [one.text for one in copies.filters] == ["+/+/+", "c/+"]
    assert [copies.takes(published(topic)) for topic in ("a/b/c", "a/x/c", "x/b/c", "x/y/z")] == [True, True, True, False]
    assert (copies.copies, copies.unwanted) == (0, 1)


def test_filters_that_do_not_overlap_are_not_merged() -> None:
    copies = copy_filter("a/{x}", "b/{x}")
    copies.start([], identified=False)
    assert [one.text for one in copies.filters] == ["a/+", "b/+"]
    assert copies.takes(published("c/x")), "it is rejected, with the reason"
