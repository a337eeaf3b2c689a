"""The behaviours that the public test suites of the Engine.IO and Socket.IO protocols check: on Node's servers, and on ours."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests.foreign.clients import SECONDS
from tests.foreign.echo import EchoServer
from tests.foreign.test_conformance import reference, seen

REFERENCE: dict[str, Any] = {"pingInterval": 300, "pingTimeout": 200, "connectTimeout": 2000, "maxHttpBufferSize": 1_000_000}


def echo() -> EchoServer:
    return EchoServer(ping_interval=0.3, ping_timeout=0.2, join_seconds=2, limit_bytes=1_000_000)


async def test_engine_io_and_socket_io_behave_as_the_public_test_suites_ask() -> None:
    async with reference("reference-echo.mjs", REFERENCE) as url:
        theirs = await seen(url, "protocol.mjs")
    async with echo().serving() as url:
        ours = await seen(url, "protocol.mjs")
    assert theirs.keys() == ours.keys()
    assert [one for one in theirs.values() if not one["ok"]] == [], "Node's own servers are as the program says"
    failed = {
        name: f"\n  the bridge: {one['saw']}\n  Socket.IO: {theirs[name]['saw']}" for name, one in ours.items() if not one["ok"]
    }
    assert not failed, "".join(f"\n{name}{saw}" for name, saw in failed.items())


@pytest.mark.parametrize("path", ["engine.io", "socket.io"])
async def test_close_packet_closes_the_websocket(path: str) -> None:
    """As the test suites ask; Node's own server waits for the client's close."""
    async with echo().serving() as url, connect(f"ws{url[4:]}/{path}/?EIO=4&transport=websocket") as socket:
        assert str(await socket.recv()).startswith("0")
        await socket.send("1")
        await asyncio.wait_for(socket.wait_closed(), SECONDS)
