"""TCP connections of a running bridge: silent ones are closed, and one address cannot take all of them."""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bridge.api.middleware.connections import AcceptThrottle, Connections, allow_open_files
from bridge.app import Bridge
from bridge.settings import HttpSettings, RealtimeSettings
from tests.access.test_http import certificate
from tests.conftest import StartBridge
from tests.realtime.socketio.test_server import metric
from tests.realtime.websocket.test_server import Raw
from tests.servers import until

__all__ = ["certificate"]

REQUEST = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
LONG_SECONDS = 10.0


@pytest.fixture
def http() -> HttpSettings:
    return HttpSettings(port=0, header_seconds=2.0, idle_seconds=2.0, connections_per_address=3)


@pytest.fixture
async def bridge(start_bridge: StartBridge, broker_url: str, tmp_path: Path, http: HttpSettings) -> AsyncIterator[Bridge]:
    few = RealtimeSettings(max_clients_per_address=2)
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", http=http, realtime=few) as running:
        yield running


@asynccontextmanager
async def connected(bridge: Bridge, sent: bytes = b"") -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", bridge.port)
    writer.write(sent)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def to_the_end(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the connection ends; nothing where it was reset."""
    try:
        return await asyncio.wait_for(reader.read(), LONG_SECONDS)
    except ConnectionError:
        return b""


async def answered(bridge: Bridge) -> bytes:
    async with connected(bridge, REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")) as (reader, _):
        return await to_the_end(reader)


@pytest.mark.parametrize("sent", [b"", b"GET / HT", REQUEST[:-2]], ids=["nothing", "half a line", "half of the headers"])
async def test_connection_without_complete_headers_is_closed_in_time(bridge: Bridge, sent: bytes) -> None:
    async with connected(bridge, sent) as (reader, _):
        assert await to_the_end(reader) == b""
    assert await metric(bridge, 'bridge_connections_ended_total{reason="headers"}') == 1


async def test_connection_with_slowly_sent_headers_is_closed_in_time(bridge: Bridge) -> None:
    async with connected(bridge, REQUEST[:-2]) as (reader, writer):
        async with asyncio.timeout(LONG_SECONDS):
            while not reader.at_eof():
                writer.write(b"X-More: 1\r\n")
                try:
                    assert await asyncio.wait_for(reader.read(), 0.05) == b""
                except TimeoutError:
                    continue
                except ConnectionError:
                    break
    assert await metric(bridge, 'bridge_connections_ended_total{reason="headers"}') == 1


async def test_idle_connection_is_closed_even_within_the_next_request(bridge: Bridge) -> None:
    for sent in (REQUEST, REQUEST + REQUEST[:-2]):
        async with connected(bridge, sent) as (reader, _):
            assert b'{"status":"ok"}' in await to_the_end(reader)
    assert await metric(bridge, "bridge_connections_total") >= 2


async def test_websocket_stays_open_after_the_header_timeout(bridge: Bridge) -> None:
    async with Raw.connected(bridge) as live, connected(bridge) as (silent, _):
        assert await to_the_end(silent) == b""
        live.writer.write(b"\x89\x80\0\0\0\0")  # a ping
        assert await live.receive() == (10, b"")


@pytest.mark.parametrize("http", [HttpSettings(port=0, connections_per_address=3)])
async def test_connections_beyond_the_limit_per_address_are_refused_and_counted(bridge: Bridge) -> None:
    async with connected(bridge), connected(bridge), connected(bridge), connected(bridge):
        async with connected(bridge, REQUEST) as (reader, _):
            assert b'{"status":"ok"}' in await asyncio.wait_for(reader.readuntil(b"}"), LONG_SECONDS)
            assert b"HTTP/1.1 200 " not in await answered(bridge)

        async def room_again() -> bool:
            return (await answered(bridge)).startswith(b"HTTP/1.1 200 ")

        await until(room_again, what="room again")
    assert await metric(bridge, 'bridge_connections_ended_total{reason="address"}') >= 1


TRUSTING = HttpSettings.model_validate({"port": 0, "connections_per_address": 1, "trusted_proxies": ["127.0.0.1"]})


@pytest.mark.parametrize("http", [TRUSTING])
async def test_trusted_proxy_has_no_limit(bridge: Bridge) -> None:
    async with connected(bridge), connected(bridge), connected(bridge), connected(bridge):
        assert (await answered(bridge)).startswith(b"HTTP/1.1 200 ")


async def test_tls_handshake_and_first_headers_have_a_timeout(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    http = HttpSettings.model_validate(
        {"port": 0, "header_seconds": 0.4, "tls": {"cert_file": certificate[0], "key_file": certificate[1]}}
    )
    trust = ssl.create_default_context(cafile=str(certificate[0]))
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", http=http) as bridge:
        async with connected(bridge) as (reader, _):
            assert await to_the_end(reader) == b""
        reader, writer = await asyncio.open_connection("127.0.0.1", bridge.port, ssl=trust)
        assert await to_the_end(reader) == b""
        writer.transport.abort()


def test_one_address_gets_three_quarters_of_the_open_files() -> None:
    connections = Connections(HttpSettings(connections_per_address=1000), RealtimeSettings(max_clients_per_address=2500))
    connections.limit_by_files(None)
    assert connections.limit == 3500
    connections.limit_by_files(300)
    assert connections.limit == 225


def test_closed_connections_leave_no_entries() -> None:
    connections = Connections(HttpSettings(), RealtimeSettings())
    for key in [connections.enter(peer) for peer in ("192.0.2.1", "192.0.2.1", "192.0.2.2", "unknown")]:
        connections.leave(key or "")
    assert (connections.accepted, connections._by_address) == (4, {})


def test_ipv6_addresses_are_counted_by_network() -> None:
    connections = Connections(HttpSettings(connections_per_address=1), RealtimeSettings(max_clients_per_address=1))
    keys = [connections.enter(peer) for peer in ("2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:1::1")]
    assert [key is None for key in keys] == [False, False, True, False]


def test_limit_of_open_files_is_raised() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
        allowed = allow_open_files()
        assert allowed is None or allowed >= min(before[0], 10_240)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


# --- simultaneous connections ------------------------------------------------------------------------------------------


class Starting:
    """A connection that records when it starts."""

    def __init__(self, number: int, started: list[int]) -> None:
        self._number = number
        self._started = started

    def start(self) -> None:
        self._started.append(self._number)


async def test_a_few_connections_start_in_each_turn_of_the_loop_in_order() -> None:
    throttle, started = AcceptThrottle(), list[int]()
    for connection in [Starting(number, started) for number in range(11)]:
        if throttle.admit(connection):  # type: ignore[arg-type]
            connection.start()
    seen = []
    for _ in range(4):
        seen.append(list(started))
        await asyncio.sleep(0)
    assert seen == [[*range(4)], [*range(8)], [*range(11)], [*range(11)]]
    assert throttle.admit(Starting(11, started))  # type: ignore[arg-type]


async def test_connection_that_fails_to_start_does_not_block_the_others() -> None:
    class Broken(Starting):
        def start(self) -> None:
            raise OSError("closed")

    throttle, started, errors = AcceptThrottle(), list[int](), list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    for number in range(11):
        one = (Broken if number == 4 else Starting)(number, started)
        if throttle.admit(one):  # type: ignore[arg-type]
            one.start()
    async with asyncio.timeout(LONG_SECONDS):
        while len(started) < 10:
            await asyncio.sleep(0)
    assert started == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10]
    assert len(errors) == 1


@pytest.mark.parametrize("http", [HttpSettings(port=0, connections_per_address=400)])
async def test_hundreds_of_simultaneous_connections_are_all_answered(bridge: Bridge) -> None:
    """The loop does not run while they connect, so they must fit into the kernel's queue, in the second round again."""
    for _ in range(2):
        clients = [socket.create_connection(("127.0.0.1", bridge.port), timeout=0.5) for _ in range(400)]
        for client in clients:
            client.sendall(REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        clients.pop(100).close()  # it disconnects before it is answered
        heard = await asyncio.gather(*(asyncio.open_connection(sock=client) for client in clients))
        answers = await asyncio.gather(*(to_the_end(reader) for reader, _ in heard))
        assert {one.partition(b"\r\n")[0] for one in answers} == {b"HTTP/1.1 200 OK"}
        for _, writer in heard:
            writer.close()


@pytest.mark.parametrize("http", [HttpSettings(port=0, connections_per_address=400)])
async def test_stopping_bridge_closes_silent_connections(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path, http: HttpSettings
) -> None:
    async with AsyncExitStack() as stack:
        async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", http=http) as bridge:
            readers = [(await stack.enter_async_context(connected(bridge)))[0] for _ in range(3)]
            await until(partial(was_accepted, bridge, 3))
        assert [await to_the_end(reader) for reader in readers] == [b"", b"", b""]


async def was_accepted(bridge: Bridge, count: int) -> bool:
    return (await metric(bridge, "bridge_connections_total") or 0) >= count
