"""Compressed bodies on a running bridge: they are refused unread, and nobody waits for them."""

from __future__ import annotations

import asyncio
import gzip
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import orjson
import pytest
from pydantic import SecretStr
from websockets.asyncio.client import connect

from bridge.app import Bridge
from bridge.settings import HttpSettings, RealtimeSettings
from tests.access.parts import PASSWORD, access_settings
from tests.conftest import StartBridge
from tests.realtime.clients import Plain
from tests.realtime.socketio.test_server import metric
from tests.servers import until

LONG_SECONDS = 10.0
LATE_SECONDS = 1.0
"""Of CPU of the thread that bridge and clients share: the machine may stand still for longer."""

_ZEROS = b"\0" * (1 << 20)
_MEGABYTES = 256


def zeros(window_bits: int) -> bytes:
    """256 MB of zeros, compressed: zlib or gzip by the window bits."""
    compress = zlib.compressobj(9, zlib.DEFLATED, window_bits)
    return b"".join([compress.compress(_ZEROS) for _ in range(_MEGABYTES)]) + compress.flush()


@pytest.fixture(scope="module")
def deflated() -> bytes:
    return zeros(15)


@pytest.fixture(scope="module")
def gzipped() -> bytes:
    return zeros(31)


@pytest.fixture
async def bridge(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> AsyncIterator[Bridge]:
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", http=HttpSettings(port=0)) as running:
        yield running


@asynccontextmanager
async def connected(bridge: Bridge) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", bridge.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def head(method: str, path: str, encoding: str, *more: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", f"Content-Encoding: {encoding}"]
    return "\r\n".join([*lines, *more, "", ""]).encode()


async def ask(bridge: Bridge, head: bytes, body: bytes = b"") -> bytes:
    """All that is answered until the connection ends."""
    async with connected(bridge) as (reader, writer):
        writer.write(head + body)
        return await asyncio.wait_for(reader.read(), LONG_SECONDS)


def chunked(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


async def test_six_hostile_bodies_are_refused_and_delay_nobody(bridge: Bridge, deflated: bytes, gzipped: bytes) -> None:
    length, of_gzip = f"Content-Length: {len(deflated)}", f"Content-Length: {len(gzipped)}"
    hostile = [
        (head("POST", "/api/v1/readings", "deflate", length), deflated),
        (head("GET", "/api/v1/readings", "gzip", of_gzip), gzipped),
        (head("PUT", "/api/v1/readings", "deflate", length), deflated),
        (head("POST", "/nowhere", "br", length), deflated),
        (head("POST", "/auth/login", "zstd", length), deflated),
        (head("POST", "/api/v1/events/alerts", "deflate", "Transfer-Encoding: chunked"), chunked(deflated)),
    ]
    health: list[float] = []
    readings: list[float] = []
    base = f"http://127.0.0.1:{bridge.port}"
    done = asyncio.Event()

    async def watch(session: aiohttp.ClientSession) -> None:
        while not done.is_set():
            began = time.thread_time()
            async with session.get(f"{base}/health/live") as answer:
                assert answer.status == 200
            health.append(time.thread_time() - began)

    async def flow(session: aiohttp.ClientSession, live: Plain) -> None:
        while not done.is_set():
            began = time.thread_time()
            async with session.post(
                f"{base}/api/v1/readings", json={"deviceId": "d", "temperature": len(readings) % 50}
            ) as answer:
                assert answer.status == 201
            await live.receive("measurement")
            readings.append(time.thread_time() - began)

    async with aiohttp.ClientSession() as session, Plain.connected(bridge) as live, asyncio.TaskGroup() as tasks:
        assert (await live.call(type="subscribe", topics=["measurements"]))["type"] == "subscribed"
        tasks.create_task(watch(session))
        tasks.create_task(flow(session, live))
        await until(lambda: health and readings, what="first answers")
        answers = await asyncio.gather(*(ask(bridge, *one) for one in hostile))
        await asyncio.gather(*(ask(bridge, *one) for one in hostile))
        done.set()
    for answer, (sent, _) in zip(answers, hostile, strict=True):
        assert answer.startswith(b"HTTP/1.1 415 "), (sent, answer)
        assert b"\r\nConnection: close\r\n" in answer
        assert b"application/problem+json" in answer
    assert max(health) < LATE_SECONDS
    assert max(readings) < LATE_SECONDS
    assert await metric(bridge, 'bridge_connections_ended_total{reason="encoding"}') == 12


async def test_encoding_is_refused_by_any_method(bridge: Bridge) -> None:
    encodings = ("deflate", "gzip", "x-gzip", "br", "zstd", "compress", "gzip, gzip", "Identity, DEFLATE", "?")
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"):
        for encoding in encodings:
            answer = await ask(bridge, head(method, "/api/v1/devices", encoding, "Content-Length: 0"))
            assert answer.startswith(b"HTTP/1.1 415 "), (method, encoding, answer)
            assert b"Accept-Encoding: identity\r\n" in answer
            assert b"X-Content-Type-Options: nosniff\r\n" in answer


async def test_refused_body_is_not_asked_for(bridge: Bridge) -> None:
    expecting = head("POST", "/api/v1/devices", "deflate", "Content-Length: 100", "Expect: 100-continue")
    async with connected(bridge) as (reader, writer):
        writer.write(expecting)
        assert (await asyncio.wait_for(reader.readline(), LONG_SECONDS)).startswith(b"HTTP/1.1 415 ")


async def test_second_request_of_a_connection_is_checked_too(bridge: Bridge) -> None:
    first = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = await ask(bridge, first + head("GET", "/health/live", "deflate", "Content-Length: 3"), b"abc")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 415 " in answer


async def test_refusal_comes_before_the_login(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> None:
    access = access_settings(admin_password=SecretStr(PASSWORD))
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", access=access) as bridge:
        for encoding, status in (("deflate", b"415"), ("gzip", b"401")):
            sent = head("POST", "/api/v1/readings", encoding, "Content-Length: 1", "Connection: close")
            assert (await ask(bridge, sent, b"x")).startswith(b"HTTP/1.1 %b " % status)


# --- gzip where it is offered ----------------------------------------------------------------------------------------


READING = orjson.dumps({"deviceId": "a", "temperature": 20, "timestamp": 1_767_000_000})


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (gzip.compress(READING), 201, ""),
        (gzip.compress(READING)[:-4], 400, "ends early"),
        (gzip.compress(READING) + b"x", 400, "one gzip member"),
        (gzip.compress(b"") * 40_000, 400, "one gzip member"),
        (b"", 400, "ends early"),
        (gzip.compress(b" " * 1_000_000), 413, "grew more than 200 times"),
        (gzip.compress(b" " * 1_048_577), 413, "1048576 bytes once decompressed"),
    ],
    ids=["one", "cut", "trailing", "many members", "empty", "ratio", "size"],
)
async def test_gzip_of_readings_is_decompressed_within_limits(bridge: Bridge, body: bytes, status: int, detail: str) -> None:
    url = f"http://127.0.0.1:{bridge.port}/api/ingest"
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    async with aiohttp.ClientSession() as session, session.post(url, data=iter_of(body), headers=headers) as answer:
        assert answer.status == status
        assert detail in (orjson.loads(await answer.read()).get("detail") or "")


