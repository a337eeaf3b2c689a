"""The straight way to Socket.IO clients: what it needs of the libraries' inside, and the plain way beside it."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import engineio
import pytest
import socketio
from aiohttp.http_websocket import WebSocketWriter
from engineio.async_drivers import aiohttp as driver
from engineio.async_socket import AsyncSocket
from engineio.packet import MESSAGE, OPEN, Packet

from bridge.realtime.socketio import direct
from bridge.realtime.socketio.direct import Emits, EngineServer, PlainLink, SocketServer, missing
from bridge.realtime.socketio.poll_queue import PACKETS_PER_POLL, PollQueue
from tests.conftest import StartBridge
from tests.realtime.clients import listening, publish_many
from tests.realtime.parts import batch
from tests.servers import until


def test_the_inside_of_todays_libraries_is_as_we_know_it() -> None:
    assert missing() is None


async def something_else(*_: object) -> None:
    """Of another signature than ours."""


class OtherWebSocket(driver.WebSocket):  # type: ignore[misc]  # python-engineio has no types
    """As python-engineio's, and not the one we stand in for."""


@pytest.mark.parametrize(
    ("owner", "name", "other", "reported"),
    [
        (socketio.AsyncServer, "_engineio_server_class", None, "socketio.AsyncServer._engineio_server_class"),
        (socketio.AsyncServer, "_engineio_server_class", something_else, "socketio.AsyncServer._engineio_server_class"),
        (engineio.AsyncServer, "create_queue", None, "engineio.AsyncServer.create_queue"),
        (driver, "_async", {}, "engineio.AsyncServer._async"),
        (driver, "_async", {"websocket": OtherWebSocket}, "engineio.AsyncServer._async"),
        (driver.WebSocket, "__init__", something_else, "engineio's WebSocket driver"),
        (driver.WebSocket, "__call__", None, "engineio's WebSocket driver"),
        (AsyncSocket, "__init__", lambda *_: None, "engineio.AsyncSocket"),
        (AsyncSocket, "receive", something_else, "engineio.AsyncSocket"),
        (AsyncSocket, "poll", something_else, "engineio.AsyncSocket"),
        (AsyncSocket, "check_ping_timeout", None, "engineio.AsyncSocket"),
        (AsyncSocket, "close", something_else, "engineio.AsyncSocket"),
        (AsyncSocket, "_websocket_handler", None, "engineio.AsyncSocket"),
        (WebSocketWriter, "__init__", something_else, "aiohttp.WebSocketWriter"),
    ],
)
def test_an_inside_that_is_not_as_it_was_is_named(
    monkeypatch: pytest.MonkeyPatch, owner: object, name: str, other: object, reported: str
) -> None:
    if other is None:
        monkeypatch.delattr(owner, name)
    else:
        monkeypatch.setattr(owner, name, other)
    assert missing() == reported


def test_our_servers_are_made_of_each_other() -> None:
    server = SocketServer(async_mode="aiohttp")
    assert type(server.eio) is EngineServer
    assert type(server.eio.create_queue()) is PollQueue
    assert server.eio._async["websocket"] is direct.WebSocket
    assert driver._async["websocket"] is driver.WebSocket, "that of others is left alone"


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_bridge_on_libraries_it_does_not_know_says_so_and_serves_its_clients_in_order(
    start_bridge: StartBridge,
    broker_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    transport: str,
) -> None:
    monkeypatch.setattr(driver, "_async", {**driver._async, "websocket": OtherWebSocket})
    with caplog.at_level(logging.WARNING):
        async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge:
            assert "sending is slower: engineio.AsyncServer._async is not as it was" in caplog.text
            async with listening(bridge, transports=[transport]) as listener:
                await publish_many(broker_url, 300)
                await until(lambda: len(listener.of("sensorData")) == 300)
                assert listener.temperatures == [n / 10 for n in range(300)]
                first = listener.of("sensorData")[0]["cursor"]
                assert (await listener.client.call("subscribe", {"devices": ["d"]}))["ok"]
            async with listening(bridge, transports=[transport]) as again:
                answer = await again.client.call("subscribe", {"since": first})
                assert answer["replayed"] == 299
                await until(lambda: len(again.of("sensorData")) == 299)


# --- the queue of a client ---------------------------------------------------------------------------------------------


def packet(text: str) -> Packet:
    return Packet(MESSAGE, text)


async def poll(outbox: PollQueue) -> list[Any]:
    """As python-engineio's socket does it."""
    packets = [await asyncio.wait_for(outbox.get(), 5)]
    outbox.task_done()
    while True:
        try:
            packets.append(outbox.get_nowait())
            outbox.task_done()
        except asyncio.QueueEmpty:
            return [one and one.data for one in packets]


