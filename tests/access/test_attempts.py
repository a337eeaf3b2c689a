"""Every attempt over HTTP: none wrongly accepted, none wrongly refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import aiohttp
import orjson
import pytest

from tests.access.attempts import CREDENTIALS, CROSSINGS, REQUESTS
from tests.access.leaks import LEAKS
from tests.access.parts import PASSWORD, Guarded, guarded
from tests.access.tally import Tally
from tests.access.ways import SESSION_COOKIE
from tests.conftest import StartBridge

WAYS = ("bearer", "key", "cookie")
PATHS = (
    "/api/v1/readings", "/api/v1/devices", "/api/v1/measurements", "/metrics", "/websocket/status", "/ws/stats", "/ws/latest",
)  # fmt: skip


@pytest.fixture
async def guarded_bridge(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> AsyncIterator[Guarded]:
    async with guarded(start_bridge, broker_url, f"sqlite:///{tmp_path}/bridge.db") as made:
        yield made


def shown(way: str, credential: str) -> dict[str, str]:
    match way:
        case "bearer":
            return {"Authorization": f"Bearer {credential}"}
        case "key":
            return {"X-API-Key": credential}
        case _:
            return {"Cookie": f"{SESSION_COOKIE}={credential}"}


async def test_only_valid_credentials_open_the_api(guarded_bridge: Guarded, tally: Tally) -> None:
    for credential in CREDENTIALS:
        text = credential.show(guarded_bridge)
        LEAKS.hide(*([text] if credential.good else ()))
        for way in WAYS:
            for path in PATHS if way == "bearer" else PATHS[:1]:
                try:
                    status, _, headers = await guarded_bridge.ask("GET", path, shown(way, text))
                except (ValueError, aiohttp.ClientError):  # refused by the client library or the HTTP parser
                    continue
                assert status in (200, 400, 401, 403, 429), (credential.name, way, path)
                tally.note((credential.name, way, path, status), may=credential.good, let_in=status == 200)
                if status == 401:
                    assert headers["WWW-Authenticate"].startswith("Bearer")
    tally.check()
    assert len(CREDENTIALS) >= 60
    assert tally.attempts > 5 * len(CREDENTIALS)


async def test_requests_are_limited_by_role_permission_and_scope(guarded_bridge: Guarded, tally: Tally) -> None:
    wrong = []
    for asked in CROSSINGS:
        status, found = await guarded_bridge.as_(asked.who, asked.method, asked.path, asked.body)
        text = found if isinstance(found, bytes) else orjson.dumps(found)
        crossed = asked.without != "" and asked.without.encode() in text
        tally.note(asked, may=asked.status < 400 and not crossed, let_in=status < 400)
        if status != asked.status or crossed:
            wrong.append((str(asked), status, text[:200]))
    assert wrong == []
    query = "/api/v1/readings?since=0&device=stove"
    _, body = await guarded_bridge.as_("admin", "GET", query)
    assert [one["temperature"] for one in body["readings"]] == [20]


async def test_cookies_count_for_own_pages_only_and_headers_for_programs(guarded_bridge: Guarded, tally: Tally) -> None:
    wrong = []
    for sent in REQUESTS:
        path = sent.path.replace("TOKEN", guarded_bridge.tokens["admin"])
        status, _, _ = await guarded_bridge.ask(sent.method, path, sent.headers(guarded_bridge), sent.body)
        tally.note(sent.name, may=sent.status < 400, let_in=status < 400)
        if status != sent.status:
            wrong.append((sent.name, status, sent.status))
    assert wrong == []


HOSTILE = (
    {"$gt": ""}, {"$ne": None}, {"$where": "sleep(1000)"}, {"$regex": ".*"}, ["$gt"], None, 1, True,
    "$where", "a.b", "a\0b", "' OR 1=1 --", "😀", "x" * 2000, "__proto__", "{$gt: ''}",
)  # fmt: skip


async def test_no_operator_reaches_a_query_or_a_key(guarded_bridge: Guarded) -> None:
    for value in HOSTILE:
        for body in (
            {"username": value, "password": PASSWORD},
            {"username": "admin", "password": value},
            {"username": "admin", "password": "wrong", "$where": value},
        ):
            assert (await guarded_bridge.ask("POST", "/auth/login", body=body))[0] in (400, 401, 429)
        for path in ("/auth/refresh", "/auth/setup"):
            body = {"refresh_token": value} if path.endswith("refresh") else {"token": value, "password": value}
            assert (await guarded_bridge.ask("POST", path, body=body))[0] in (400, 401, 422, 429)
        for path, names in (
            ("/api/v1/users", ("name", "password", "role", "devices", "sites")),
            ("/api/v1/keys", ("name", "rights", "devices", "sites", "device", "days")),
        ):
            good: dict[str, object] = {"name": "x1", "password": PASSWORD} if path.endswith("users") else {"name": "x1"}
            for name in names:
                status, found = await guarded_bridge.as_("admin", "POST", path, good | {name: value})
                assert status in (201, 400, 409, 422), (path, name, value, found)
                if status == 201:
                    assert not isinstance(value, dict)
                    where = found["name"] if path.endswith("users") else found["id"]
                    assert (await guarded_bridge.as_("admin", "DELETE", f"{path}/{where}"))[0] == 204
        for path in ("/api/v1/audit?act={}", "/api/v1/audit?before={}", "/api/v1/users/{}", "/api/v1/keys/{}"):
            filled = path.format(quote(str(value), safe=""))
            method = "GET" if "audit" in path else "DELETE"
            assert (await guarded_bridge.as_("admin", method, filled))[0] in (200, 400, 404, 405)
    assert (await guarded_bridge.as_("admin", "GET", "/api/v1/audit?act[$ne]=x"))[0] == 400
    _, users = await guarded_bridge.as_("admin", "GET", "/api/v1/users")
    assert [one["name"] for one in users["users"]] == sorted(["admin", "kitchen", "one", "operator", "viewer"])


def test_attempts_have_unique_names() -> None:
    for names in ([one.name for one in CREDENTIALS], [one.name for one in REQUESTS]):
        assert len(names) == len(set(names))
