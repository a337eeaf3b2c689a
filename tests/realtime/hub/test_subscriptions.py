"""Subscriptions, subscriber groups and their index."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

import pytest

from bridge.core.access.permissions import ResourceScope
from bridge.core.devices.location import Location
from bridge.core.events import EntityEvent, SystemEvent
from bridge.core.message import TopicEvent
from bridge.realtime.auth.visibility import DeviceFilter
from bridge.realtime.hub.encoding import Publication
from bridge.realtime.hub.subscriptions import ALL, COALESCED_LIMIT, SubscriberGroup, Subscription, SubscriptionIndex
from bridge.realtime.socketio.codec import CODEC, SocketIoCodec
from tests.realtime.parts import published, status

READINGS, ALERTS = Subscription(topics=frozenset(("readings",))), Subscription(topics=frozenset(("alerts", "predictions")))
A_READINGS, A_ALERTS = (Subscription(frozenset("a"), topics=frozenset((topic,))) for topic in ("readings", "alerts"))
A, B, AB, NOTHING = (Subscription(frozenset(devices)) for devices in ("a", "b", "ab", ""))


class Locations:
    """Device a is at Home, b at Work."""

    def __init__(self) -> None:
        self.sites = {"a": "Home", "b": "Work"}

    def location(self, device_id: str) -> Location | None:
        return Location(self.sites[device_id]) if device_id in self.sites else None

    def devices_at(self, sites: Collection[str]) -> Iterable[str]:
        return [device for device, site in self.sites.items() if site in sites]


LOCATIONS = Locations()


def restricted_to(*devices: str, sites: Iterable[str] = (), subscription: Subscription = ALL) -> Subscription:
    return replace(subscription, device_filter=DeviceFilter(ResourceScope(frozenset(devices), frozenset(sites)), LOCATIONS))


@pytest.mark.parametrize(
    ("subscription", "received"),
    [
        (restricted_to("a"), ["a", "news"]),
        (restricted_to(sites=["Work"]), ["b", "news"]),
        (restricted_to("a", "b", sites=["Home", "Work"]), ["a", "b", "news"]),
        (restricted_to("c", sites=["Elsewhere"]), ["news"]),
        (restricted_to(), ["news"]),
        (restricted_to("a", subscription=AB), ["a", "news"]),
        (restricted_to("a", subscription=B), ["news"]),
        (restricted_to("a", sites=["Work"], subscription=READINGS), ["a", "b", "news"]),
        (restricted_to("a", subscription=ALERTS), ["news"]),
        (restricted_to("a", subscription=A_READINGS), ["a", "news"]),
        (ALL, ["a", "b", "news"]),
        (A, ["a", "news"]),
        (AB, ["a", "b", "news"]),
        (NOTHING, ["news"]),
        (READINGS, ["a", "b", "news"]),
        (ALERTS, ["news"]),
        (A_READINGS, ["a", "news"]),
        (A_ALERTS, ["news"]),
    ],
)
def test_group_receives_matching_publications_and_those_without_device(subscription: Subscription, received: list[str]) -> None:
    index: SubscriptionIndex[str] = SubscriptionIndex()
    group = index.group_of(CODEC, subscription)
    batch = [*published(1), *published(2, device="b"), Publication(SystemEvent("info", "news"))]
    ((chosen_for, chosen),) = index.choose(batch)
    assert chosen_for is group
    assert [publication.device_id or "news" for publication in chosen] == received
    assert all(subscription.matches(publication) for publication in chosen)


def test_group_without_matching_publications_is_left_out() -> None:
    index: SubscriptionIndex[str] = SubscriptionIndex()
    index.group_of(CODEC, B)
    assert list(index.choose(published(1))) == []


def test_device_status_is_sent_to_subscribers_of_the_device() -> None:
    index: SubscriptionIndex[str] = SubscriptionIndex()
    subscribed = index.group_of(CODEC, A)
    index.group_of(CODEC, B)
    assert [group for group, _ in index.choose([Publication(status("a"))])] == [subscribed]


def test_topic_event_is_sent_once_to_subscribers_of_any_of_its_topics() -> None:
    index: SubscriptionIndex[str] = SubscriptionIndex()
    alerted, everyone = index.group_of(CODEC, ALERTS), index.group_of(CODEC, ALL)
    for other in (READINGS, A_READINGS):
        index.group_of(CODEC, other)
    alert, both = Publication(TopicEvent("alerts", {}, 0)), Publication(EntityEvent("sensor", "anomaly_detected", "a"))
    assert dict(index.choose([alert, both])) == {everyone: [alert, both], alerted: [alert, both]}


def test_topic_group_is_removed_with_its_last_member() -> None:
    index: SubscriptionIndex[str] = SubscriptionIndex()
    for subscription in (ALERTS, A_ALERTS, ALL):
        index.group_of(CODEC, subscription).members["one"] = None
        index.leave("one", CODEC, subscription)
    assert list(index) == []
    assert not index._by_topic
    assert not index._by_device
    assert list(index.choose(published(1))) == []


def test_equal_subscriptions_of_one_protocol_share_a_group() -> None:
    index: SubscriptionIndex[str] = SubscriptionIndex()
    first = index.group_of(CODEC, Subscription(frozenset("ab")))
    assert index.group_of(CODEC, Subscription(frozenset("ba"))) is first
    assert index.group_of(CODEC, Subscription(frozenset("ab"), every_ms=1000)) is not first
    assert index.group_of(SocketIoCodec(), Subscription(frozenset("ab"))) is not first


def test_device_group_is_removed_with_its_last_member() -> None:
    index: SubscriptionIndex[str] = SubscriptionIndex()
    for member in ("one", "two"):
        index.group_of(CODEC, AB).members[member] = None
    index.leave("one", CODEC, AB)
    assert len(list(index)) == 1
    for _ in range(2):
        index.leave("two", CODEC, AB)
        assert list(index) == []
    assert index._by_device._by_name == {}


@pytest.mark.parametrize(
    ("subscription", "other", "includes"),
    [
        (ALL, ALL, True),
        (ALL, A, True),
        (A, ALL, False),
        (AB, A, True),
        (A, AB, False),
        (A, A, True),
        (NOTHING, NOTHING, True),
        (ALL, ALERTS, True),
        (ALERTS, ALL, False),
        (ALERTS, READINGS, False),
        (READINGS, A_READINGS, True),
        (A, A_READINGS, True),
        (A_READINGS, A, False),
    ],
)
def test_subscription_is_a_superset_if_it_matches_all_records_of_the_other(
    subscription: Subscription, other: Subscription, includes: bool
) -> None:
    assert subscription.is_superset_of(other) is includes


def test_coalescing_group_keeps_the_latest_record_of_each_device() -> None:
    group: SubscriberGroup[str] = SubscriberGroup(CODEC, Subscription(every_ms=1000))
    online = Publication(status())
    assert group.take_due([*published(1, 2), *published(3, device="b"), online]) == [online], "events are not kept"
    assert group.take_due(published(4)) == []
    assert [(record.device_id, record.seq) for record in group.take_latest()] == [("b", 3), ("a", 4)]
    assert group.take_latest() == []


def test_coalescing_group_is_due_early_when_it_keeps_records_of_very_many_devices() -> None:
    group: SubscriberGroup[str] = SubscriberGroup(CODEC, Subscription(every_ms=3_600_000))
    group.due = 3600.0
    for number in range(1, COALESCED_LIMIT):
        group.take_due(published(number, device=f"d{number}"))
    group.take_due(published(COALESCED_LIMIT, device="d1"))
    assert group.due == 3600.0
    group.take_due(published(COALESCED_LIMIT + 1, device="one more"))
    assert group.due == 0.0
    assert len(group.take_latest()) == COALESCED_LIMIT


def test_group_without_interval_sends_everything_at_once() -> None:
    group: SubscriberGroup[str] = SubscriberGroup(CODEC, ALL)
    batch = published(1, 2)
    assert group.take_due(batch) == batch
    assert group.take_latest() == []


def test_clients_of_equal_scope_share_a_group_that_is_removed_with_the_last() -> None:
    index: SubscriptionIndex[str] = SubscriptionIndex()
    subscription = restricted_to("a", sites=["Work"])
    assert index.group_of(CODEC, subscription) is index.group_of(CODEC, restricted_to("a", sites=["Work"]))
    assert index.group_of(CODEC, subscription) is not index.group_of(CODEC, restricted_to("a"))
    index.group_of(CODEC, subscription).members["one"] = None
    index.leave("one", CODEC, subscription)
    index.leave("nobody", CODEC, restricted_to("a"))
    assert list(index) == []
    assert list(index.choose(published(1))) == []


def test_kept_record_of_a_device_that_left_the_scope_is_not_sent() -> None:
    group: SubscriberGroup[str] = SubscriberGroup(
        CODEC, restricted_to(sites=["Home"], subscription=Subscription(every_ms=1000))
    )
    group.take_due(published(1))
    LOCATIONS.sites["a"] = "Work"
    try:
        assert group.take_latest() == []
    finally:
        LOCATIONS.sites["a"] = "Home"


def test_unrestricted_subscription_is_a_superset_of_a_scoped_one() -> None:
    assert ALL.is_superset_of(restricted_to("a"))
    assert restricted_to("a").is_superset_of(restricted_to("a", subscription=A))
    assert not restricted_to("a").is_superset_of(restricted_to("b"))
    assert not restricted_to("a").is_superset_of(ALL)
