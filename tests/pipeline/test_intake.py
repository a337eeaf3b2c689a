"""The gathering place: order of arrival, what is dropped, how it ends, and that its numbers add up at every moment."""

from __future__ import annotations

import asyncio
from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from bridge.core.ledger import Ledger
from bridge.core.message import Message, Outcome
from bridge.pipeline.intake import Intake
from tests.fakes import RecordingOrigin
from tests.servers import until


class Gate:
    """An intake with its ledger and an origin that remembers; messages are told apart by their topic, a number."""

    def __init__(self, *, qos0_limit: int = 1000, batch_limit: int = 1000) -> None:
        self.ledger = Ledger()
        self.origin = RecordingOrigin()
        self.intake = Intake(self.ledger, qos0_limit=qos0_limit, batch_limit=batch_limit)

    def put(self, number: int, qos: int = 1, source: str = "mqtt") -> None:
        self.intake.put(Message(source, str(number), b"", 0, self.origin, qos=qos))

    async def take(self) -> list[int]:
        return [int(message.topic) for message in await anext(self.intake)]

    @property
    def dropped(self) -> list[int]:
        return [int(message.topic) for message, outcome in self.origin.settled if outcome is Outcome.DROPPED]


async def test_a_batch_is_all_that_has_arrived() -> None:
    gate = Gate()
    for number in range(5):
        gate.put(number)
    assert await gate.take() == [0, 1, 2, 3, 4]
    assert len(gate.intake) == 0


async def test_the_order_of_arrival_is_kept_across_qos_0_and_1() -> None:
    gate = Gate()
    for number, qos in enumerate([1, 0, 0, 1, 0, 1, 1, 0]):
        gate.put(number, qos)
    assert await gate.take() == list(range(8))


async def test_a_batch_has_at_most_as_many_as_the_limit_and_the_rest_comes_next() -> None:
    gate = Gate(batch_limit=3)
    for number in range(7):
        gate.put(number, qos=number % 2)
    assert [await gate.take() for _ in range(3)] == [[0, 1, 2], [3, 4, 5], [6]]


async def test_past_the_limit_the_oldest_of_qos_0_is_dropped_settled_and_counted() -> None:
    gate = Gate(qos0_limit=2)
    for number in range(5):
        gate.put(number, qos=0)
    assert gate.dropped == [0, 1, 2]
    assert gate.ledger.as_dict()["mqtt"] == {
        "received": 5,
        "stored": 0,
        "duplicate": 0,
        "rejected": 0,
        "dropped": 3,
        "waiting": 2,
    }
    assert await gate.take() == [3, 4]


async def test_what_is_to_be_acknowledged_is_never_dropped() -> None:
    gate = Gate(qos0_limit=1)
    for number in range(50):
        gate.put(number, qos=1)
    gate.put(50, qos=0)
    gate.put(51, qos=0)
    assert gate.dropped == [50]
    assert await gate.take() == [*range(50), 51]


async def test_a_dropped_message_is_counted_for_its_own_source() -> None:
    gate = Gate(qos0_limit=1)
    gate.put(0, qos=0, source="mqtt")
    gate.put(1, qos=0, source="http")
    assert gate.ledger.account("mqtt").dropped == 1
    assert gate.ledger.account("http").waiting == 1


async def test_the_taker_waits_until_there_is_something() -> None:
    gate = Gate()
    async with asyncio.TaskGroup() as tasks:
        taking = tasks.create_task(gate.take())
        await asyncio.sleep(0)
        assert not taking.done()
        gate.put(1)
        gate.put(2)
        assert await taking == [1, 2]


async def test_closing_gives_what_is_there_and_then_ends() -> None:
    gate = Gate(batch_limit=2)
    for number in range(3):
        gate.put(number)
    gate.intake.close()
    assert [[int(one.topic) for one in batch] async for batch in gate.intake] == [[0, 1], [2]]


async def test_closing_ends_one_who_waits() -> None:
    gate = Gate()

    async def drain() -> int:
        return len([batch async for batch in gate.intake])

    async with asyncio.TaskGroup() as tasks:
        draining = tasks.create_task(drain())
        await asyncio.sleep(0)
        gate.intake.close()
        await until(draining.done, seconds=2, what="the end of the iteration")
    assert draining.result() == 0


async def test_a_message_after_the_close_is_left_to_its_source() -> None:
    gate = Gate()
    gate.put(0)
    gate.intake.close()
    gate.put(1)
    gate.put(2, qos=0)
    assert gate.ledger.account("mqtt").received == 1
    assert gate.origin.settled == []
    assert await gate.take() == [0]


ACTIONS = st.lists(st.one_of(st.sampled_from(["put 0", "put 1", "take", "settle", "close"]), st.just("put 0")), max_size=80)


@given(ACTIONS, st.integers(1, 4), st.integers(1, 4), st.sampled_from(Outcome))
async def test_the_account_adds_up_at_every_moment(
    actions: list[str], qos0_limit: int, batch_limit: int, outcome: Outcome
) -> None:
    gate = Gate(qos0_limit=qos0_limit, batch_limit=batch_limit)
    expected: deque[tuple[int, int]] = deque()  # what should wait inside: number and QoS
    taken: list[int] = []
    closed = False
    for number, action in enumerate(actions):
        match action.split():
            case ["put", qos]:
                gate.put(number, int(qos))
                if not closed:
                    expected.append((number, int(qos)))
                    _drop_oldest(expected, qos0_limit)
            case ["take"] if expected:
                batch = await gate.take()
                assert batch == [expected.popleft()[0] for _ in range(min(len(expected), batch_limit))]
                taken += batch
            case ["settle"] if taken:
                taken.pop(0)
                gate.ledger.count_outcome("mqtt", outcome)
            case ["close"]:
                gate.intake.close()
                closed = True
        account = gate.ledger.account("mqtt")
        assert account.received == account.stored + account.duplicate + account.rejected + account.dropped + account.waiting
        assert len(gate.intake) == len(expected) == account.waiting - len(taken)
        assert sum(qos == 0 for _, qos in expected) <= qos0_limit


def _drop_oldest(waiting: deque[tuple[int, int]], qos0_limit: int) -> None:
    unacknowledged = [one for one in waiting if one[1] == 0]
    if len(unacknowledged) > qos0_limit:
        waiting.remove(unacknowledged[0])
