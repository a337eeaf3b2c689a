"""Origins, cookies, subprotocols and query strings in the handshakes of live connections."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from websockets.asyncio.client import ClientConnection

from bridge.core.access.permissions import Role
from bridge.realtime.auth.expiry import UNAUTHORIZED
from bridge.settings import HttpSettings
from tests.access.stage import Stage, staged
from tests.access.tally import Tally
from tests.access.tokens import TokenAccess, device, person
from tests.access.ways import (
    SECRET_MARK,
    SESSION_COOKIE,
    SOCKET_IO,
    Attempt,
    Served,
    attempted,
    bearer,
    device_answer,
    ended,
    heard_pong,
    joined,
    opened,
    polled,
)

TOKEN = f"{SECRET_MARK}.admin"
DEVICE = f"{SECRET_MARK}.device"
FRIEND, STRANGER = "https://dashboard.example", "https://elsewhere.example"
COOKIE = {"Cookie": f"{SESSION_COOKIE}={TOKEN}"}


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    access = TokenAccess()
    access.give(TOKEN, person("eve", Role.ADMIN))
    access.give(DEVICE, device("a"))
    async with staged(access, http=HttpSettings(cors_origins=(FRIEND,))) as running:
        yield running


def opening(path: str, headers: dict[str, str]) -> Attempt:
    """A handshake with these headers, with `{host}` replaced by the address of the bridge."""

    async def attempt(bridge: Served, _: str | None) -> tuple[bool, int | None, str]:
        filled = {name: text.replace("{host}", f"127.0.0.1:{bridge.port}") for name, text in headers.items()}
        if path == "polling":
            return await polled(bridge, headers=filled)
        async with opened(bridge, path, headers=filled) as socket:
            return await asking(path)(socket)

    return attempt


def asking(path: str) -> Callable[[ClientConnection], Awaitable[tuple[bool, int | None, str]]]:
    if path.startswith("/socket.io/"):
        return joined
    return device_answer if path.startswith(("/ws/device", "/?")) or path == "/" else heard_pong


PATHS = {
    "Socket.IO": SOCKET_IO,
    "long-polling": "polling",
    "/ws": "/ws",
    "/api/v1/ws": "/api/v1/ws",
    "/api/v1/ws/secure": "/api/v1/ws/secure",
    "/ws/device": "/ws/device",
    "/": "/",
}
OWN = {"Origin": "http://{host}"}
FETCHED = {"Sec-Fetch-Site": "same-origin"}
ROWS: dict[str, tuple[dict[str, str], bool]] = {
    "a cookie from our own page": (COOKIE | OWN, True),
    "a cookie with no origin": (COOKIE, False),
    "a cookie from another origin": (COOKIE | {"Origin": STRANGER}, False),
    "a cookie from an origin that may connect": (COOKIE | {"Origin": FRIEND}, False),
    "a cookie from a page opened from a disk": (COOKIE | {"Origin": "file://"}, False),
    "a cookie from no origin to speak of": (COOKIE | {"Origin": "null"}, False),
    "a cookie with an empty origin": (COOKIE | {"Origin": ""}, False),
    "a cookie from an origin that cannot be read": (COOKIE | {"Origin": "http://["}, False),
    "a header from an origin that cannot be read": (bearer(TOKEN) | {"Origin": "http://["}, False),
    "a cookie from our host on another port": (COOKIE | {"Origin": "http://127.0.0.1:1"}, False),
    "a cookie from a name that begins with ours": (COOKIE | {"Origin": "http://{host}.elsewhere.example"}, False),
    "a cookie from our page as the browser says": (COOKIE | FETCHED, True),
    "a cookie from another site as the browser says": (COOKIE | {"Sec-Fetch-Site": "cross-site"}, False),
    "a cookie from the same site as the browser says": (COOKIE | {"Sec-Fetch-Site": "same-site"}, False),
    "a cookie from another origin that a header calls ours": (
        COOKIE | {"Origin": STRANGER, "X-Forwarded-Host": "elsewhere.example", "X-Forwarded-Proto": "https"},
        False,
    ),
    "a header from another origin that a header calls ours": (
        bearer(TOKEN) | {"Origin": STRANGER, "X-Forwarded-Host": "elsewhere.example", "X-Forwarded-Proto": "https"},
        False,
    ),
    "a header from another origin": (bearer(TOKEN) | {"Origin": STRANGER}, False),
    "a header from an origin that may connect": (bearer(TOKEN) | {"Origin": FRIEND}, True),
    "a header with no origin": (bearer(TOKEN), True),
    "a key": ({"X-API-Key": TOKEN}, True),
    "a key beside a token": ({"X-API-Key": TOKEN, "Authorization": f"Bearer {TOKEN}"}, False),
    "a header in other letters": ({"authorization": f"bEARER {TOKEN}"}, True),
    "a header of another scheme": ({"Authorization": f"Basic {TOKEN}"}, False),
    "a header of no scheme": ({"Authorization": TOKEN}, False),
    "a cookie of another name": ({"Cookie": f"session={TOKEN}"} | OWN, False),
    "a header that is wrong beside a cookie that is right": (COOKIE | OWN | bearer("wrong"), False),
}


@pytest.mark.parametrize("where", PATHS)
async def test_cookie_counts_for_own_pages_only(stage: Stage, where: str, tally: Tally) -> None:
    outcomes = {name: await attempted(opening(PATHS[where], headers), stage, None) for name, (headers, _) in ROWS.items()}
    expected = {name: may for name, (_, may) in ROWS.items()}
    expected["a cookie with no origin"] = where == "long-polling"  # it begins with a GET, which browsers send without Origin
    for name, verdict in outcomes.items():
        tally.note((where, name, verdict), may=expected[name], let_in=verdict.let_in)
    tally.check()
    assert all(verdict.let_in or verdict.code in (400, 403, UNAUTHORIZED) for verdict in outcomes.values())
    await stage.until_empty()


@pytest.mark.parametrize("where", PATHS)
async def test_forwarded_host_counts_from_a_trusted_proxy_only(where: str) -> None:
    access = TokenAccess()
    access.give(TOKEN, person("eve", Role.ADMIN))
    http = HttpSettings.model_validate({"trusted_proxies": ["127.0.0.1"]})
    called = {"X-Forwarded-Host": "air.example", "X-Forwarded-Proto": "https"}
    rows = {
        "by https": (COOKIE | called | {"Origin": "https://air.example"}, True),
        "by http, where it says https": (COOKIE | called | {"Origin": "http://air.example"}, False),
        "another": (COOKIE | called | {"Origin": STRANGER}, False),
    }
    async with staged(access, http=http) as stage:
        for name, (headers, may) in rows.items():
            assert (await attempted(opening(PATHS[where], headers), stage, None)).let_in == may, name


BEHIND_A_PROXY: dict[str, tuple[dict[str, str], bool]] = {
    "the port was dropped": ({"Host": "air.example", "Origin": "http://air.example:8080"}, True),
    "the port was dropped, in another case": ({"Host": "AIR.example", "Origin": "http://air.example:8080"}, True),
    "another name": ({"Host": "air.example", "Origin": "http://elsewhere.example:8080"}, False),
    "a name that begins so": ({"Host": "air.example", "Origin": "http://air.example.evil:8080"}, False),
    "a user that is called so": ({"Host": "air.example", "Origin": "http://air.example@evil:8080"}, False),
    "the port was kept": ({"Host": "air.example:8080", "Origin": "http://air.example:8080"}, True),
    "the port was kept, and is another": ({"Host": "air.example:8080", "Origin": "http://air.example:8081"}, False),
    "the usual port was added": ({"Host": "air.example:80", "Origin": "http://air.example"}, True),
    "the port is reported": ({"Host": "air.example", "Origin": "http://air.example:8080", "X-Forwarded-Port": "8080"}, True),
    "another port is reported": (
        {"Host": "air.example", "Origin": "http://air.example:8081", "X-Forwarded-Port": "8080"},
        False,
    ),
    "no port is reported": ({"Host": "air.example", "Origin": "http://air.example:8080", "X-Forwarded-Port": "x"}, True),
    "a host is reported": (
        {"Host": "inner", "Origin": "http://air.example:8080", "X-Forwarded-Host": "air.example:8080"},
        True,
    ),
    "another site as the browser says": (
        {"Host": "air.example", "Origin": "http://air.example:8080", "Sec-Fetch-Site": "same-site"},
        False,
    ),
    "by https, with the port dropped": (
        {"Host": "air.example", "Origin": "https://air.example:8443", "X-Forwarded-Proto": "https"},
        True,
    ),
    "by http, where it says https": (
        {"Host": "air.example", "Origin": "http://air.example:8443", "X-Forwarded-Proto": "https"},
        False,
    ),
}


@pytest.mark.parametrize("where", PATHS)
async def test_trusted_proxy_that_drops_the_port_lets_pages_of_its_host_in(where: str, tally: Tally) -> None:
    access = TokenAccess()
    access.give(TOKEN, person("eve", Role.ADMIN))
    http = HttpSettings.model_validate({"trusted_proxies": ["127.0.0.1"]})
    async with staged(access, http=http) as stage:
        for name, (headers, may) in BEHIND_A_PROXY.items():
            verdict = await attempted(opening(PATHS[where], COOKIE | headers), stage, None)
            tally.note((where, name, verdict), may=may, let_in=verdict.let_in)
    tally.check()


@pytest.mark.parametrize("where", PATHS)
async def test_without_a_trusted_proxy_only_the_browser_can_vouch_for_a_dropped_port(stage: Stage, where: str) -> None:
    dropped = COOKIE | {"Host": "127.0.0.1", "Origin": "http://127.0.0.1:8080"}
    assert (await attempted(opening(PATHS[where], dropped | FETCHED), stage, None)).let_in
    assert not (await attempted(opening(PATHS[where], dropped), stage, None)).let_in
    assert not (await attempted(opening(PATHS[where], dropped | {"Sec-Fetch-Site": "same-site"}), stage, None)).let_in


IN_ADDRESS = ["token={token}", "access_token={token}", "TOKEN={token}", "token=", "a=1&token={token}", "%74oken={token}"]


@pytest.mark.parametrize("where", [path for path in PATHS if path != "/api/v1/ws/secure"])
async def test_token_in_the_query_string_is_refused_even_beside_a_valid_header(
    stage: Stage, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("websockets").setLevel(logging.INFO)
    path = SOCKET_IO.replace("websocket", "polling") if where == "long-polling" else PATHS[where]
    for query in IN_ADDRESS:
        address = f"{path}{'&' if '?' in path else '?'}{query.format(token=TOKEN)}"
        for headers in ({}, bearer(TOKEN)):
            verdict = await attempted(opening(address, headers), stage, None)
            assert (verdict.let_in, verdict.code) in ((False, UNAUTHORIZED), (False, 400)), (address, verdict)
            assert TOKEN not in verdict.told
    assert TOKEN not in caplog.text


async def test_one_of_the_offered_subprotocols_is_accepted(stage: Stage) -> None:
    async with opened(stage, "/ws", offers=["sensor-bridge", f"bearer.{TOKEN}"]) as socket:
        assert socket.subprotocol == "sensor-bridge"
        assert await heard_pong(socket) == (True, None, "")
    async with opened(stage, "/ws", offers=[f"bearer.{TOKEN}", "mqtt"]) as socket:
        assert socket.subprotocol == f"bearer.{TOKEN}"
        assert await heard_pong(socket) == (True, None, "")


async def test_client_without_login_is_closed_after_the_login_time() -> None:
    async def silent(stage: Stage, path: str) -> float:
        began = asyncio.get_running_loop().time()
        async with opened(stage, path) as socket:
            await ended(socket)
        return asyncio.get_running_loop().time() - began

    async with staged(TokenAccess(), login_seconds=0.3) as stage:
        paths = (SOCKET_IO, "/ws", "/api/v1/ws", "/ws/device")
        lasted = await asyncio.gather(*(silent(stage, path) for path in paths))
        assert max(lasted) < 8.0, "other times to wait for a client are 10 s or more"
        await stage.until_empty()


async def test_two_authorization_headers_are_refused(stage: Stage) -> None:
    head = (
        "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {}\r\nAuthorization: Bearer {}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.port)
    writer.write(head.format("other", TOKEN).encode())
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    assert b"HTTP/1.1 400" in answer or UNAUTHORIZED.to_bytes(2, "big") in answer
