"""Shared links: what they show, and what they do not, by every route and every live connection."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from websockets.asyncio.client import ClientConnection

from bridge.access.revocations import Revocations
from bridge.access.shared_links import SharedLinks
from bridge.api.describe import Auth, operation_of
from bridge.api.middleware.auth import SOCKETS
from bridge.core.access.permissions import ResourceScope
from bridge.core.errors import AccountError, Unauthorized
from bridge.settings import HttpSettings
from tests.access.leaks import LEAKS
from tests.access.parts import PASSWORD, Guarded, at_once, guarded
from tests.access.test_lockout import minutes_from_the_third
from tests.access.ways import LISTENING, SESSION_COOKIE, SOCKET_IO, attempted, connect_packet, ended, opened, received
from tests.conftest import StartBridge
from tests.fakes import MemoryStore
from tests.servers import until

LINKS = "/api/v1/links"
NEW = {"title": "Hall", "view": "#/device/hall?range=24h", "devices": ["hall"]}
OTHERS = ("stove", "fridge", "cellar", "Kitchen", "operator", "viewer", "gateway")
"""Devices, a site, people and programs that the link of the hall must not tell of."""
SHOWN = {
    "/api/v1/readings", "/api/v1/readings/latest", "/api/v1/measurements", "/api/v1/assessments", "/api/v1/standards",
    "/api/v1/predictions",
    "/ws/latest", "/api/v1/devices", "/api/v1/devices/{id}", "/api/v1/sensors", "/api/v1/sensors/{id}", "/auth/me",
}  # fmt: skip
HEARING = ("/ws", "/api/v1/ws", "/api/v1/ws/secure", "/api/v1/ws?channel=readings")
SILENT = ("/ws/device", *(f"/api/v1/ws?channel={name}" for name in ("sensors", "locations", "anomalies", "predictions")))
UNGUARDED = {"/health", "/health/ready", "/auth/logout", "/auth/csrf", "/logout"}


@pytest.fixture
async def made(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> AsyncIterator[Guarded]:
    async with guarded(start_bridge, broker_url, f"sqlite:///{tmp_path}/bridge.db", trusted_proxies=["127.0.0.1"]) as made:
        yield made


async def shared(made: Guarded, **more: object) -> tuple[str, str]:
    """Create a link; returns its id and its token."""
    status, found = await made.as_("admin", "POST", LINKS, NEW | more)
    assert status == 201, found
    LEAKS.hide(found["token"])
    return found["id"], found["token"]


async def exchanged(made: Guarded, token: object, address: str = "198.51.100.1") -> tuple[int, Any]:
    status, found, headers = await made.ask("POST", "/auth/link", {"X-Forwarded-For": address}, {"token": token})
    assert status != 200 or headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in headers
    return status, found


async def visitor(made: Guarded, token: str, name: str = "visitor") -> dict[str, Any]:
    """Exchange a link's token; afterwards `name` may be used as that of a user."""
    status, found = await exchanged(made, token)
    assert status == 200, found
    made.tokens[name] = found["access_token"]
    return dict(found)


async def test_link_shows_its_devices_and_nothing_else_by_any_route(made: Guarded) -> None:
    _, token = await shared(made)
    found = await visitor(made, token)
    assert (found["title"], found["view"], 3598 <= found["expires_in"] <= 3600) == ("Hall", NEW["view"], True)
    status, me = await made.as_("visitor", "GET", "/auth/me")
    assert (me["kind"], me["rights"], me["scope"]) == ("link", ["see"], {"devices": ["hall"], "sites": []})
    _, page = await made.as_("visitor", "GET", "/api/v1/readings?since=0")
    assert [one["deviceId"] for one in page["readings"]] == ["hall"]
    _, page = await made.as_("visitor", "GET", "/api/v1/readings?device=hall&from=2025-12-01&to=2026-01-31&every=1h")
    assert [one["deviceId"] for one in page["readings"]] == ["hall"]

    allowed, wrong = set(), []
    for route in made.bridge.application.router.routes():
        resource = "" if route.resource is None else route.resource.canonical
        told = operation_of(route.handler)
        if (
            told is None
            or resource in SOCKETS
            or told.permission is Auth.NONE
            or resource in UNGUARDED
            or route.method == "HEAD"
        ):
            continue
        for device in ("hall", "stove"):
            path = re.sub(r"\{[^}]+\}", device, resource)
            query = "" if resource != path or device == "hall" else f"?device={device}"
            sent: object = None if route.method == "GET" else {}
            status, body, _ = await made.ask(route.method, path + query, made.showing("visitor"), sent)
            text = (body if isinstance(body, bytes) else orjson.dumps(body)).decode()
            if status < 400:
                allowed.add(resource)
            if status < 400 and (route.method != "GET" or any(name in text for name in OTHERS)):
                wrong.append((route.method, path + query, status, text[:300]))
            if status not in (200, 400, 403, 404, 503):
                wrong.append((route.method, path + query, status, text[:300]))
    assert wrong == []
    assert allowed <= SHOWN
    assert {"/api/v1/readings", "/api/v1/devices", "/api/v1/assessments"} <= allowed
    for query in ("device=stove", "device=hall&device=stove", "site=Kitchen"):
        status, body = await made.as_("visitor", "GET", f"/api/v1/readings?since=0&{query}")
        assert status in (400, 403, 404) or {one["deviceId"] for one in body["readings"]} <= {"hall"}
    _, health = await made.as_("visitor", "GET", "/health/ready")
    assert "mqtt" not in orjson.dumps(health).decode()


