"""Requests that are not HTTP, to a running bridge."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from bridge.app import Bridge
from bridge.settings import HttpSettings
from tests.conftest import StartBridge

LONG_SECONDS = 10.0
REQUEST = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
GARBAGE = b"\0" * 500_000


@pytest.fixture
async def bridge(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> AsyncIterator[Bridge]:
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", http=HttpSettings(port=0)) as running:
        yield running


async def answered(bridge: Bridge, sent: bytes) -> bytes:
    """All that comes until the connection ends, or is reset because not all was read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", bridge.port)
    parts: list[bytes] = []
    try:
        writer.write(sent)
        async with asyncio.timeout(LONG_SECONDS):
            while part := await reader.read(1 << 20):
                parts.append(part)
    except ConnectionError:
        pass
    finally:
        writer.transport.abort()
    return b"".join(parts)


@pytest.mark.parametrize(
    "sent",
    [
        GARBAGE,
        REQUEST + GARBAGE,
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + GARBAGE,
        b"GET / HTTP/1.1\r\n" + b"a" * 100_000 + b": s3cr3t\r\n\r\n",
        b"POST /auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n" + GARBAGE,
        b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: s3cr3t\0\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=["no request line", "after a request", "header", "long header", "length", "secret", "no host"],
)
async def test_malformed_request_is_answered_by_a_problem_that_does_not_contain_it(bridge: Bridge, sent: bytes) -> None:
    answer = await answered(bridge, sent)
    assert len(answer) < 2000
    head, _, body = answer[answer.index(b" 400 ") :].partition(b"\r\n\r\n")
    assert b"Content-Type: application/problem+json\r\n" in head
    problem = orjson.loads(body)
    assert problem["status"] == 400
    assert problem["detail"].startswith("the request is not valid HTTP: ")
    assert not any(text in problem["detail"] for text in ("s3cr3t", "\\x00", "aaaa", "\\n"))


async def test_malformed_megabyte_costs_no_more_than_one_that_is_read(bridge: Bridge) -> None:
    body = b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 500000\r\n\r\n" + GARBAGE

    async def cpu_seconds(sent: bytes) -> float:
        """Of bridge and client, which share this thread. At once, as the bridge waits 2 s for more of what it has read."""
        began = time.thread_time()
        await asyncio.gather(*(answered(bridge, sent) for _ in range(5)))
        return time.thread_time() - began

    await cpu_seconds(body)
    assert await cpu_seconds(REQUEST + GARBAGE) < 2 * await cpu_seconds(body)
