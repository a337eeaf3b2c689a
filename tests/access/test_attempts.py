"""Every attempt by every way of HTTP: nobody wrongly let in, nobody wrongly kept out, and no secret said."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import aiohttp
import orjson
import pytest

from tests.access.attempts import CREDENTIALS, CROSSINGS, REQUESTS
from tests.access.parts import DEVICE_SECRET, PASSWORD, SECRET, Guarded, guarded
from tests.conftest import StartBridge

WAYS = ("bearer", "key", "cookie")
PATHS = ("/api/v1/readings", "/api/v1/devices", "/api/v1/measurements", "/metrics", "/websocket/status", "/ws/stats")


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
            return {"Cookie": f"sb_session={credential}"}


async def test_whatever_is_shown_opens_if_it_is_good_and_else_nothing(
    guarded_bridge: Guarded, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    accepted, refused, said, tried = [], [], list[str](), 0
    for credential in CREDENTIALS:
        text = credential.show(guarded_bridge)
        for way in WAYS:
            for path in PATHS if way == "bearer" else PATHS[:1]:
                try:
                    status, _, headers = await guarded_bridge.ask("GET", path, shown(way, text))
                except (ValueError, aiohttp.ClientError):  # a client will not send it, or a server not read it
                    continue
                tried += 1
                if credential.good and status != 200:
                    refused.append((credential.name, way, path, status))
                if not credential.good and status not in (400, 401, 403, 429):
                    accepted.append((credential.name, way, path, status))
                if status == 401:
                    assert headers["WWW-Authenticate"].startswith("Bearer")
        said += [credential.name] if len(text) > 20 and text in caplog.text else []
    assert accepted == []
    assert refused == []
    assert said == []
    assert len(CREDENTIALS) >= 60
    assert tried > 5 * len(CREDENTIALS)


async def test_roles_rights_sites_and_devices_are_not_crossed(guarded_bridge: Guarded) -> None:
    wrong = []
    for asked in CROSSINGS:
        status, found = await guarded_bridge.as_(asked.who, asked.method, asked.path, asked.body)
        text = found if isinstance(found, bytes) else orjson.dumps(found)
        if status != asked.status or (asked.without and asked.without.encode() in text):
            wrong.append((str(asked), status, text[:200]))
    assert wrong == []
    query = "/api/v1/readings?since=0&device=stove"
    _, body = await guarded_bridge.as_("admin", "GET", query)
    assert [one["temperature"] for one in body["readings"]] == [20]


async def test_cookies_open_for_pages_of_ours_and_headers_for_programs(guarded_bridge: Guarded) -> None:
    wrong = []
    for sent in REQUESTS:
        path = sent.path.replace("TOKEN", guarded_bridge.tokens["admin"])
        status, _, _ = await guarded_bridge.ask(sent.method, path, sent.headers(guarded_bridge), sent.body)
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


async def test_no_secret_stands_in_a_log_a_metric_an_answer_or_the_description(
    guarded_bridge: Guarded, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for credential in CREDENTIALS:
        if credential.good:
            await guarded_bridge.ask("GET", "/api/v1/readings", shown("bearer", credential.show(guarded_bridge)))
    await guarded_bridge.login("admin", "wrong but a secret all the same")
    await guarded_bridge.ask("POST", "/auth/refresh", body={"refresh_token": guarded_bridge.refresh["viewer"]})
    said = [caplog.text, repr(guarded_bridge.bridge._settings)]
    for path in ("/metrics", "/api/openapi.json", "/api/v1/users", "/api/v1/keys", "/api/v1/audit", "/websocket/status"):
        status, found, _ = await guarded_bridge.ask("GET", path, guarded_bridge.showing("admin"))
        assert status == 200
        said.append(found.decode() if isinstance(found, bytes) else orjson.dumps(found).decode())
    text = "\n".join(said)
    secrets = [PASSWORD, SECRET, DEVICE_SECRET, "wrong but a secret", "argon2id$", *guarded_bridge.tokens.values()]
    secrets += [*guarded_bridge.keys.values(), *guarded_bridge.refresh.values()]
    secrets += [key.partition("_")[2].partition("_")[2] for key in guarded_bridge.keys.values()]
    assert [one for one in secrets if one in text] == []


def test_the_attempts_have_names_of_their_own() -> None:
    for names in ([one.name for one in CREDENTIALS], [one.name for one in REQUESTS]):
        assert len(names) == len(set(names))