async def test_only_admins_make_and_revoke_links_and_both_is_audited(made: Guarded) -> None:
    link_id, token = await shared(made, days=365)
    await visitor(made, token)
    for who in ("visitor", "viewer", "operator", "kitchen", "see", "manage"):
        assert (await made.as_(who, "GET", LINKS))[0] == 403
        assert (await made.as_(who, "POST", LINKS, NEW))[0] == 403
        assert (await made.as_(who, "DELETE", f"{LINKS}/{link_id}"))[0] == 403
    _, page = await made.as_("admin", "GET", LINKS)
    (listed,) = page["links"]
    assert (listed["id"], listed["title"], listed["by"], "secret" in listed, "token" in listed) == (
        link_id, "Hall", "person:admin", False, False,
    )  # fmt: skip
    mistakes: list[dict[str, object]] = [
        {"days": 0}, {"days": 366}, {"days": "soon"}, {"title": ""}, {"title": "a\nb"}, {"title": "x" * 101},
        {"view": "https://elsewhere.example/"}, {"view": "#/?link=sbl_1"}, {"view": "#/" + "x" * 1000}, {"devices": []},
        {"devices": ["a/#"]}, {"devices": [f"d{number}" for number in range(33)]}, {"rights": ["administer"]}, {"scope": None},
    ]  # fmt: skip
    for bad in mistakes:
        status, problem = await made.as_("admin", "POST", LINKS, NEW | bad)
        assert status in (400, 422), (bad, problem)
    assert (await made.as_("admin", "DELETE", f"{LINKS}/{link_id}"))[0] == 204
    assert (await made.as_("admin", "DELETE", f"{LINKS}/{link_id}"))[0] == 404
    async with asyncio.timeout(30):
        while True:
            _, audit = await made.as_("admin", "GET", f"/api/v1/audit?about={link_id}")
            if len(audit["acts"]) == 2:
                break
            await asyncio.sleep(0.1)
    assert [(one["act"], one["by"]) for one in audit["acts"]] == [("link removed", "admin"), ("link added", "admin")]


async def test_revoked_link_opens_nothing_and_ends_what_it_opened(made: Guarded) -> None:
    link_id, token = await shared(made)
    await visitor(made, token)
    other = (await shared(made))[1]
    await visitor(made, other, "other visitor")
    showing = made.showing("visitor")
    async with (
        opened(made.bridge, SOCKET_IO) as socket_io,
        opened(made.bridge, "/ws", headers=showing) as topics,
        opened(made.bridge, "/api/v1/ws?channel=readings", headers=showing) as channel,
        opened(made.bridge, "/ws", headers=made.showing("other visitor")) as others,
    ):
        assert (await connect_packet(socket_io, made.tokens["visitor"]))[0] == "40"
        assert (await made.as_("admin", "DELETE", f"{LINKS}/{link_id}"))[0] == 204
        for socket in (topics, channel):
            assert (await ended(socket))[0] == 4401
        assert (await ended(socket_io))[0] is not None
        await others.send('{"type": "ping"}')
        assert "pong" in await received(others)
    assert (await made.as_("visitor", "GET", "/api/v1/readings"))[0] == 401
    assert (await exchanged(made, token))[0] == 401
    assert not (await attempted(LISTENING["Socket.IO, auth"], made.bridge, made.tokens["visitor"])).let_in