async def test_an_outbox_knows_how_many_bytes_wait_in_it() -> None:
    outbox = PollQueue()
    for text in ("abc", "", "de"):
        outbox.put_nowait(packet(text))
    await outbox.put(None)
    assert outbox.waiting_bytes == 3 + 0 + 2 + 1
    assert not outbox.empty()
    assert await poll(outbox) == ["abc", "", "de", None]
    assert outbox.waiting_bytes == 0
    assert outbox.empty()


async def test_the_client_is_told_the_interval_between_pings_to_the_millisecond() -> None:
    outbox = PollQueue(2.5)
    await outbox.put(Packet(OPEN, {"sid": "a", "pingInterval": 2000}))
    (opening,) = await poll(outbox)
    assert opening == {"sid": "a", "pingInterval": 2500}


async def test_a_poll_is_given_a_handful_and_the_next_goes_on_behind_it() -> None:
    outbox = PollQueue()
    texts = [str(n) for n in range(2 * PACKETS_PER_POLL + 3)]
    for text in texts:
        outbox.put_nowait(packet(text))
    polls = [await poll(outbox) for _ in range(3)]
    assert [len(one) for one in polls] == [PACKETS_PER_POLL, PACKETS_PER_POLL, 3]
    assert [text for one in polls for text in one] == texts


async def test_a_poll_that_waits_is_given_what_comes() -> None:
    outbox = PollQueue()
    assert not outbox.is_waited_for
    waiting = asyncio.create_task(poll(outbox))
    await until(lambda: outbox.is_waited_for)
    outbox.put_nowait(packet("late"))
    assert not outbox.is_waited_for
    assert await waiting == ["late"]
    outbox.put_nowait(packet("later"))
    assert await poll(outbox) == ["later"]


async def test_who_closes_waits_until_polls_have_taken_the_last_words() -> None:
    outbox = PollQueue()
    await asyncio.wait_for(outbox.join(), 5)
    for text in ("last", "words"):
        outbox.put_nowait(packet(text))
    closing = asyncio.create_task(outbox.join())
    await asyncio.sleep(0)
    assert not closing.done()
    assert await poll(outbox) == ["last", "words"]
    await asyncio.wait_for(closing, 5)


class FakeWebSocket:
    """Remembers what is posted."""

    def __init__(self) -> None:
        self.posted: list[Any] = []

    def post(self, packet: Packet | None) -> None:
        self.posted.append(packet and packet.data)


async def test_what_waits_is_poured_into_a_websocket_in_order_and_a_poll_that_waits_ends() -> None:
    outbox: Any = PollQueue()
    websocket = FakeWebSocket()
    outbox.put_nowait(packet("1"))
    outbox.put_nowait(packet("2"))
    outbox.pour_into(websocket)
    outbox.put_nowait(packet("3"))
    await outbox.put(None)
    assert websocket.posted == ["1", "2", "3", None]
    assert outbox.waiting_bytes == 0
    assert await poll(outbox) == [None]

    waited_for: Any = PollQueue()
    waiting = asyncio.create_task(poll(waited_for))
    await asyncio.sleep(0)
    waited_for.pour_into(websocket)
    assert await waiting == [None]


# --- the plain way -----------------------------------------------------------------------------------------------------


class PlainServer:
    """Remembers what is emitted."""

    def __init__(self) -> None:
        self.emitted: list[tuple[str, int]] = []

    async def emit(self, _name: str, body: Any, to: str) -> None:
        await asyncio.sleep(0)
        self.emitted.append((to, body["cursor"]))


class PlainSocket:
    """A client's socket, of which only the queue is looked at."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[None] = asyncio.Queue()


async def test_on_the_plain_way_everything_is_emitted_in_order_and_what_waits_is_known() -> None:
    emits, server, left = Emits(), PlainServer(), list[Any]()
    socket = PlainSocket()
    first, second = (PlainLink(socket, name, emits, left.append) for name in ("first", "second"))
    first.write(batch(1, 2))
    second.write(batch(1))
    first.write(batch(3))
    assert first.waiting_bytes() > second.waiting_bytes() > 0
    await emits.send(server)
    assert server.emitted == [("first", 1), ("first", 2), ("second", 1), ("first", 3)]
    assert first.waiting_bytes() == second.waiting_bytes() == 0
    socket.queue.put_nowait(None)
    assert first.waiting_bytes() > 0, "what python-engineio has not sent yet counts too"
    first.disconnect("slow")
    assert left == [socket]
