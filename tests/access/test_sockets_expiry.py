"""Expiry, renewal and revocation of live connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiohttp
import orjson
import pytest
from websockets.asyncio.client import ClientConnection

from bridge.core.access.permissions import Identity, Role
from bridge.core.errors import Forbidden
from bridge.core.events import AuthExpiring
from bridge.core.timestamp import iso
from bridge.realtime.auth.expiry import (
    CHECK_SECONDS,
    EXPIRED,
    REVOKED,
    UNAUTHORIZED,
    WARNING_SECONDS,
    AuthenticatedConnection,
    AuthenticatedConnections,
)
from tests.access.stage import Stage, staged
from tests.access.test_sockets_scope import call
from tests.access.tokens import TokenAccess, device, person, scope
from tests.access.ways import SOCKET_IO, bearer, connect_packet, ended, opened, received
from tests.realtime.parts import Clock
from tests.servers import until

EXPIRED_SECONDS = REVOKED_SECONDS = 10.0
"""Of a machine that may stand still for seconds; that each is checked twice a second is shown with a given clock."""

LIFE_SECONDS = 3.0


@pytest.fixture
def access() -> TokenAccess:
    return TokenAccess()


@pytest.fixture
async def stage(access: TokenAccess) -> AsyncIterator[Stage]:
    async with staged(access) as running:
        yield running


# --- each protocol --------------------------------------------------------------------------------------------------

Entered = AbstractAsyncContextManager[ClientConnection]


@asynccontextmanager
async def socket_io(stage: Stage, token: str) -> AsyncIterator[ClientConnection]:
    async with opened(stage, SOCKET_IO) as socket:
        assert (await connect_packet(socket, token))[0] == "40"
        yield socket


@asynccontextmanager
async def by_message(stage: Stage, token: str, path: str) -> AsyncIterator[ClientConnection]:
    async with opened(stage, path) as socket:
        await socket.send(orjson.dumps({"type": "auth", "token": token}).decode())
        assert orjson.loads(await received(socket))["type"] == "auth_ok"
        yield socket


@asynccontextmanager
async def telemetry(stage: Stage, token: str) -> AsyncIterator[ClientConnection]:
    async with opened(stage, "/ws/device") as socket:
        await socket.send(orjson.dumps({"type": "AUTH", "payload": {"token": token}}).decode())
        assert orjson.loads(await received(socket)) == {"type": "AUTH_OK"}
        yield socket


@asynccontextmanager
async def as_device(stage: Stage, token: str) -> AsyncIterator[ClientConnection]:
    async with opened(stage, "/ws/device", headers=bearer(token)) as socket:
        yield socket


PROTOCOLS: dict[str, Callable[[Stage, str], Entered]] = {
    "Socket.IO": socket_io,
    "/ws": lambda stage, token: by_message(stage, token, "/ws"),
    "/api/v1/ws": lambda stage, token: by_message(stage, token, "/api/v1/ws"),
    "/api/v1/ws/secure": lambda stage, token: opened(stage, f"/api/v1/ws/secure?token={token}"),
    "/ws/device, listening": telemetry,
    "/ws/device, a device": as_device,
}


def identity_for(protocol: str, name: str = "ada", expires: float | None = None) -> Identity:
    if protocol == "/ws/device, a device":
        return Identity(
            **{slot: getattr(device(name), slot) for slot in ("kind", "name", "permissions", "scope")}, expires=expires
        )
    return person(name, Role.ADMIN, expires=expires)


def body_of(text: str) -> Any:
    """Name and content of a message in any protocol."""
    if text.startswith("42"):
        return orjson.loads(text[2:])
    message = orjson.loads(text)
    return [message["type"], message.get("payload", message)]


async def warning(socket: ClientConnection) -> Any:
    while True:
        text = await received(socket)
        if text[0] in "{4" and "xpiring" in text.lower():
            return body_of(text)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_expiring_connection_is_warned_and_then_closed(stage: Stage, access: TokenAccess, protocol: str) -> None:
    expires = time.time() + LIFE_SECONDS
    access.give("token", identity_for(protocol, expires=expires))
    async with PROTOCOLS[protocol](stage, "token") as socket:
        name, content = await warning(socket)
        assert name in ("authExpiring", "auth_expiring", "AUTH_EXPIRING")
        assert content["expires"] == iso(round(expires * 1000))
        assert 0 <= content["seconds"] <= WARNING_SECONDS
        assert (await ended(socket)) == (UNAUTHORIZED, EXPIRED)
        assert 0 <= time.time() - expires < EXPIRED_SECONDS
    await stage.until_empty()


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_revoked_connection_is_closed(stage: Stage, access: TokenAccess, protocol: str) -> None:
    access.give("token", identity_for(protocol))
    async with PROTOCOLS[protocol](stage, "token") as socket:
        await stage.say("ada")
        access.revoke("token")
        began = time.monotonic()
        assert (await ended(socket)) == (UNAUTHORIZED, REVOKED)
        assert time.monotonic() - began < REVOKED_SECONDS
    await stage.until_empty()


async def test_revoked_client_that_does_not_read_is_closed(stage: Stage, access: TokenAccess) -> None:
    access.give("token", person("ada"))
    async with socket_io(stage, "token") as socket:
        socket.transport.pause_reading()
        for _ in range(60):
            await stage.say(*("abcdefghij" * 10))
        access.revoke("token")
        began = time.monotonic()
        await stage.until_empty()
        assert time.monotonic() - began < REVOKED_SECONDS


async def test_revoked_long_polling_client_is_closed_and_cannot_rejoin(stage: Stage, access: TokenAccess) -> None:
    access.give("token", person("ada"))
    url = f"http://127.0.0.1:{stage.port}/socket.io/?EIO=4&transport=polling"
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as answer:
            url += "&sid=" + orjson.loads((await answer.text())[1:])["sid"]
        async with session.post(url, data='40{"token":"token"}') as answer:
            assert answer.status == 200
        async with session.get(url) as answer:
            assert (await answer.text()).startswith("40")
        access.revoke("token")
        began = time.monotonic()
        await stage.until_empty()
        assert time.monotonic() - began < REVOKED_SECONDS
        async with session.post(url, data='40{"token":"token"}') as answer:
            assert answer.status == 400


async def renewed(protocol: str, socket: ClientConnection, token: str) -> tuple[bool, Any]:
    """Whether a renewal was accepted, and the answer."""
    if protocol == "Socket.IO":
        answer, _ = await call(socket, "refresh", {"token": token})
        return answer["ok"], answer.get("expires", answer.get("error"))
    upper = protocol == "/ws/device, listening"
    message = {"type": "AUTH", "payload": {"token": token}} if upper else {"type": "auth", "token": token}
    await socket.send(orjson.dumps(message).decode())
    while True:
        answer = orjson.loads(await received(socket))
        content = answer.get("payload", answer)
        if "error" in content:
            return False, content["error"]
        if answer.get("type") in ("auth_ok", "AUTH_OK"):
            return True, content["expires"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_renewed_connection_stays_open(stage: Stage, access: TokenAccess, protocol: str) -> None:
    soon, later = time.time() + 2 * LIFE_SECONDS, time.time() + 3600
    access.give("old", identity_for(protocol, expires=soon))
    access.give("new", identity_for(protocol, expires=later))
    async with PROTOCOLS[protocol](stage, "old") as socket:
        await warning(socket)
        assert await renewed(protocol, socket, "new") == (True, iso(round(later * 1000)))
        await asyncio.sleep(
            max(0.0, soon - time.time()) + 2 * CHECK_SECONDS
        )  # there is no condition to wait for: it stays open
        assert await renewed(protocol, socket, "new") == (True, iso(round(later * 1000)))
        access.revoke("new")
        assert await ended(socket) == (UNAUTHORIZED, REVOKED)
    await stage.until_empty()


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_renewal_needs_valid_credentials_of_the_same_identity(stage: Stage, access: TokenAccess, protocol: str) -> None:
    access.give("own", identity_for(protocol))
    access.give("another", identity_for(protocol, "eve"))
    access.give("old", identity_for(protocol, expires=time.time() - 1))
    access.tokens["own, other kind"] = identity_for("/ws" if "a device" in protocol else "/ws/device, a device")
    access.begins["own, other kind"] = 0.0
    async with PROTOCOLS[protocol](stage, "own") as socket:
        answers = {token: await renewed(protocol, socket, token) for token in ("another", "old", "own, other kind", "none", "")}
        assert [taken for taken, _ in answers.values()] == [False] * 5
        assert "another identity" in answers["another"][1]
        assert await renewed(protocol, socket, "own") == (True, None)
        (stay,) = stage.authenticated._connections
        assert stay.identity.name == "ada"


@pytest.mark.parametrize("protocol", ["Socket.IO", "/ws", "/ws/device, listening"])
async def test_renewal_with_a_smaller_scope_limits_the_connection(stage: Stage, access: TokenAccess, protocol: str) -> None:
    access.give("wide", person("ada"))
    access.give("narrow", person("ada", scope=scope("a")))
    async with PROTOCOLS[protocol](stage, "wide") as socket:
        await stage.until_live()
        assert (await renewed(protocol, socket, "narrow"))[0]
        await stage.say("b", "a")
        while '"a"' not in (text := await received(socket)):
            assert '"b"' not in text
        assert (await renewed(protocol, socket, "wide"))[0]
        await stage.say("b")
        while '"b"' not in await received(socket):
            pass


async def test_client_that_rejoins_is_authenticated_again(stage: Stage, access: TokenAccess) -> None:
    access.give("token", person("ada"))
    async with opened(stage, SOCKET_IO, headers=bearer("token")) as socket:
        assert (await connect_packet(socket))[0] == "40"
        await socket.send("41")
        await socket.send("40")
        while not (text := await received(socket)).startswith("40"):
            assert not text.startswith("44")
        await socket.send("41")
        await until(lambda: not len(stage.authenticated), what="left")  # a revocation cuts those who have not
        access.revoke("token")
        await socket.send("40")
        while not (text := await received(socket)).startswith("44"):
            assert not text.startswith("40")
    async with opened(stage, SOCKET_IO) as socket:
        access.give("other", person("bob"))
        assert (await connect_packet(socket, "other"))[0] == "40"
        await socket.send("41")
        await socket.send("40")
        while not (text := await received(socket)).startswith("44"):
            assert not text.startswith("40"), "what was shown by auth is shown anew each time"
    await stage.until_empty()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ('42["connect",{},{"token":"admin"}]', "malformed"),
        ('42["refresh",{"token":"admin"}]', "order"),
        ('42["subscribe",{"since":0}]', "order"),
    ],
)
async def test_messages_before_the_login_are_refused(stage: Stage, access: TokenAccess, said: str, reason: str) -> None:
    access.give("admin", person("eve", Role.ADMIN))
    async with opened(stage, SOCKET_IO) as socket:
        assert (await received(socket)).startswith("0{")
        await socket.send(said)
        assert await ended(socket) == (1008, reason)
    assert access.asked == 0


@pytest.mark.parametrize(
    ("said", "reason"),
    [('42["connect",{"token":"admin"}]', "malformed"), ('42["disconnect","x"]', "malformed"), ('40{"token":"admin"}', "order")],
)
async def test_connection_keeps_its_identity(stage: Stage, access: TokenAccess, said: str, reason: str) -> None:
    access.give("token", person("ada", scope=scope("a")))
    access.give("admin", person("eve", Role.ADMIN))
    async with socket_io(stage, "token") as socket:
        await socket.send(said)
        assert await ended(socket) == (1008, reason)
    assert access.asked == 1
    await stage.until_empty()


async def test_client_that_disconnects_during_authentication_leaves_nothing_behind() -> None:
    class Slow(TokenAccess):
        def __init__(self) -> None:
            super().__init__()
            self.reached, self.go_on = asyncio.Event(), asyncio.Event()

        async def identify(self, shown: str | None, address: str, *, in_cookie: bool = False) -> Identity:
            self.reached.set()
            await self.go_on.wait()
            return await super().identify(shown, address, in_cookie=in_cookie)

    for path, first in (
        (SOCKET_IO, '40{"token":"t"}'),
        ("/ws", '{"type":"auth","token":"t"}'),
        ("/ws/device", '{"type":"auth","token":"t"}'),
    ):
        slow = Slow()
        slow.give("t", person("ada"))
        async with staged(slow) as stage:
            async with opened(stage, path) as socket:
                await socket.send(first)
                await slow.reached.wait()
                socket.transport.abort()
            slow.go_on.set()
            await stage.until_empty()


# --- the one who looks ----------------------------------------------------------------------------------------------------


class Watched:
    """A connection that records its warnings and its end."""

    def __init__(self, identity: Identity) -> None:
        self.told: list[int] = []
        self.ends: list[str] = []
        self.connection = AuthenticatedConnection(identity, "127.0.0.1", self._warn, self.ends.append)

    def _warn(self, event: AuthExpiring) -> None:
        self.told.append(event.seconds)


async def test_expiry_is_announced_once_and_again_after_a_renewal() -> None:
    clock = Clock()
    authenticated = AuthenticatedConnections(TokenAccess(clock), clock=clock, monotonic=clock)
    watched = Watched(person("ada", expires=clock.now + 100))
    authenticated.add(watched.connection)
    for seconds, told in ((39, []), (1, [60]), (30, [60])):
        clock.now += seconds
        await authenticated.tick()
        assert watched.told == told
    with pytest.raises(Forbidden):
        authenticated.renew(watched.connection, person("eve"))
    authenticated.renew(watched.connection, person("ada", expires=clock.now + 50))
    clock.now += 1
    await authenticated.tick()
    assert watched.told == [60, 49]
    clock.now += 49
    await authenticated.tick()
    assert (watched.ends, len(authenticated)) == ([EXPIRED], 0)


async def test_credentials_that_never_expire_are_checked_for_revocation() -> None:
    clock, access = Clock(), TokenAccess()
    authenticated = AuthenticatedConnections(access, clock=clock, monotonic=clock)
    access.give("token", person("ada"))
    watched = Watched(access.tokens["token"])
    authenticated.add(watched.connection)
    clock.now += 1e6
    await authenticated.tick()
    assert watched.ends == []
    access.revoke("token")
    await authenticated.tick()
    assert watched.ends == [], "not at each tick"
    clock.now += CHECK_SECONDS
    await authenticated.tick()
    assert (watched.ends, len(authenticated)) == ([REVOKED], 0)
    authenticated.remove(watched.connection)