async def test_token_of_an_expired_link_ends_with_it(made: Guarded) -> None:
    _, token = await shared(made, days=4.5 / 86_400)
    assert (await visitor(made, token))["expires_in"] <= 5
    async with opened(made.bridge, "/ws", headers=made.showing("visitor")) as socket:
        assert (await ended(socket))[0] == 4401
    async with asyncio.timeout(30):
        while (await exchanged(made, token))[0] == 200:  # tokens end at a whole second
            await asyncio.sleep(0.1)
    status, problem = await exchanged(made, token)
    assert (status, problem["code"]) == (401, "expired")
    assert (await made.as_("visitor", "GET", "/api/v1/readings"))[0] == 401
    _, page = await made.as_("admin", "GET", LINKS)
    assert len(page["links"]) == 1


async def test_guesses_are_refused_and_slowed_down_but_logins_are_not(made: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.access.lockout.delay_seconds", minutes_from_the_third)
    link_id, token = await shared(made)
    head, secret = token[:21], token[21:]
    bad: list[object] = [
        "", "sbl_", head, token[:-1], token + "A", head + "A" * 43, f"sbl_{'0' * 16}_{secret}", token.upper(), f" {token}",
        None, 1,
        {"$ne": ""}, [token], "x" * 200, made.tokens["admin"], made.keys["see"],
    ]  # fmt: skip
    for number, guess in enumerate(bad):
        status, _ = await exchanged(made, guess, f"203.0.113.{number}")
        assert status in (400, 401), guess
    statuses = [(await exchanged(made, head + "A" * 43, "192.0.2.7"))[0] for _ in range(5)]
    assert statuses == [401, 401, 401, 429, 429]
    assert (await exchanged(made, token, "192.0.2.8"))[0] == 200
    status, _, _ = await made.ask(
        "POST", "/auth/login", {"X-Forwarded-For": "192.0.2.7"}, {"username": "viewer", "password": "wrong"}
    )
    assert status == 401
    # The link's own token is no credential.
    for headers in ({"Authorization": f"Bearer {token}"}, {"X-API-Key": token}, {"Cookie": f"{SESSION_COOKIE}={token}"}):
        assert (await made.ask("GET", "/api/v1/readings", headers))[0] == 401
    assert (await made.ask("POST", "/auth/refresh", body={"refresh_token": token}))[0] == 401
    assert (await made.ask("POST", "/auth/link", {"Content-Type": "text/plain"}, token.encode()))[0] == 415
    assert link_id in head


async def test_live_connections_of_a_link_tell_of_its_devices_only(made: Guarded) -> None:
    _, token = await shared(made)
    await visitor(made, token)
    async with AsyncExitStack() as stack:
        socket_io = await stack.enter_async_context(opened(made.bridge, SOCKET_IO))
        assert (await connect_packet(socket_io, made.tokens["visitor"]))[0] == "40"
        for request in (
            ["subscribe", {"devices": ["stove"], "since": 0}],
            ["sendCommand", {"device": "hall", "command": "on"}],
            ["alertAcknowledge", {"id": "x"}],
        ):
            await socket_io.send("421" + orjson.dumps(request).decode())
            while not (answer := await received(socket_io)).startswith("431"):
                assert not any(name in answer for name in OTHERS)
            assert '"ok":false' in answer.replace(" ", "")
        await socket_io.send('422["subscribe",{"since":0}]')
        hearing: list[ClientConnection] = [socket_io]
        silent: list[ClientConnection] = []
        for path in (*HEARING, *SILENT):
            socket = await stack.enter_async_context(opened(made.bridge, path, headers=made.showing("visitor")))
            (hearing if path in HEARING else silent).append(socket)
        await send_everywhere(made, 21)
        async with asyncio.timeout(30):
            while '"hall"' not in orjson.dumps((await made.as_("admin", "GET", "/api/v1/alarms"))[1]).decode():
                await asyncio.sleep(0.1)
        await send_everywhere(made, 22)
        await at_once(*(hears_the_hall_only(socket, "22") for socket in hearing))
        await at_once(*(hears_the_hall_only(socket, None) for socket in silent))


async def send_everywhere(made: Guarded, temperature: int) -> None:
    """Send a reading of each device that raises an alarm, that of the hall last."""
    for device in ("stove", "fridge", "cellar", "hall"):
        body = {"deviceId": device, "temperature": temperature, "coPpm": 900}
        assert (await made.as_("send", "POST", "/api/v1/readings", body))[0] == 201


async def hears_the_hall_only(socket: ClientConnection, last: str | None) -> None:
    """Read until a reading of the hall with this value; without one, what has arrived."""
    try:
        async with asyncio.timeout(0.5 if last is None else 30):
            while True:
                text = await socket.recv()
                assert isinstance(text, str)
                if text == "2":
                    await socket.send("3")
                assert not any(name in text for name in OTHERS), text
                assert "alarm" not in text.lower(), text
                if last is not None and '"hall"' in text and last in text:
                    return
    except TimeoutError:
        assert last is None


async def test_links_need_required_access(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> None:
    async with (
        start_bridge(broker_url, f"sqlite:///{tmp_path}/b.db", http=HttpSettings(port=0)) as bridge,
        aiohttp.ClientSession() as session,
    ):
        for path, body in ((LINKS, NEW), ("/auth/link", {"token": "sbl_"})):
            async with session.post(f"http://127.0.0.1:{bridge.port}{path}", json=body) as answer:
                assert answer.status == 403, await answer.text()


async def test_number_of_links_is_limited_and_long_expired_ones_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000_000.0]
    store = MemoryStore()
    links = SharedLinks(store.links, Revocations(store.sessions, lambda: now[0]), lambda: now[0])
    monkeypatch.setattr("bridge.access.shared_links.LIMIT", 2)
    hall = ResourceScope(frozenset({"hall"}))
    token = (await links.make("a", "#/", hall, days=1, by="person:a"))[1]
    await links.make("b", "#/", hall, days=100, by="person:a")
    with pytest.raises(AccountError, match="limit"):
        await links.make("c", "#/", hall, days=1, by="person:a")
    assert (await links.open(token)).title == "a"
    now[0] += 86_400
    with pytest.raises(Unauthorized, match="expired"):
        await links.open(token)
    now[0] += 31 * 86_400
    assert [link.title for link in await links.all()] == ["b"]


@pytest.mark.parametrize(
    ("way", "body", "ends"),
    [("DELETE", None, True), ("PATCH", {"role": "viewer"}, True), ("PATCH", {"role": "viewer"}, False)],
)
@pytest.mark.parametrize("by", ["boss", "key"])
async def test_links_end_with_the_admin_who_made_them(made: Guarded, way: str, body: object, ends: bool, by: str) -> None:
    """Those made with a key that the admin made, too."""
    boss = {"name": "boss", "password": PASSWORD, "role": "admin"}
    assert (await made.as_("admin", "POST", "/api/v1/users", boss))[0] == 201
    made.tokens["boss"] = (await made.login("boss"))[1]["access_token"]
    status, key = await made.as_("boss", "POST", "/api/v1/keys", {"name": "tool", "rights": ["administer"]})
    assert status == 201, key
    LEAKS.hide(key["key"])
    made.tokens["key"] = key["key"]
    status, link = await made.as_(by, "POST", LINKS, NEW)
    assert status == 201
    LEAKS.hide(link["token"])
    kept, _ = await shared(made)
    await visitor(made, link["token"])
    path = "/api/v1/users/boss" if ends else "/api/v1/users/boss?keepKeys=true"
    status, found = await made.as_("admin", way, path, body)
    assert status == 200
    assert [one["id"] for one in found.get("linksEnded", [])] == ([link["id"]] if ends else [])
    _, listed = await made.as_("admin", "GET", LINKS)
    assert {one["id"] for one in listed["links"]} == ({kept} if ends else {kept, link["id"]})
    assert (await made.as_("visitor", "GET", "/auth/me"))[0] == (401 if ends else 200)
    if ends:

        async def noted() -> bool:
            _, audit = await made.as_("admin", "GET", "/api/v1/audit?act=link+removed")
            return [(one["about"], one["more"]["why"]) for one in audit["acts"]] == [(link["id"], "made by boss")]

        await until(noted, what="the link in the audit log")
