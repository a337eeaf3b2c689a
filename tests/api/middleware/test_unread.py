"""Bodies that nobody reads, on a running bridge: the client reads its answer, and is disconnected soon."""

from __future__ import annotations

import asyncio

import pytest

from bridge.app import Bridge
from tests.api.middleware.test_encodings import LONG_SECONDS, bridge, connected

__all__ = ["bridge"]

_MEGABYTE = b"[" * (1 << 20)
_ENDLESS = f"Content-Length: {1 << 40}"
_CHUNKED = "Transfer-Encoding: chunked"
_JSON = "Content-Type: application/json"


@pytest.mark.parametrize(
    ("request_line", "headers", "status", "reason"),
    [
        ("POST /api/v1/devices", [_ENDLESS, "Content-Encoding: deflate"], 415, "encoding"),
        ("POST /api/v1/devices", [_ENDLESS, _JSON], 413, "unread"),
        ("POST /api/v1/readings", [_ENDLESS, _JSON], 413, "unread"),
        ("POST /auth/login", [_ENDLESS, _JSON], 413, "unread"),
        ("PUT /nowhere", [_ENDLESS], 404, "unread"),
        ("PUT /nowhere", [_CHUNKED], 404, "unread"),
        ("DELETE /health/live", [_CHUNKED], 405, "unread"),
        ("GET /health/live", [_ENDLESS], 200, "unread"),
    ],
)
async def test_client_that_goes_on_sending_reads_its_answer_and_is_disconnected_soon(
    bridge: Bridge, request_line: str, headers: list[str], status: int, reason: str
) -> None:
    part = b"%x\r\n%b\r\n" % (len(_MEGABYTE), _MEGABYTE) if _CHUNKED in headers else _MEGABYTE
    async with connected(bridge) as (reader, writer):
        writer.write("\r\n".join([f"{request_line} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode())
        await writer.drain()
        sending = asyncio.create_task(_send_for_ever(writer, part))
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), LONG_SECONDS)
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert b"connection: close" in answer.lower()
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(sending, LONG_SECONDS)
    assert sending.done()
    assert f'reason="{reason}"' in await _metrics(bridge)


async def _send_for_ever(writer: asyncio.StreamWriter, part: bytes) -> None:
    for _ in range(1000):
        writer.write(part)
        await writer.drain()
    raise AssertionError("1 GB is read")


async def _metrics(bridge: Bridge) -> str:
    async with connected(bridge) as (reader, writer):
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return (await asyncio.wait_for(reader.read(), LONG_SECONDS)).decode()


async def test_short_unread_body_keeps_the_connection(bridge: Bridge) -> None:
    async with connected(bridge) as (reader, writer):
        for _ in range(2):
            writer.write(b"PUT /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n")
            await writer.drain()
            assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), LONG_SECONDS)).startswith(b"HTTP/1.1 404 ")
            writer.write(b"x" * 60000)
            length = (await asyncio.wait_for(reader.readuntil(b"}"), LONG_SECONDS)).decode()
            assert '"status":404' in length
