"""Logins of every live protocol with every kind of credentials: none wrongly accepted, none wrongly refused."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import orjson
import pytest
from websockets.exceptions import InvalidStatus

from bridge.core.access.permissions import Permission, Role
from bridge.realtime.auth.expiry import FORBIDDEN, UNAUTHORIZED
from bridge.realtime.websocket.connection import UNAUTHENTICATED_LIMIT_BYTES
from bridge.settings import DevicesSettings, RealtimeSettings
from tests.access.stage import Stage, staged
from tests.access.tally import Tally
from tests.access.tokens import TokenAccess, device, person, program, scope
from tests.access.ways import DEVICES, LISTENING, SECRET_MARK, SOCKET_IO, attempted, bearer, ended, heard_pong, opened, received

SHORT_LOGIN_SECONDS, LONG_LOGIN_SECONDS = 0.3, 6.0
MARK = SECRET_MARK


@pytest.fixture
def access() -> TokenAccess:
    """Tokens of every kind, named after it."""
    access, now = TokenAccess(), time.time()
    access.give(f"{MARK}.viewer", person("ada"))
    access.give(f"{MARK}.operator", person("bob", Role.OPERATOR, scope("a")))
    access.give(f"{MARK}.admin", person("eve", Role.ADMIN, expires=now + 3600))
    access.give(f"{MARK}.nothing-in-scope", person("dan", scope=scope()))
    access.give(f"{MARK}.expired", person("ada", expires=now - 1))
    access.give(f"{MARK}.early", person("ada"), begins=now + 3600)
    access.give(f"{MARK}.revoked", person("ada"))
    access.revoke(f"{MARK}.revoked")
    access.give(f"{MARK}.device", device("a"))
    access.give(f"{MARK}.commander", program("tool", {Permission.COMMAND}))
    access.give(f"{MARK}.manager", program("tool", {Permission.MANAGE}))
    access.give(f"{MARK}.sender", program("feeder", {Permission.PUBLISH}))
    return access


DEVICE_SETTINGS = DevicesSettings.model_validate({"credentials": {"plain": f"{MARK}-of-plain"}, "open": True})


@pytest.fixture
async def stage(access: TokenAccess) -> AsyncIterator[Stage]:
    async with staged(access, login_seconds=LONG_LOGIN_SECONDS, devices=DEVICE_SETTINGS) as running:
        yield running


@pytest.fixture
async def impatient(access: TokenAccess) -> AsyncIterator[Stage]:
    """For clients that say nothing and are refused when the login time is over; others might be too slow for it."""
    async with staged(access, login_seconds=SHORT_LOGIN_SECONDS, devices=DEVICE_SETTINGS) as running:
        yield running


def is_silent(name: str, token: str | None) -> bool:
    """Socket.IO always sends a CONNECT."""
    return token is None and not name.startswith(("Socket.IO", "long-polling"))


NEVER = {
    "nothing": None,
    "empty": "",
    "no token": f"{MARK}-nobodys",
    "truncated": f"{MARK}.viewe",
    "longer": f"{MARK}.viewerr",
    "other case": f"{MARK}.VIEWER",
    "two at once": f"{MARK}.viewer+{MARK}.viewer",
    "a wildcard": "*",
    "an operator of MongoDB": "$ne",
    "long": MARK + "x" * 5000,
    "huge": MARK + "x" * 30_000,
    "enormous": MARK + "x" * 100_000,
    "expired": f"{MARK}.expired",
    "not valid yet": f"{MARK}.early",
    "revoked": f"{MARK}.revoked",
    "without a right here": f"{MARK}.manager",
}
"""Credentials that every path refuses."""

LISTENERS = {f"{MARK}.viewer", f"{MARK}.operator", f"{MARK}.admin", f"{MARK}.nothing-in-scope"}
SENDERS = {f"{MARK}.device", f"{MARK}.sender"}
COMMANDERS = {f"{MARK}.commander"}


def expected(name: str, token: str) -> bool:
    if token in COMMANDERS:
        return name.startswith(("Socket.IO", "long-polling"))
    return token in LISTENERS or (token in SENDERS and name in DEVICES)


@pytest.mark.parametrize("name", [*LISTENING, *DEVICES])
async def test_only_valid_credentials_with_permission_connect(
    stage: Stage, impatient: Stage, name: str, tally: Tally, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("websockets").setLevel(logging.INFO)  # the client's own log has what the client sends
    way = (LISTENING | DEVICES)[name]
    refused = (attempted(way, impatient if is_silent(name, token) else stage, token) for token in NEVER.values())
    for what, verdict in zip(NEVER, await asyncio.gather(*refused), strict=True):
        tally.note((name, what, verdict), may=False, let_in=verdict.let_in)
        assert verdict.seconds < LONG_LOGIN_SECONDS, f"{name}: {what} was refused after {verdict.seconds:.2f} s"
        assert MARK not in verdict.told or verdict.code == 400  # aiohttp repeats a header that is too long
    for token in sorted(LISTENERS | SENDERS | COMMANDERS):
        verdict = await attempted(way, stage, token)
        tally.note((name, token, verdict), may=expected(name, token), let_in=verdict.let_in)
        assert verdict.let_in or verdict.code == FORBIDDEN
    tally.check()
    await stage.until_empty()
    await impatient.until_empty()
    assert MARK not in caplog.text


CODES = {
    "nothing": UNAUTHORIZED,
    "no token": UNAUTHORIZED,
    "expired": UNAUTHORIZED,
    "revoked": UNAUTHORIZED,
    "without a right here": FORBIDDEN,
}


@pytest.mark.parametrize("name", [*LISTENING, *DEVICES])
async def test_close_code_tells_invalid_from_insufficient_credentials(stage: Stage, impatient: Stage, name: str) -> None:
    way = (LISTENING | DEVICES)[name]
    stages = {what: impatient if is_silent(name, NEVER[what]) else stage for what in CODES}
    verdicts = {what: await attempted(way, stages[what], NEVER[what]) for what in CODES}
    assert {what: verdict.code for what, verdict in verdicts.items()} == CODES


@pytest.mark.parametrize("name", [*LISTENING, *DEVICES])
async def test_clients_are_told_to_try_again_while_credentials_cannot_be_verified(
    stage: Stage, access: TokenAccess, name: str
) -> None:
    access.away = True
    verdict = await attempted((LISTENING | DEVICES)[name], stage, f"{MARK}.admin")
    assert (verdict.let_in, verdict.code) == (False, 1013)


KNOWN_BY_HANDSHAKE = [name for name in LISTENING if "auth" not in name and "message" not in name]


async def test_unauthenticated_connections_do_not_displace_authenticated_ones(access: TokenAccess) -> None:
    realtime = RealtimeSettings(max_clients=100, settle_seconds=0)
    async with staged(access, realtime=realtime, login_seconds=60) as stage, AsyncExitStack() as stack:
        inside = await stack.enter_async_context(opened(stage, "/ws", headers=bearer(f"{MARK}.viewer")))
        assert (await heard_pong(inside))[0]
        while not stage.limiter.is_full_for_unauthenticated("127.0.0.1"):
            await stack.enter_async_context(opened(stage, "/ws/device" if len(stage.limiter) % 2 else "/ws"))
        for token in (None, f"{MARK}-nobodys"):
            for path in ("/ws", "/ws/device", SOCKET_IO):
                with pytest.raises(InvalidStatus, match="503"):
                    await stack.enter_async_context(opened(stage, path, headers=bearer(token)))
        assert stage.limiter.refused == {"strangers": 6}
        for name in KNOWN_BY_HANDSHAKE:
            assert (await attempted(LISTENING[name], stage, f"{MARK}.admin")).let_in, name
        assert (await heard_pong(inside))[0]
    await stage.until_empty()


@pytest.mark.parametrize("path", ["/ws", "/api/v1/ws", "/ws/device"])
async def test_first_message_is_limited_to_the_size_of_a_token(access: TokenAccess, path: str) -> None:
    longest = access.give(f"{MARK}.".ljust(8192, "x"), person("ada"))
    async with staged(access) as stage:
        async with opened(stage, path) as socket:
            await socket.send("x" * (UNAUTHENTICATED_LIMIT_BYTES + 1))
            assert (await ended(socket))[0] == 1009
        async with opened(stage, path) as socket:
            shown = (
                {"type": "AUTH", "payload": {"token": longest}} if path == "/ws/device" else {"type": "auth", "token": longest}
            )
            await socket.send(orjson.dumps(shown).decode())
            await received(socket)
            await socket.send(orjson.dumps({"type": "ping", "more": "x" * 60_000}).decode())
            assert orjson.loads(await received(socket)), "it is answered"
        await stage.until_empty()