async def iter_of(body: bytes) -> AsyncIterator[bytes]:
    """The body in chunks."""
    for start in range(0, len(body), 50_000):
        yield body[start : start + 50_000]


async def test_gzip_bomb_for_the_route_of_readings_delays_nobody(bridge: Bridge, gzipped: bytes) -> None:
    sent = head("POST", "/api/v1/readings", "gzip", f"Content-Length: {len(gzipped)}", "Connection: close")
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
        bombs = [tasks.create_task(ask(bridge, sent, gzipped)) for _ in range(6)]
        while not all(bomb.done() for bomb in bombs):
            began = time.thread_time()
            async with session.get(f"http://127.0.0.1:{bridge.port}/health/live") as answer:
                assert answer.status == 200
            assert time.thread_time() - began < LATE_SECONDS
    assert [bomb.result()[:13] for bomb in bombs] == [b"HTTP/1.1 413 "] * 6


# --- other compressed input ------------------------------------------------------------------------------------------


async def test_multipart_form_is_refused_whatever_the_encoding_of_its_parts(bridge: Bridge, deflated: bytes) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="command"\r\nContent-Encoding: deflate\r\n\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    url = f"http://127.0.0.1:{bridge.port}/send_command"
    body = part + deflated + b"\r\n--b--\r\n"
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
        assert answer.status == 415
        assert "application/x-www-form-urlencoded" in orjson.loads(await answer.read())["detail"]


@pytest.mark.parametrize(
    ("form", "status"),
    [(b"device_name=%ff&command=\xff", 400), (b"&".join([b"a=1"] * 100), 413), (b"a=" + b"1" * 70_000, 413), (b"", 422)],
)
async def test_bad_form_is_a_problem(bridge: Bridge, form: bytes, status: int) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=nonsense"}
    url = f"http://127.0.0.1:{bridge.port}/send_command"
    async with aiohttp.ClientSession() as session, session.post(url, data=form, headers=headers) as answer:
        assert answer.status == status


async def test_compressed_message_is_limited_by_its_decompressed_size(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    realtime = RealtimeSettings(compression=True)
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", realtime=realtime) as bridge:
        for path in ("/ws", "/api/v1/ws", "/ws/device", "/socket.io/?EIO=4&transport=websocket"):
            async with connect(f"ws://127.0.0.1:{bridge.port}{path}", compression="deflate") as socket:
                assert path == "/ws/device" or socket.protocol.extensions
                await socket.send("0" * 20_000_000)
                await asyncio.wait_for(socket.wait_closed(), LONG_SECONDS)
                assert socket.close_code == 1009, path
