"""The contract of every store for what targets are told of alarms; the in-memory store too."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bridge.core.alarms.delivery import (
    DELIVERY_DAYS,
    PUSH_LIMIT,
    AlarmDelivery,
    AlarmMember,
    DeliveryKind,
    DeliveryState,
    PushSubscription,
    delivery_from_document,
)
from bridge.ports import Store
from tests.fakes import DAY_MS, MemoryStore
from tests.stores.test_store_contract import Opener, opened

__all__ = ["opened"]

FAILED = DeliveryState.FAILED
NOW_MS = time.time_ns() // 1_000_000


def delivery(identity: str = "one", due_ms: int = NOW_MS, target: str = "family", alarm_id: str = "alarm-1") -> AlarmDelivery:
    return AlarmDelivery(
        id=identity,
        target=target,
        group=alarm_id,
        members=(AlarmMember(alarm_id, f"transition-{identity}", "kitchen"), AlarmMember("other", "t", None)),
        kind=DeliveryKind.RAISED,
        priority="critical",
        created_ms=NOW_MS,
        due_ms=due_ms,
        title="CRITICAL: Carbon monoxide 212 ppm at kitchen",
        body="Leave.\nNot a life-safety device.",
        rule="co-ceiling",
        site="Home",
        alarms=({"id": alarm_id, "peak": {"value": 212.0, "at": "2026-01-01T00:00:00.000Z"}, "a.b": [None]},),
    )


@pytest.fixture
async def store(opened: Opener) -> AsyncIterator[Store]:
    async with opened() as store:
        await store.prepare()
        yield store


def test_document_describes_the_whole_delivery() -> None:
    full = replace(
        delivery(),
        done=("a", "b"),
        error="refused",
        sent_ms=5,
        attempts=3,
        number=2,
        is_deferred=True,
        state=DeliveryState.FAILED,
    )
    assert delivery_from_document(full.id, full.to_document()) == full


async def test_delivery_is_returned_unchanged(store: Store) -> None:
    await store.deliveries.add([])
    await store.deliveries.add([delivery()])
    assert await store.deliveries.by_group("alarm-1") == [delivery()]


async def test_delivery_added_again_stays_as_it_is(store: Store) -> None:
    sent = replace(delivery(), state=DeliveryState.SENT, attempts=1, sent_ms=NOW_MS + 5)
    await store.deliveries.add([delivery()])
    await store.deliveries.save([sent])
    await store.deliveries.save([])
    await store.deliveries.add([delivery(), delivery("two", alarm_id="alarm-2")])
    assert await store.deliveries.by_group("alarm-1") == [sent]
    assert len(await store.deliveries.by_group("alarm-2")) == 1


async def test_due_deliveries_of_a_target_come_in_the_order_of_their_time(store: Store) -> None:
    late, early, future = delivery("late", NOW_MS - 1), delivery("early", NOW_MS - 9), delivery("future", NOW_MS + 1)
    other, sent = delivery("other", target="else"), replace(delivery("sent"), state=DeliveryState.SENT)
    await store.deliveries.add([late, future, early, other, sent])
    assert await store.deliveries.due("family", NOW_MS, 10) == [early, late]
    assert await store.deliveries.due("family", NOW_MS, 1) == [early]
    assert await store.deliveries.due("nobody", NOW_MS, 10) == []


async def test_deliveries_are_deleted_after_their_days(opened: Opener) -> None:
    async with opened() as store:
        if isinstance(store, MemoryStore):
            return
        old = replace(delivery("old"), created_ms=NOW_MS - (DELIVERY_DAYS + 1) * DAY_MS)
        await store.deliveries.add([old, delivery("new")])
        await store.enforce_retention()
        left = await store.deliveries.by_group("alarm-1")
        assert left in ([delivery("new")], [delivery("new"), old])  # MongoDB expires it within a minute
        if type(store).__name__ == "SqliteStore":
            assert left == [delivery("new")]


def subscription(number: int, user: str = "ada") -> PushSubscription:
    endpoint = f"https://push.example/{user}/{number}"
    return PushSubscription(f"{user}-{number:03d}", user, endpoint, "key", "secret", NOW_MS + number)


async def test_subscriptions_of_a_user_are_returned_and_removed(store: Store) -> None:
    await store.push.add(subscription(1))
    await store.push.add(subscription(1))
    await store.push.add(subscription(2))
    await store.push.add(subscription(1, "bob"))
    assert await store.push.by_user("ada") == [subscription(1), subscription(2)]
    assert await store.push.get("ada-002") == subscription(2)
    assert await store.push.get("ada-009") is None
    assert await store.push.all(2) == [subscription(1), subscription(2)]
    assert await store.push.remove("ada-001")
    assert not await store.push.remove("ada-001")
    assert await store.push.all(10) == [subscription(2), subscription(1, "bob")]


async def test_beyond_the_limit_the_earliest_subscription_of_the_user_is_deleted(store: Store) -> None:
    await store.push.add(subscription(1, "bob"))
    for number in range(PUSH_LIMIT + 2):
        await store.push.add(subscription(number))
    assert await store.push.by_user("ada") == [subscription(number) for number in range(2, PUSH_LIMIT + 2)]
    assert await store.push.by_user("bob") == [subscription(1, "bob")]
