"""The intake: order of arrival, dropped messages, closing, and balanced counters at every moment."""

from __future__ import annotations

import asyncio
import time
from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from bridge.core.ledger import Ledger
from bridge.core.message import Message, Outcome
from bridge.pipeline.intake import LARGE, Intake
from tests.fakes import RecordingOrigin
from tests.servers import until


class Queue:
    """An intake with its ledger and a recording origin; the topic of a message is its number."""

    def __init__(self, *, qos0_limit: int = 1000, batch_limit: int = 1000, pace_seconds: float = 0.0) -> None:
        self.ledger = Ledger()
        self.origin = RecordingOrigin()
        self.intake = Intake(self.ledger, qos0_limit=qos0_limit, batch_limit=batch_limit, pace_seconds=pace_seconds)

    def put(self, number: int, qos: int = 1, source: str = "mqtt") -> None:
        self.intake.put(Message(source, str(number), b"", 0, self.origin, qos=qos))

    async def take(self) -> list[int]:
        return [int(message.topic) for message in await anext(self.intake)]

    @property
    def dropped(self) -> list[int]:
        return [int(message.topic) for message, outcome in self.origin.settled if outcome is Outcome.DROPPED]


async def test_batch_is_everything_that_has_arrived() -> None:
    queue = Queue()
    for number in range(5):
        queue.put(number)
    assert await queue.take() == [0, 1, 2, 3, 4]
    assert len(queue.intake) == 0


async def test_order_of_arrival_is_preserved_across_qos_0_and_1() -> None:
    queue = Queue()
    for number, qos in enumerate([1, 0, 0, 1, 0, 1, 1, 0]):
        queue.put(number, qos)
    assert await queue.take() == list(range(8))


async def test_batch_is_limited_and_the_rest_follows() -> None:
    queue = Queue(batch_limit=3)
    for number in range(7):
        queue.put(number, qos=number % 2)
    assert [await queue.take() for _ in range(3)] == [[0, 1, 2], [3, 4, 5], [6]]


async def test_oldest_qos_0_message_beyond_the_limit_is_dropped_and_counted() -> None:
    queue = Queue(qos0_limit=2)
    for number in range(5):
        queue.put(number, qos=0)
    assert queue.dropped == [0, 1, 2]
    assert queue.ledger.as_dict()["mqtt"] == {
        "received": 5,
        "stored": 0,
        "duplicate": 0,
        "rejected": 0,
        "ignored": 0,
        "dropped": 3,
        "waiting": 2,
        "readings": 0,
    }
    assert await queue.take() == [3, 4]


async def test_qos_1_message_is_never_dropped() -> None:
    queue = Queue(qos0_limit=1)
    for number in range(50):
        queue.put(number, qos=1)
    queue.put(50, qos=0)
    queue.put(51, qos=0)
    assert queue.dropped == [50]
    assert await queue.take() == [*range(50), 51]


async def test_dropped_message_is_counted_for_its_own_source() -> None:
    queue = Queue(qos0_limit=1)
    queue.put(0, qos=0, source="mqtt")
    queue.put(1, qos=0, source="http")
    assert queue.ledger.account("mqtt").dropped == 1
    assert queue.ledger.account("http").waiting == 1


async def test_iteration_waits_for_a_message() -> None:
    queue = Queue()
    async with asyncio.TaskGroup() as tasks:
        taking = tasks.create_task(queue.take())
        await asyncio.sleep(0)
        assert not taking.done()
        queue.put(1)
        queue.put(2)
        assert await taking == [1, 2]


async def test_batch_that_soon_follows_another_waits_for_more_messages() -> None:
    queue = Queue(pace_seconds=2.0)  # longer than a busy machine takes for the next lines
    queue.put(0)
    first_at = time.monotonic()
    assert await queue.take() == [0]
    queue.put(1)
    async with asyncio.TaskGroup() as tasks:
        taking = tasks.create_task(queue.take())
        await asyncio.sleep(0)
        queue.put(2)
        assert await taking == [1, 2]
    assert time.monotonic() - first_at >= 2


async def test_lone_message_and_a_large_batch_do_not_wait_for_more() -> None:
    queue = Queue(pace_seconds=3600)
    queue.put(0)
    async with asyncio.timeout(30):
        assert await queue.take() == [0]
        for number in range(LARGE):
            queue.put(number)
        assert await queue.take() == [*range(LARGE)]


async def test_rest_of_a_closed_queue_does_not_wait() -> None:
    queue = Queue(batch_limit=1, pace_seconds=3600)
    for number in range(3):
        queue.put(number)
    queue.intake.close()
    async with asyncio.timeout(30):
        assert [[int(one.topic) for one in batch] async for batch in queue.intake] == [[0], [1], [2]]


async def test_iteration_ends_after_close_once_the_queue_is_empty() -> None:
    queue = Queue(batch_limit=2)
    for number in range(3):
        queue.put(number)
    queue.intake.close()
    assert [[int(one.topic) for one in batch] async for batch in queue.intake] == [[0, 1], [2]]


async def test_close_ends_a_waiting_iteration() -> None:
    queue = Queue()

    async def drain() -> int:
        return len([batch async for batch in queue.intake])

    async with asyncio.TaskGroup() as tasks:
        draining = tasks.create_task(drain())
        await asyncio.sleep(0)
        queue.intake.close()
        await until(draining.done, seconds=2, what="the end of the iteration")
    assert draining.result() == 0


async def test_message_after_close_is_neither_counted_nor_acknowledged() -> None:
    queue = Queue()
    queue.put(0)
    queue.intake.close()
    queue.put(1)
    queue.put(2, qos=0)
    assert queue.ledger.account("mqtt").received == 1
    assert queue.origin.settled == []
    assert await queue.take() == [0]


ACTIONS = st.lists(st.one_of(st.sampled_from(["put 0", "put 1", "take", "settle", "close"]), st.just("put 0")), max_size=80)


@given(ACTIONS, st.integers(1, 4), st.integers(1, 4), st.sampled_from(Outcome))
async def test_counters_balance_at_every_moment(
    actions: list[str], qos0_limit: int, batch_limit: int, outcome: Outcome
) -> None:
    queue = Queue(qos0_limit=qos0_limit, batch_limit=batch_limit)
    expected: deque[tuple[int, int]] = deque()  # number and QoS of the messages that should wait
    taken: list[int] = []
    closed = False
    for number, action in enumerate(actions):
        match action.split():
            case ["put", qos]:
                queue.put(number, int(qos))
                if not closed:
                    expected.append((number, int(qos)))
                    _drop_oldest(expected, qos0_limit)
            case ["take"] if expected:
                batch = await queue.take()
                assert batch == [expected.popleft()[0] for _ in range(min(len(expected), batch_limit))]
                taken += batch
            case ["settle"] if taken:
                taken.pop(0)
                queue.ledger.count_outcome("mqtt", outcome)
            case ["close"]:
                queue.intake.close()
                closed = True
        account = queue.ledger.account("mqtt")
        assert (
            account.received
            == account.stored + account.duplicate + account.rejected + account.ignored + account.dropped + account.waiting
        )
        assert len(queue.intake) == len(expected) == account.waiting - len(taken)
        assert sum(qos == 0 for _, qos in expected) <= qos0_limit


def _drop_oldest(waiting: deque[tuple[int, int]], qos0_limit: int) -> None:
    unacknowledged = [one for one in waiting if one[1] == 0]
    if len(unacknowledged) > qos0_limit:
        waiting.remove(unacknowledged[0])
