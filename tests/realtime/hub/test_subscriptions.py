"""Who hears the same."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

import pytest

from bridge.core.access.permissions import ResourceScope
from bridge.core.devices.location import Location
from bridge.core.events import EntityEvent, SystemEvent
from bridge.core.message import TopicEvent
from bridge.realtime.auth.visibility import DeviceFilter
from bridge.realtime.hub.publication import Publication
from bridge.realtime.hub.subscriptions import ALL, SubscriberGroup, Subscription, SubscriptionIndex
from bridge.realtime.socketio.codec import CODEC, SocketIoCodec
from tests.realtime.parts import published, status

READINGS, ALERTS = Subscription(topics=frozenset(("readings",))), Subscription(topics=frozenset(("alerts", "predictions")))
A_READINGS, A_ALERTS = (Subscription(frozenset("a"), topics=frozenset((topic,))) for topic in ("readings", "alerts"))
A, B, AB, NOTHING = (Subscription(frozenset(devices)) for devices in ("a", "b", "ab", ""))


class Map:
    """Where devices stand: a at Home, b at Work."""

    def __init__(self) -> None:
        self.sites = {"a": "Home", "b": "Work"}

    def location(self, device_id: str) -> Location | None:
        return Location(self.sites[device_id]) if device_id in self.sites else None

    def devices_at(self, sites: Collection[str]) -> Iterable[str]:
        return [device for device, site in self.sites.items() if site in sites]


MAP = Map()


def seeing(*devices: str, sites: Iterable[str] = (), subscription: Subscription = ALL) -> Subscription:
    return replace(subscription, device_filter=DeviceFilter(ResourceScope(frozenset(devices), frozenset(sites)), MAP))


@pytest.mark.parametrize(
    ("subscription", "hears"),
    [
        (seeing("a"), ["a", "news"]),
        (seeing(sites=["Work"]), ["b", "news"]),
        (seeing("a", "b", sites=["Home", "Work"]), ["a", "b", "news"]),
        (seeing("c", sites=["Elsewhere"]), ["news"]),
        (seeing(), ["news"]),
        (seeing("a", subscription=AB), ["a", "news"]),
        (seeing("a", subscription=B), ["news"]),
        (seeing("a", sites=["Work"], subscription=READINGS), ["a", "b", "news"]),
        (seeing("a", subscription=ALERTS), ["news"]),
        (seeing("a", subscription=A_READINGS), ["a", "news"]),
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
def test_an_audience_is_given_what_it_wishes_and_what_concerns_no_device(subscription: Subscription, hears: list[str]) -> None:
    index: SubscriptionIndex[str] = SubscriptionIndex()
    group = index.group_of(CODEC, subscription)
    batch = [*published(1), *published(2, device="b"), Publication(SystemEvent("info", "news"))]
    ((chosen_for, chosen),) = index.choose(batch)
    assert chosen_for is group
    assert [one.device_id or "news" for one in chosen] == hears
    assert all(subscription.matches(one) for one in chosen)


def test_an_audience_that_wishes_nothing_of_a_batch_is_left_out() -> None:
    index: SubscriptionIndex[str] = SubscriptionIndex()
    index.group_of(CODEC, B)
    assert list(index.choose(published(1))) == []


def test_a_status_is_for_those_who_wish_its_device() -> None:
    index: SubscriptionIndex[str] = SubscriptionIndex()
    wanting = index.group_of(CODEC, A)
    index.group_of(CODEC, B)
    assert [group for group, _ in index.choose([Publication(status("a"))])] == [wanting]


def test_what_others_say_is_for_those_who_wish_its_topic_once_however_many_topics_they_wish() -> None:
    index: SubscriptionIndex[str] = SubscriptionIndex()
    alerted, everyone = index.group_of(CODEC, ALERTS), index.group_of(CODEC, ALL)
    for other in (READINGS, A_READINGS):
        index.group_of(CODEC, other)
    alert, both = Publication(TopicEvent("alerts", {}, 0)), Publication(EntityEvent("sensor", "anomaly_detected", "a"))
    assert dict(index.choose([alert, both])) == {everyone: [alert, both], alerted: [alert, both]}


def test_an_audience_by_topic_ends_with_its_last_member() -> None:
    index: SubscriptionIndex[str] = SubscriptionIndex()
    for subscription in (ALERTS, A_ALERTS, ALL):
        index.group_of(CODEC, subscription).members["one"] = None
        index.leave("one", CODEC, subscription)
    assert list(index) == []
    assert not index._by_topic
    assert not index._by_device
    assert list(index.choose(published(1))) == []


def test_equal_wishes_in_one_dialect_share_an_audience() -> None:
    index: SubscriptionIndex[str] = SubscriptionIndex()
    first = index.group_of(CODEC, Subscription(frozenset("ab")))
    assert index.group_of(CODEC, Subscription(frozenset("ba"))) is first
    assert index.group_of(CODEC, Subscription(frozenset("ab"), every_ms=1000)) is not first
    assert index.group_of(SocketIoCodec(), Subscription(frozenset("ab"))) is not first


def test_an_audience_ends_with_its_last_member_and_nothing_is_kept_of_it() -> None:
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
def test_a_wish_includes_another_when_it_is_for_all_of_its_devices(
    subscription: Subscription, other: Subscription, includes: bool
) -> None:
    assert subscription.is_superset_of(other) is includes


def test_a_coalescing_audience_keeps_back_the_newest_of_each_device() -> None:
    group: SubscriberGroup[str] = SubscriberGroup(CODEC, Subscription(every_ms=1000))
    online = Publication(status())
    assert group.take_due([*published(1, 2), *published(3, device="b"), online]) == [online], "what is no record does not wait"
    assert group.take_due(published(4)) == []
    assert [(one.device_id, one.seq) for one in group.take_latest()] == [("b", 3), ("a", 4)]
    assert group.take_latest() == []


def test_an_audience_that_does_not_coalesce_keeps_nothing_back() -> None:
    group: SubscriberGroup[str] = SubscriberGroup(CODEC, ALL)
    batch = published(1, 2)
    assert group.take_due(batch) == batch
    assert group.take_latest() == []


def test_those_of_one_scope_hear_together_and_nothing_is_kept_of_them() -> None:
    index: SubscriptionIndex[str] = SubscriptionIndex()
    subscription = seeing("a", sites=["Work"])
    assert index.group_of(CODEC, subscription) is index.group_of(CODEC, seeing("a", sites=["Work"]))
    assert index.group_of(CODEC, subscription) is not index.group_of(CODEC, seeing("a"))
    index.group_of(CODEC, subscription).members["one"] = None
    index.leave("one", CODEC, subscription)
    index.leave("nobody", CODEC, seeing("a"))
    assert list(index) == []
    assert list(index.choose(published(1))) == []


def test_what_a_coalescing_audience_kept_back_of_a_device_that_was_moved_away_is_not_heard() -> None:
    group: SubscriberGroup[str] = SubscriberGroup(CODEC, seeing(sites=["Home"], subscription=Subscription(every_ms=1000)))
    group.take_due(published(1))
    MAP.sites["a"] = "Work"
    try:
        assert group.take_latest() == []
    finally:
        MAP.sites["a"] = "Home"


def test_a_wish_that_sees_everything_includes_every_other_and_one_of_a_scope_its_own() -> None:
    assert ALL.is_superset_of(seeing("a"))
    assert seeing("a").is_superset_of(seeing("a", subscription=A))
    assert not seeing("a").is_superset_of(seeing("b"))
    assert not seeing("a").is_superset_of(ALL)
