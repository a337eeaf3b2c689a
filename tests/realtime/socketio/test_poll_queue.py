"""The packet queue of a Socket.IO client."""

from __future__ import annotations

import asyncio
from typing import Any

from engineio.packet import MESSAGE, OPEN, Packet

from bridge.realtime.socketio.poll_queue import PACKETS_PER_POLL, PollQueue
from tests.servers import until


def packet(text: str) -> Packet:
    return Packet(MESSAGE, text)


async def poll(queue: PollQueue) -> list[Any]:
    """Poll as python-engineio's `AsyncSocket.poll` does."""
    packets = [await asyncio.wait_for(queue.get(), 30)]
    queue.task_done()
    while True:
        try:
            packets.append(queue.get_nowait())
            queue.task_done()
        except asyncio.QueueEmpty:
            return [packet and packet.data for packet in packets]


async def test_queue_counts_waiting_bytes() -> None:
    queue = PollQueue()
    for text in ("abc", "", "de"):
        queue.put_nowait(packet(text))
    await queue.put(None)
    assert queue.waiting_bytes == 3 + 0 + 2 + 1
    assert not queue.empty()
    assert await poll(queue) == ["abc", "", "de", None]
    assert queue.waiting_bytes == 0
    assert queue.empty()


async def test_open_packet_states_ping_interval_in_milliseconds() -> None:
    queue = PollQueue(2.5)
    await queue.put(Packet(OPEN, {"sid": "a", "pingInterval": 2000}))
    (opening,) = await poll(queue)
    assert opening == {"sid": "a", "pingInterval": 2500}


async def test_poll_returns_at_most_16_packets_and_the_next_poll_continues() -> None:
    queue = PollQueue()
    texts = [str(n) for n in range(2 * PACKETS_PER_POLL + 3)]
    for text in texts:
        queue.put_nowait(packet(text))
    polls = [await poll(queue) for _ in range(3)]
    assert [len(texts) for texts in polls] == [PACKETS_PER_POLL, PACKETS_PER_POLL, 3]
    assert [text for received in polls for text in received] == texts


async def test_waiting_poll_returns_the_next_packet() -> None:
    queue = PollQueue()
    assert not queue.is_awaited
    waiting = asyncio.create_task(poll(queue))
    await until(lambda: queue.is_awaited)
    queue.put_nowait(packet("late"))
    assert not queue.is_awaited
    assert await waiting == ["late"]
    queue.put_nowait(packet("later"))
    assert await poll(queue) == ["later"]


async def test_callback_is_called_once_when_little_enough_waits() -> None:
    queue, calls = PollQueue(), list[int]()
    queue.when_drained(5, lambda: calls.append(0))
    for text in ("aaaa", "bbbb", "cccc"):
        queue.put_nowait(packet(text))
    queue.when_drained(5, lambda: calls.append(queue.waiting_bytes))
    await queue.get()
    await asyncio.sleep(0)
    assert calls == []
    queue.get_nowait()
    queue.get_nowait()
    await asyncio.sleep(0)
    assert calls == [0], "not from within the poll"
    queue.put_nowait(packet("dddd"))
    await queue.get()
    await asyncio.sleep(0)
    assert calls == [0]


async def test_join_waits_until_polls_have_taken_all_packets() -> None:
    queue = PollQueue()
    await asyncio.wait_for(queue.join(), 30)
    for text in ("last", "words"):
        queue.put_nowait(packet(text))
    closing = asyncio.create_task(queue.join())
    await asyncio.sleep(0)
    assert not closing.done()
    assert await poll(queue) == ["last", "words"]
    await asyncio.wait_for(closing, 30)


class FakeWebSocket:
    """Records posted packets."""

    def __init__(self) -> None:
        self.posted: list[Any] = []

    def post(self, packet: Packet | None) -> None:
        self.posted.append(packet and packet.data)


async def test_redirect_writes_waiting_packets_to_websocket_in_order_and_ends_waiting_poll() -> None:
    queue: Any = PollQueue()
    websocket = FakeWebSocket()
    queue.put_nowait(packet("1"))
    queue.put_nowait(packet("2"))
    queue.redirect_to(websocket)
    queue.put_nowait(packet("3"))
    await queue.put(None)
    assert websocket.posted == ["1", "2", "3", None]
    assert queue.waiting_bytes == 0
    assert await poll(queue) == [None]

    awaited: Any = PollQueue()
    waiting = asyncio.create_task(poll(awaited))
    await asyncio.sleep(0)
    awaited.redirect_to(websocket)
    assert await waiting == [None]
