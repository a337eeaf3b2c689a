"""Every way to send a token to a live protocol, as functions that return the outcome."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

import aiohttp
import orjson
import websockets
from websockets.asyncio.client import ClientConnection, connect

from tests.access.parts import own_tokens

WAIT_SECONDS = 15.0
SECRET_MARK = "s3cr3t"
COOKIE_ID = own_tokens().key_id[:8]
"""Of bridges with `access_settings`."""

SESSION_COOKIE = f"sb_session_{COOKIE_ID}"
"""Part of every token of these tests, so that logs can be searched for it."""


class Served(Protocol):
    """A server with a port."""

    @property
    def port(self) -> int: ...


@dataclass(frozen=True)
class Verdict:
    """The outcome of an attempt: whether it was accepted, or the code and reason of its refusal; and the seconds it took."""

    let_in: bool
    code: int | None
    told: str
    seconds: float


@asynccontextmanager
async def opened(
    bridge: Served, path: str, *, headers: dict[str, str] | None = None, offers: list[str] | None = None
) -> AsyncIterator[ClientConnection]:
    """A WebSocket with these headers and offered subprotocols. As in a browser, one of them must be accepted."""
    more = dict(headers or {})
    url = f"ws://{more.pop('Host', f'127.0.0.1:{bridge.port}')}{path}"
    options: Any = {"host": "127.0.0.1", "port": bridge.port, "subprotocols": offers}
    async with connect(url, additional_headers=more, compression=None, **options) as socket:
        assert (socket.subprotocol is None) == (offers is None)
        yield socket


async def received(socket: ClientConnection) -> str:
    async with asyncio.timeout(WAIT_SECONDS):
        text = await socket.recv()
    assert isinstance(text, str)
    return text


async def ended(socket: ClientConnection) -> tuple[int | None, str]:
    """Close code and reason, after reading every message."""
    try:
        while True:
            await received(socket)
    except websockets.ConnectionClosed as closed:
        return closing_of(closed)


def closing_of(closed: websockets.ConnectionClosed) -> tuple[int | None, str]:
    return (None, "") if closed.rcvd is None else (closed.rcvd.code, closed.rcvd.reason)


def bearer(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


# --- Socket.IO ----------------------------------------------------------------------------------------------------------------

SOCKET_IO = "/socket.io/?EIO=4&transport=websocket"


async def connect_packet(socket: ClientConnection, token: object = None) -> Any:
    """Send CONNECT; returns the type of the answer and its body."""
    assert (await received(socket)).startswith("0{")
    await socket.send("40" if token is None else "40" + orjson.dumps({"token": token}).decode())
    answer = await received(socket)
    assert answer[:2] in ("40", "44"), answer
    return answer[:2], orjson.loads(answer[2:])


async def joined(socket: ClientConnection, token: object = None) -> tuple[bool, int | None, str]:
    kind, body = await connect_packet(socket, token)
    if kind == "40":
        return True, None, ""
    assert (await ended(socket))[0] == 1008
    return False, body["data"]["code"], body["message"]


async def by_auth(bridge: Served, token: str | None) -> tuple[bool, int | None, str]:
    async with opened(bridge, SOCKET_IO) as socket:
        return await joined(socket, token)


async def by_header(bridge: Served, token: str | None) -> tuple[bool, int | None, str]:
    async with opened(bridge, SOCKET_IO, headers=bearer(token)) as socket:
        return await joined(socket)


async def by_cookie(bridge: Served, token: str | None) -> tuple[bool, int | None, str]:
    headers = {"Origin": f"http://127.0.0.1:{bridge.port}"}
    if token is not None:
        headers["Cookie"] = f"other=1; {SESSION_COOKIE}={token}"
    async with opened(bridge, SOCKET_IO, headers=headers) as socket:
        return await joined(socket)


async def polled(
    bridge: Served, *, headers: dict[str, str] | None = None, auth: str | None = None
) -> tuple[bool, int | None, str]:
    """Connect by long-polling; if refused, poll until the connection ends."""
    url = f"http://127.0.0.1:{bridge.port}/socket.io/?EIO=4&transport=polling"
    async with aiohttp.ClientSession(headers=headers, cookie_jar=aiohttp.DummyCookieJar()) as session:
        async with session.get(url) as answer:
            text = await answer.text()
            if answer.status != 200:
                return False, answer.status, text
        url += "&sid=" + orjson.loads(text[1:])["sid"]
        packet = "40" if auth is None else "40" + orjson.dumps({"token": auth}).decode()
        async with session.post(url, data=packet) as answer:
            if answer.status != 200:
                return False, answer.status, await answer.text()
        async with session.get(url) as answer:
            first = (await answer.text()).split("\x1e")[0]
        if first.startswith("40"):
            async with session.post(url, data="1"):  # it disconnects
                return True, None, ""
        body = orjson.loads(first[2:])
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                async with session.get(url) as answer:
                    if answer.status == 400 or "1" in (await answer.text()).split("\x1e"):
                        return False, body["data"]["code"], body["message"]
                    await asyncio.sleep(0.02)


async def by_polling_and_auth(bridge: Served, token: str | None) -> tuple[bool, int | None, str]:
    return await polled(bridge, auth=token)


async def by_polling_and_header(bridge: Served, token: str | None) -> tuple[bool, int | None, str]:
    return await polled(bridge, headers=bearer(token))


# --- plain ----------------------------------------------------------------------------------------------------------------


async def heard_pong(socket: ClientConnection) -> tuple[bool, int | None, str]:
    """Accepted if a ping is answered; other messages may come first."""
    try:
        await socket.send('{"type": "ping"}')
        while orjson.loads(await received(socket))["type"] != "pong":
            pass
    except websockets.ConnectionClosed as closed:
        return False, *(closing_of(closed))
    return True, None, ""


async def silently(socket: ClientConnection) -> tuple[bool, int | None, str]:
    """Send nothing."""
    return False, *(await ended(socket))


def plain_by_header(path: str) -> Attempt:
    async def attempt(bridge: Served, token: str | None) -> tuple[bool, int | None, str]:
        async with opened(bridge, path, headers=bearer(token)) as socket:
            return await (silently if token is None else heard_pong)(socket)

    return attempt


def plain_by_subprotocol(path: str) -> Attempt:
    async def attempt(bridge: Served, token: str | None) -> tuple[bool, int | None, str]:
        offers = ["sensor-bridge", *([] if token is None else [f"bearer.{token}"])]
        async with opened(bridge, path, offers=offers) as socket:
            assert socket.subprotocol == "sensor-bridge"
            return await (silently if token is None else heard_pong)(socket)

    return attempt


def plain_by_message(path: str) -> Attempt:
    async def attempt(bridge: Served, token: str | None) -> tuple[bool, int | None, str]:
        async with opened(bridge, path) as socket:
            if token is None:
                return await silently(socket)
            await socket.send(orjson.dumps({"type": "auth", "token": token}).decode())
            return await heard_pong(socket)

    return attempt


def plain_by_cookie(path: str) -> Attempt:
    async def attempt(bridge: Served, token: str | None) -> tuple[bool, int | None, str]:
        headers = {"Origin": f"http://127.0.0.1:{bridge.port}"}
        if token is not None:
            headers["Cookie"] = f"{SESSION_COOKIE}={token}"
        async with opened(bridge, path, headers=headers) as socket:
            return await (silently if token is None else heard_pong)(socket)

    return attempt


async def by_query(bridge: Served, token: str | None) -> tuple[bool, int | None, str]:
    shown = "" if token is None else f"&token={quote(token)}"
    async with opened(bridge, f"/api/v1/ws/secure?channel=general{shown}") as socket:
        return await (silently if token is None else heard_pong)(socket)


# --- devices --------------------------------------------------------------------------------------------------------------


async def device_answer(socket: ClientConnection) -> tuple[bool, int | None, str]:
    """Accepted if an unknown message is answered with an error."""
    try:
        await socket.send('{"type": "HELLO"}')
        while "AUTH_OK" in (text := await received(socket)):
            pass
    except websockets.ConnectionClosed as closed:
        return False, *(closing_of(closed))
    if "unknown type" in text or "an admin sends" in text:
        return True, None, ""
    return False, *(await ended(socket))


def device_by(first: Callable[[str], object] | None = None, *, path: str = "/ws/device") -> Attempt:
    """Log in by the first message, or by header without one."""

    async def attempt(bridge: Served, token: str | None) -> tuple[bool, int | None, str]:
        headers = bearer(token) if first is None else None
        async with opened(bridge, path, headers=headers) as socket:
            if token is None:
                return await silently(socket)
            if first is not None:
                await socket.send(orjson.dumps(first(token)).decode())
            return await device_answer(socket)

    return attempt


Attempt = Callable[[Served, str | None], Awaitable[tuple[bool, int | None, str]]]

LISTENING: dict[str, Attempt] = {
    "Socket.IO, auth": by_auth,
    "Socket.IO, header": by_header,
    "Socket.IO, cookie": by_cookie,
    "long-polling, auth": by_polling_and_auth,
    "long-polling, header": by_polling_and_header,
    "/ws, header": plain_by_header("/ws"),
    "/ws, subprotocol": plain_by_subprotocol("/ws"),
    "/ws, first message": plain_by_message("/ws"),
    "/ws, cookie": plain_by_cookie("/ws"),
    "/api/v1/ws, header": plain_by_header("/api/v1/ws"),
    "/api/v1/ws, subprotocol": plain_by_subprotocol("/api/v1/ws"),
    "/api/v1/ws, first message": plain_by_message("/api/v1/ws?channel=readings"),
    "/api/v1/ws/secure, query": by_query,
    "/api/v1/ws/secure, header": plain_by_header("/api/v1/ws/secure"),
    "/api/v1/ws/secure, subprotocol": plain_by_subprotocol("/api/v1/ws/secure"),
}
DEVICES: dict[str, Attempt] = {
    f"{path}, {name}": device_by(first, path=path)
    for path in ("/ws/device", "/")
    for name, first in {
        "header": None,
        "AUTH": lambda token: {"type": "AUTH", "payload": {"token": token}},
        "auth": lambda token: {"type": "auth", "token": token},
    }.items()
}


async def attempted(way: Attempt, bridge: Served, token: str | None) -> Verdict:
    """The verdict of an attempt. A handshake refused by HTTP has its status as code."""
    began = time.monotonic()
    try:
        outcome = await way(bridge, token)
    except websockets.InvalidStatus as error:
        outcome = False, error.response.status_code, (error.response.body or b"").decode()
    except (websockets.InvalidMessage, websockets.ConnectionClosed) as error:
        outcome = False, None, str(error)
    return Verdict(*outcome, time.monotonic() - began)
