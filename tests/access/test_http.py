"""Logins over HTTP, cookies, headers, TLS, and the warning of an open bridge."""

from __future__ import annotations

import asyncio
import base64
import logging
import sqlite3
import ssl
import subprocess
import unicodedata
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from http.cookies import SimpleCookie
from pathlib import Path

import aiohttp
import jwt
import orjson
import pytest
from bson.objectid import ObjectId
from pydantic import SecretStr

from bridge.api.describe import Auth, operation_of
from bridge.api.middleware.auth import SOCKETS
from bridge.app import Bridge
from bridge.core.devices.device import Device
from bridge.core.errors import SettingsError
from bridge.core.message import Message, Rejection, RejectionReason
from bridge.core.readings.reading import Reading
from bridge.core.rollup import DAY_MS
from bridge.ports import Store
from bridge.settings import HttpSettings, StoreSettings
from bridge.stores import open_store
from bridge.stores.rollup_builder import now_ms
from tests.access.parts import PASSWORD, SECRET, Guarded, access_settings, guarded, stored_sessions
from tests.access.test_lockout import minutes_from_the_third
from tests.access.typed import command_line
from tests.access.ways import COOKIE_ID, LISTENING, SESSION_COOKIE, attempted
from tests.conftest import StartBridge
from tests.device_ids import ACCEPTED
from tests.fakes import RecordingOrigin
from tests.servers import until

LOGIN = {"username": "viewer", "password": PASSWORD}


@pytest.fixture
async def guarded_bridge(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> AsyncIterator[Guarded]:
    async with guarded(start_bridge, broker_url, f"sqlite:///{tmp_path}/bridge.db", trusted_proxies=["127.0.0.1"]) as made:
        yield made


def cookies_of(headers: object) -> SimpleCookie:
    found = SimpleCookie()
    for one in headers.getall("Set-Cookie", ()):  # type: ignore[attr-defined]
        found.load(one)
    return found


async def test_login_follows_the_contract_and_sets_http_only_cookies(guarded_bridge: Guarded) -> None:
    """The refresh cookie has no path: browsers then use `/auth`, with the prefix of a proxy if there is one."""
    status, body, headers = await guarded_bridge.ask("POST", "/auth/login", body=LOGIN)
    assert status == 200
    assert (body["token_type"], body["expires_in"], "refresh_token" in body) == ("bearer", 3600, False)
    assert jwt.decode(body["access_token"], SECRET, ["HS256"], audience="sensor-bridge")["sub"] == "viewer"
    cookies = cookies_of(headers)
    assert {name: (one["path"], one["httponly"], one["samesite"], one["secure"]) for name, one in cookies.items()} == {
        SESSION_COOKIE: ("/", True, "Strict", ""),
        f"sb_refresh_{COOKIE_ID}": ("", True, "Strict", ""),
    }
    assert headers["Cache-Control"] == "no-store"


async def test_cookies_are_secure_with_tls_or_a_trusted_proxy_with_tls(guarded_bridge: Guarded) -> None:
    _, _, headers = await guarded_bridge.ask("POST", "/auth/login", {"X-Forwarded-Proto": "https"}, LOGIN)
    assert all(one["secure"] for one in cookies_of(headers).values())


async def test_refresh_cookie_counts_for_own_pages_until_logout(guarded_bridge: Guarded) -> None:
    _, _, headers = await guarded_bridge.ask("POST", "/auth/login", body=LOGIN)

    def jar(headers: object, **more: str) -> dict[str, str]:
        pairs = "; ".join(f"{name}={one.value}" for name, one in cookies_of(headers).items())
        return {"Cookie": pairs, "Content-Type": "application/json", **more}

    origin = guarded_bridge.base
    assert (await guarded_bridge.ask("POST", "/auth/refresh", jar(headers)))[0] == 403
    assert (await guarded_bridge.ask("POST", "/auth/refresh", jar(headers, Origin="https://evil.example")))[0] == 403
    status, body, renewed = await guarded_bridge.ask("POST", "/auth/refresh", jar(headers, Origin=origin))
    assert status == 200
    status, me, _ = await guarded_bridge.ask("GET", "/auth/me", jar(renewed))
    assert (status, me["name"], me["rights"], me["scope"]) == (200, "viewer", ["see"], None)
    assert (await guarded_bridge.ask("POST", "/auth/logout", jar(renewed)))[0] == 403
    status, _, gone = await guarded_bridge.ask("POST", "/auth/logout", jar(renewed, Origin=origin))
    assert status == 204
    assert all(one["max-age"] == "0" for one in cookies_of(gone).values())
    status, problem, _ = await guarded_bridge.ask("GET", "/auth/me", {"Authorization": f"Bearer {body['access_token']}"})
    assert (status, problem["code"]) == (401, "revoked")
    assert (await guarded_bridge.ask("POST", "/auth/refresh", jar(renewed, Origin=origin)))[0] == 401


async def test_two_bridges_of_one_host_keep_their_sessions_apart(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    """Cookies do not know ports: a browser sends those of one bridge to the other."""
    async with AsyncExitStack() as stack:
        jar = aiohttp.CookieJar(unsafe=True)
        session = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=jar))
        bases = []
        for name in ("one", "other"):
            access = access_settings(admin_password=SecretStr(PASSWORD), secret=SecretStr(f"{name}: {SECRET}"))
            store = f"sqlite:///{tmp_path}/{name}.db"
            bridge = await stack.enter_async_context(start_bridge(broker_url, store, access=access))
            bases.append(f"http://127.0.0.1:{bridge.port}")
        for base in bases:
            login = {"username": "admin", "password": PASSWORD}
            async with session.post(f"{base}/auth/login", json=login, headers={"Origin": base}) as answer:
                assert answer.status == 200
        assert len({cookie.key for cookie in jar}) == 4
        for _ in range(2):
            for base in bases:
                async with session.get(f"{base}/auth/me") as answer:
                    assert (answer.status, (await answer.json())["name"]) == (200, "admin")
                async with session.post(f"{base}/auth/refresh", json={}, headers={"Origin": base}) as answer:
                    assert answer.status == 200
        async with session.post(f"{bases[0]}/auth/logout", json={}, headers={"Origin": bases[0]}) as answer:
            assert answer.status == 204
        for base, status in zip(bases, (401, 200), strict=True):
            async with session.get(f"{base}/auth/me") as answer:
                assert answer.status == status


async def test_value_of_a_cookie_counts_nowhere_but_in_the_cookie(guarded_bridge: Guarded) -> None:
    """Every server of the host receives it."""
    _, body, headers = await guarded_bridge.ask("POST", "/auth/login", body=LOGIN)
    cookies = {name: one.value for name, one in cookies_of(headers).items()}
    token, refresh = cookies[SESSION_COOKIE], cookies[f"sb_refresh_{COOKIE_ID}"]
    for _ in range(2):  # the second time it is known
        for shown in ({"Authorization": f"Bearer {token}"}, {"X-API-Key": token}):
            status, problem, _ = await guarded_bridge.ask("GET", "/auth/me", shown)
            assert (status, problem["code"]) == (401, "invalid")
        assert (await guarded_bridge.ask("GET", "/auth/me", {"Cookie": f"{SESSION_COOKIE}={token}"}))[0] == 200
        assert (await guarded_bridge.ask("GET", "/auth/me", {"Cookie": f"sb_session_00000000={token}"}))[0] == 401
        assert (await guarded_bridge.ask("GET", "/auth/me", {"Authorization": f"Bearer {body['access_token']}"}))[0] == 200
    for name, way in LISTENING.items():
        verdict = await attempted(way, guarded_bridge.bridge, token)
        assert verdict.let_in is name.endswith("cookie"), name
    status, problem, _ = await guarded_bridge.ask("POST", "/auth/refresh", body={"refresh_token": refresh})
    assert (status, problem["code"]) == (401, "invalid")
    jar = {"Cookie": f"sb_refresh_{COOKIE_ID}={refresh}", "Origin": guarded_bridge.base}
    status, body, headers = await guarded_bridge.ask("POST", "/auth/refresh", jar, {})
    assert status == 200, "the attempt did not end the session"
    renewed = {name: one.value for name, one in cookies_of(headers).items()}
    status, _, _ = await guarded_bridge.ask("GET", "/auth/me", {"Authorization": f"Bearer {renewed[SESSION_COOKIE]}"})
    assert status == 401
    status, _, _ = await guarded_bridge.ask("POST", "/auth/refresh", body={"refresh_token": renewed[f"sb_refresh_{COOKIE_ID}"]})
    assert status == 401


async def test_login_keeps_nothing_that_the_browser_presented(guarded_bridge: Guarded) -> None:
    """Neither a made-up value nor another user's session, planted by another server of the host."""
    planted = {SESSION_COOKIE: guarded_bridge.tokens["operator"], f"sb_refresh_{COOKIE_ID}": guarded_bridge.refresh["operator"]}
    for cookies in (dict.fromkeys(planted, "planted"), planted):
        jar = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
        status, _, headers = await guarded_bridge.ask("POST", "/auth/login", jar, LOGIN)
        assert status == 200
        given = {name: one.value for name, one in cookies_of(headers).items()}
        assert given.keys() == planted.keys()
        assert not set(given.values()) & set(cookies.values())
        status, me, _ = await guarded_bridge.ask("GET", "/auth/me", {"Cookie": f"{SESSION_COOKIE}={given[SESSION_COOKIE]}"})
        assert (status, me["name"]) == (200, "viewer")


async def test_secure_cookies_follow_the_scheme_that_a_trusted_proxy_tells(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    for trusted, sent, secure in (
        ("127.0.0.1", "https", True),
        ("127.0.0.1", "http, https", True),
        ("127.0.0.1", "https, http", False),
        ("10.0.0.0/8", "https", False),
    ):
        http = HttpSettings.model_validate({"port": 0, "trusted_proxies": trusted})
        access = access_settings(admin_password=SecretStr(PASSWORD))
        async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", http=http, access=access) as bridge:
            url, headers = f"http://127.0.0.1:{bridge.port}/auth/login", {"X-Forwarded-Proto": sent}
            login = {"username": "admin", "password": PASSWORD}
            async with aiohttp.ClientSession() as session, session.post(url, json=login, headers=headers) as answer:
                assert answer.status == 200
                cookies = cookies_of(answer.headers)
        assert {bool(one["secure"]) for one in cookies.values()} == {secure}, (trusted, sent)
        assert {bool(one["httponly"]) and one["samesite"] == "Strict" for one in cookies.values()} == {True}


async def test_refresh_token_of_a_version_that_did_not_tell_cookies_apart_counts_in_a_cookie_only(
    guarded_bridge: Guarded,
) -> None:
    """It may be one that a browser sent to every server of the host."""
    refresh = guarded_bridge.refresh["viewer"]
    store = guarded_bridge.store_url.removeprefix("sqlite:///")
    with sqlite3.connect(store) as file:
        changed = file.execute(
            "UPDATE sessions SET document = json_remove(document, '$.cookie') WHERE id = ?", (refresh.split("_")[1],)
        ).rowcount
    assert changed == 1
    status, problem, _ = await guarded_bridge.ask("POST", "/auth/refresh", body={"refresh_token": refresh})
    assert (status, problem["code"]) == (401, "invalid")
    jar = {"Cookie": f"sb_refresh_{COOKIE_ID}={refresh}", "Origin": guarded_bridge.base}
    assert (await guarded_bridge.ask("POST", "/auth/refresh", jar, {}))[0] == 200


async def test_replayed_refresh_token_ends_the_session(guarded_bridge: Guarded) -> None:
    first = {"refresh_token": guarded_bridge.refresh["viewer"]}
    status, second, _ = await guarded_bridge.ask("POST", "/auth/refresh", body=first)
    assert (status, second["refresh_token"] == first["refresh_token"]) == (200, False)
    status, problem, _ = await guarded_bridge.ask("POST", "/auth/refresh", body=first)
    assert (status, problem["code"]) == (401, "replayed")
    for token in (guarded_bridge.tokens["viewer"], second["access_token"]):
        status, problem, _ = await guarded_bridge.ask("GET", "/auth/me", {"Authorization": f"Bearer {token}"})
        assert (status, problem["code"]) == (401, "revoked")


async def test_page_of_a_foreign_origin_cannot_log_in(guarded_bridge: Guarded) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "http://["}, {"Content-Type": "text/plain"}):
        assert (await guarded_bridge.ask("POST", "/auth/login", headers, LOGIN))[0] in (403, 415)
    assert (await guarded_bridge.ask("POST", "/auth/login", {"Origin": guarded_bridge.base}, LOGIN))[0] == 200


async def test_lockout_applies_to_each_client_behind_a_proxy(guarded_bridge: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.access.lockout.delay_seconds", minutes_from_the_third)
    wrong = LOGIN | {"password": "wrong password"}
    answers = [await guarded_bridge.ask("POST", "/auth/login", {"X-Forwarded-For": "198.51.100.7"}, wrong) for _ in range(12)]
    assert [status for status, _, _ in answers].count(401) < 10
    status, problem, headers = answers[-1]
    assert (status, problem["title"], int(headers["Retry-After"]) >= 1) == (429, "Too Many Requests", True)
    assert (await guarded_bridge.login("viewer"))[0] == 200  # from a known address


async def test_refusal_is_a_problem_with_www_authenticate(guarded_bridge: Guarded) -> None:
    status, problem, headers = await guarded_bridge.ask("GET", "/api/v1/readings")
    assert (status, problem["code"], headers["Content-Type"]) == (401, "missing", "application/problem+json")
    assert headers["WWW-Authenticate"] == 'Bearer realm="sensor-bridge"'
    status, problem, headers = await guarded_bridge.ask("GET", "/api/v1/users", guarded_bridge.showing("viewer"))
    assert (status, problem["title"]) == (403, "Forbidden")
    assert 'error="insufficient_scope"' in headers["WWW-Authenticate"]


async def test_health_details_need_permission_to_read(guarded_bridge: Guarded) -> None:
    _, body, _ = await guarded_bridge.ask("GET", "/health/ready", {"Authorization": "Bearer no.good.token"})
    assert body == {"status": "ok"}
    _, body = await guarded_bridge.as_("viewer", "GET", "/health")
    assert set(body["parts"]) == {"mqtt", "store"}


async def test_actions_and_refusals_are_in_the_audit_log(guarded_bridge: Guarded) -> None:
    command = {"command": "on", "value": "a secret, perhaps", "queue": True}
    status, sent = await guarded_bridge.as_("operator", "POST", "/api/v1/devices/hall/commands", command)
    assert status == 202
    await guarded_bridge.as_("viewer", "GET", "/api/v1/users")
    await guarded_bridge.ask("GET", "/api/v1/readings", {"X-API-Key": "sbk_no"})

    async def acts(query: str = "") -> list[dict[str, object]]:
        _, body = await guarded_bridge.as_("admin", "GET", f"/api/v1/audit?limit=1000{query}")
        return list(body["acts"])

    async def has_all() -> bool:
        found = {(one["act"], one["by"], one["about"]) for one in await acts()}
        return found >= {
            ("command", "operator", "hall"),
            ("refused", "viewer", "GET /api/v1/users"),
            ("refused", "nobody", "GET /api/v1/readings"),
            ("user added", "admin", "kitchen"),
            ("login", "viewer", ""),
        }

    async with asyncio.timeout(30):
        while not await has_all():
            await asyncio.sleep(0.05)
    (one,) = await acts("&act=command&by=operator")
    assert one["more"] == {"command": "on", "id": sent["id"]}
    _, page = await guarded_bridge.as_("admin", "GET", "/api/v1/audit?limit=2")
    _, following = await guarded_bridge.as_("admin", "GET", f"/api/v1/audit?limit=2&before={page['next']}")
    assert following["acts"][0]["_id"] < page["acts"][-1]["_id"]


async def test_device_outside_the_scope_is_answered_as_unknown_and_audited(guarded_bridge: Guarded) -> None:
    on = {"command": "on", "queue": True}
    for method, rest, body in (("GET", "", None), ("POST", "/commands", on), ("GET", "/commands", None)):
        answers = [
            await guarded_bridge.as_("kitchen", method, f"/api/v1/devices/{device}{rest}", body)
            for device in ("hall", "nowhere")
        ]
        assert [status for status, _ in answers] == [404, 404]
        assert orjson.loads(orjson.dumps(answers[0][1]).replace(b"hall", b"nowhere")) == answers[1][1]
    await guarded_bridge.as_("operator", "GET", "/api/v1/devices/nowhere")

    async def refused() -> list[tuple[object, ...]]:
        _, body = await guarded_bridge.as_("admin", "GET", "/api/v1/audit?act=refused&limit=1000")
        return [(one["by"], one["about"], one["more"]) for one in reversed(body["acts"])]

    why = {"why": "out of reach", "device": "hall"}
    expected = [
        ("kitchen", "GET /api/v1/devices/{id}", why),
        ("kitchen", "POST /api/v1/devices/{id}/commands", why),
        ("kitchen", "GET /api/v1/devices/{id}/commands", why),
    ]

    async def noted() -> bool:
        return len(await refused()) == len(expected)

    await until(noted)
    assert await refused() == expected


async def test_site_manager_cannot_take_over_devices_of_other_sites_or_their_remains(guarded_bridge: Guarded) -> None:
    assert (await guarded_bridge.as_("admin", "POST", "/api/v1/devices", {"id": "gate"}))[0] == 201
    on = {"command": "open", "value": "4711", "queue": True}
    assert (await guarded_bridge.as_("admin", "POST", "/api/v1/devices/gate/commands", on))[0] == 202
    for removed in ("gate", "hall"):
        assert (await guarded_bridge.as_("admin", "DELETE", f"/api/v1/devices/{removed}"))[0] == 204

    async def registered(who: str, device: str) -> tuple[int, object]:
        status, found = await guarded_bridge.as_(who, "POST", "/api/v1/devices", {"id": device, "site": "Kitchen"})
        return status, found["detail"] if status >= 300 else found["id"]

    refused = (403, "this id is not available to you: choose another, or ask a user who manages all devices")
    assert [await registered("bounded", device) for device in ("cellar", "hall", "gate")] == [refused] * 3
    assert await registered("bounded", "new") == (201, "new")
    assert (await registered("bounded", "stove"))[0] == 409
    assert [await registered("manage", device) for device in ("hall", "gate")] == [(201, "hall"), (201, "gate")]


async def test_site_manager_cannot_take_over_a_device_of_which_only_little_remains(
    guarded_bridge: Guarded, tmp_path: Path
) -> None:
    """Readings that expired leave rollups; a message may be in the quarantine only; another bridge may know the device."""
    old = Reading(ObjectId(), "rolled", {"temperature": 20}, now_ms() - 2 * DAY_MS, now_ms() - 2 * DAY_MS, seq=1)
    bad = Message("mqtt", "sensors/refused/data", b"x", now_ms(), RecordingOrigin())
    async with open_store(StoreSettings(url=SecretStr(guarded_bridge.store_url))) as store:
        await store.write([old], [Rejection(ObjectId(), bad, RejectionReason.NOT_JSON, "not JSON")], [])
        await store.devices.save([Device("elsewhere", site="Hall")])

        with sqlite3.connect(tmp_path / "bridge.db") as file:
            await until(partial(roll_up, store, file), what="rollups")
            file.execute("DELETE FROM readings WHERE device_id = 'rolled'")
        file.close()
    refused = "this id is not available to you: choose another, or ask a user who manages all devices"
    for device in ("rolled", "refused", "elsewhere"):
        claimed = {"id": device, "site": "Kitchen"}
        status, found = await guarded_bridge.as_("bounded", "POST", "/api/v1/devices", claimed)
        assert (status, found["detail"]) == (403, refused), device
        assert (await guarded_bridge.as_("manage", "POST", "/api/v1/devices", claimed))[0] == 201


async def test_site_manager_cannot_take_over_a_device_that_was_assigned_and_has_not_sent_yet(guarded_bridge: Guarded) -> None:
    for key in (
        {"name": "keyed", "device": True},
        {"name": "program", "devices": ["scoped"]},
    ):
        assert (await guarded_bridge.as_("admin", "POST", "/api/v1/keys", key))[0] == 201
    user = {"name": "tenant", "password": PASSWORD, "devices": ["rented"]}
    assert (await guarded_bridge.as_("admin", "POST", "/api/v1/users", user))[0] == 201
    refused = "this id is not available to you: choose another, or ask a user who manages all devices"
    for device in ("keyed", "scoped", "rented"):
        claimed = {"id": device, "site": "Kitchen"}
        status, found = await guarded_bridge.as_("bounded", "POST", "/api/v1/devices", claimed)
        assert (status, found.get("detail")) == (403, refused), device
        assert (await guarded_bridge.as_("manage", "POST", "/api/v1/devices", claimed))[0] == 201


async def roll_up(store: Store, file: sqlite3.Connection) -> bool:
    """Take the lease from the bridge and advance the rollups; whether those of the device `rolled` are there."""
    file.execute("DELETE FROM state WHERE key = 'rollups'")
    file.commit()
    await store.history.roll_up()
    return bool(file.execute("SELECT count(*) FROM rollups WHERE device_id = 'rolled'").fetchone()[0])


async def test_device_of_any_id_publishes_with_its_key_by_bearer_and_basic(guarded_bridge: Guarded) -> None:
    for number, name in enumerate(ACCEPTED):
        written = unicodedata.normalize("NFD", name)
        status, found = await guarded_bridge.as_("admin", "POST", "/api/v1/keys", {"name": written, "device": True})
        assert (status, found["name"]) == (201, name)
        body = [{"deviceId": written, "temperature": number, "timestamp": 1767000000}]
        basic = base64.b64encode(f"{written}:{found['key']}".encode()).decode()
        for header in (f"Bearer {found['key']}", f"Basic {basic}"):
            status, answer, _ = await guarded_bridge.ask("POST", "/api/v1/readings", {"Authorization": header}, body)
            assert status == 201, (name, answer)
        other = base64.b64encode(f"{name}x:{found['key']}".encode()).decode()
        assert (await guarded_bridge.ask("POST", "/api/v1/readings", {"Authorization": f"Basic {other}"}, body))[0] == 401
        foreign = [{"deviceId": "another", "temperature": 1}]
        assert (await guarded_bridge.ask("POST", "/api/v1/readings", {"Authorization": f"Basic {basic}"}, foreign))[0] == 403


async def test_scope_holds_the_devices_that_it_names_and_no_other(guarded_bridge: Guarded) -> None:
    """No character of an id is a wildcard, and no id contains those below it."""
    for name in ACCEPTED:
        body = {"deviceId": name, "temperature": 1, "timestamp": 1767000000}
        assert (await guarded_bridge.as_("admin", "POST", "/api/v1/readings", body))[0] == 201
    assert (await guarded_bridge.as_("admin", "POST", "/api/v1/devices", {"id": "floor1/kitchen"}))[0] == 201
    for name in (*ACCEPTED, "floor1", "floor1/kitchen", "a*", "%"):
        made = {"name": "scoped", "rights": ["see"], "devices": [unicodedata.normalize("NFD", name)]}
        status, found = await guarded_bridge.as_("admin", "POST", "/api/v1/keys", made)
        assert (status, found["scope"]["devices"]) == (201, [name])
        shown = {"Authorization": f"Bearer {found['key']}"}
        expected = [name] if name in ACCEPTED else []
        for path in ("/api/v1/readings", "/api/v1/readings/latest"):
            _, page, _ = await guarded_bridge.ask("GET", path, shown)
            assert [one["deviceId"] for one in page["readings"]] == expected
        _, page, _ = await guarded_bridge.ask("GET", "/api/v1/devices", shown)
        assert [one["id"] for one in page["devices"]] == ([name] if name == "floor1/kitchen" else expected)


async def test_idempotency_keys_are_separate_for_each_identity(guarded_bridge: Guarded) -> None:
    """Names of keys are not unique and may have any characters."""
    for who, name in (("one gate", "gate"), ("another gate", "gate"), ("a gate of others", "gate/1")):
        made = {"name": name, "rights": ["see", "send"]}
        _, found = await guarded_bridge.as_("admin", "POST", "/api/v1/keys", made)
        guarded_bridge.keys[who] = found["key"]
    boss = guarded_bridge.provider.token
    guarded_bridge.tokens |= {f"boss {turn}": boss(roles=["boss"], sub="boss", jti=turn) for turn in ("1", "2")}

    async def stored(who: str, key: str) -> tuple[int, object]:
        shown = guarded_bridge.showing(who) | {"Idempotency-Key": key}
        body = {"deviceId": "cellar", "temperature": 20}
        status, found, _ = await guarded_bridge.ask("POST", "/api/v1/readings", shown, body)
        return status, found["ids"]

    callers = [("one gate", "1/k"), ("another gate", "1/k"), ("a gate of others", "k"), ("boss 1", "1/k"), ("admin", "1/k")]
    first = [await stored(*one) for one in callers]
    assert [status for status, _ in first] == [201] * len(callers)
    assert len({str(ids) for _, ids in first}) == len(callers), "each is a reading of its own"
    assert [await stored(*one) for one in callers] == first
    assert await stored("boss 2", "1/k") == first[3], "with a newer token he is the same"


async def test_scope_becomes_unlimited_only_by_null(guarded_bridge: Guarded) -> None:
    bob = {"name": "bob", "password": PASSWORD, "devices": ["hall"], "sites": ["Kitchen"]}
    assert (await guarded_bridge.as_("admin", "POST", "/api/v1/users", bob))[0] == 201

    async def changed(**asked: object) -> object:
        status, found = await guarded_bridge.as_("admin", "PATCH", "/api/v1/users/Bob", asked)
        return found["scope"] if status == 200 else (status, [one["field"] for one in found["errors"]])

    assert await changed(role="operator") == {"devices": ["hall"], "sites": ["Kitchen"]}
    assert await changed(devices=["cellar"]) == {"devices": ["cellar"], "sites": ["Kitchen"]}
    assert await changed(devices=[]) == {"devices": [], "sites": ["Kitchen"]}
    assert await changed(sites=[]) == (422, ["sites"])
    assert await changed(devices=[], sites=[]) == (422, ["devices"])
    assert await changed(scope=None, devices=["hall"]) == (422, ["scope"])
    assert await changed(scope={}) == (400, ["scope"])
    assert await changed(devices=None, sites=None) == {"devices": [], "sites": ["Kitchen"]}, "null names nothing"
    assert await changed(scope=None) is None
    assert await changed(devices=[]) == (422, ["devices"])
    assert await changed(devices=["hall"]) == {"devices": ["hall"], "sites": []}
    status, problem = await guarded_bridge.as_("admin", "PATCH", "/api/v1/users/bob", {"devices": []})
    assert (status, '"scope": null' in problem["detail"]) == (422, True)
    assert (await guarded_bridge.as_("admin", "PATCH", "/api/v1/users/eve", {"devices": []}))[0] == 404


@pytest.mark.parametrize("path", ["/api/v1/users", "/api/v1/keys"])
async def test_empty_scope_is_refused_instead_of_granting_everything(guarded_bridge: Guarded, path: str) -> None:
    async def made(name: str, **scope: object) -> object:
        given = {"name": name} | ({"password": PASSWORD} if path.endswith("users") else {}) | scope
        status, found = await guarded_bridge.as_("admin", "POST", path, given)
        return found["scope"] if status == 201 else status

    assert await made("a", devices=[]) == 422
    assert await made("b", devices=[], sites=[]) == 422
    assert await made("c", devices=["hall"], scope=None) == 422
    assert await made("d", devices=["hall"], sites=[]) == {"devices": ["hall"], "sites": []}
    assert await made("e", scope=None) is None
    assert await made("f") is None


async def test_pages_have_a_strict_policy_and_responses_a_content_type(guarded_bridge: Guarded) -> None:
    for path in ("/", "/api/docs"):
        _, body, headers = await guarded_bridge.ask("GET", path)
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Frame-Options"] == "DENY"
        assert b"<script>" not in body
    for path in ("/", "/health/live", "/api/v1/readings", "/nowhere"):
        _, _, headers = await guarded_bridge.ask("GET", path)
        assert (headers["X-Content-Type-Options"], headers["Referrer-Policy"]) == ("nosniff", "no-referrer")
    _, _, headers = await guarded_bridge.ask("GET", "/api/v1/readings", guarded_bridge.showing("viewer"))
    assert headers["Cache-Control"] == "no-store"


async def test_every_route_states_its_permission(guarded_bridge: Guarded) -> None:
    unstated, opened = [], set()
    for route in guarded_bridge.bridge.application.router.routes():
        told = operation_of(route.handler)
        if told is not None and told.permission is Auth.UNSTATED:
            unstated.append(f"{route.method} {route.resource and route.resource.canonical}")
        if told is not None and told.permission is Auth.NONE and route.resource is not None:
            opened.add(route.resource.canonical)
    assert unstated == []
    logins = {"/login", "/auth/login", "/auth/setup", "/auth/refresh", "/auth/link"}
    assert opened == logins | {"/health/live", "/api/openapi.json", "/api/docs"}
    assert "/ws/device" in SOCKETS


async def admin_with_keys(made: Guarded, name: str) -> dict[str, str]:
    """Add an admin, log them in, and create keys as them, one by another key; returns the ids by name."""
    given = {"name": name, "password": PASSWORD, "role": "admin"}
    assert (await made.as_("admin", "POST", "/api/v1/users", given))[0] == 201
    made.tokens[name] = (await made.login(name))[1]["access_token"]
    ids = {}
    for maker, key, rights in (
        (name, f"{name} ci", ["administer"]),
        (name, "graph", ["see"]),
        (f"{name} ci", "ci 2", ["administer"]),
    ):
        status, found = await made.as_(maker, "POST", "/api/v1/keys", {"name": key, "rights": rights})
        assert status == 201
        made.keys[key], ids[key] = found["key"], found["id"]
    return ids


async def works(made: Guarded, *who: str) -> list[bool]:
    return [(await made.as_(name, "GET", "/auth/me"))[0] == 200 for name in who]


@pytest.mark.parametrize("way", ["DELETE", "PATCH"])
async def test_administering_keys_end_with_their_maker(guarded_bridge: Guarded, way: str) -> None:
    ids = await admin_with_keys(guarded_bridge, "boss")
    body = None if way == "DELETE" else {"role": "viewer"}
    status, found = await guarded_bridge.as_("admin", way, "/api/v1/users/boss", body)
    assert status == 200
    assert {one["name"] for one in found["keysEnded"]} == {"boss ci", "ci 2"}
    assert [(one["id"], one["name"]) for one in found["keysKept"]] == [(ids["graph"], "graph")]
    assert await works(guarded_bridge, "boss", "boss ci", "ci 2", "graph", "administer") == [False, False, False, True, True]

    async def noted() -> bool:
        _, audit = await guarded_bridge.as_("admin", "GET", "/api/v1/audit?act=key+removed")
        return {one["about"] for one in audit["acts"]} == {ids["boss ci"], ids["ci 2"]}

    await until(noted, what="both keys in the audit log")


@pytest.mark.parametrize("way", ["DELETE", "PATCH"])
async def test_administering_keys_of_an_admin_can_be_kept_explicitly(guarded_bridge: Guarded, way: str) -> None:
    await admin_with_keys(guarded_bridge, "boss")
    body = None if way == "DELETE" else {"role": "operator"}
    assert (await guarded_bridge.as_("admin", way, "/api/v1/users/boss?keepKeys=maybe", body))[0] == 400
    status, found = await guarded_bridge.as_("admin", way, "/api/v1/users/boss?keepKeys=true", body)
    assert (status, found["keysEnded"], len(found["keysKept"])) == (200, [], 3)
    assert await works(guarded_bridge, "boss", "boss ci", "ci 2", "graph") == [False, True, True, True]


async def test_keys_of_the_only_admin_stay_when_the_removal_is_refused(guarded_bridge: Guarded) -> None:
    assert (await guarded_bridge.as_("admin", "DELETE", "/api/v1/users/admin"))[0] == 409
    assert (await guarded_bridge.as_("admin", "PATCH", "/api/v1/users/admin", {"role": "viewer"}))[0] == 409
    assert await works(guarded_bridge, "administer", "admin") == [True, True]


async def test_command_line_lists_the_keys_of_a_removed_admin(guarded_bridge: Guarded, tmp_path: Path) -> None:
    command = command_line(tmp_path, BRIDGE_STORE__URL=guarded_bridge.store_url, BRIDGE_ACCESS__MODE="required")
    ids = await admin_with_keys(guarded_bridge, "boss")
    code, out, _ = await command("user", "remove", "boss")
    lines = out.splitlines()
    assert (code, lines[0]) == (0, "boss removed")
    assert sorted(lines[1:3]) == sorted(
        f"key {ids[name]} {name} made by boss removed: administer" for name in ("boss ci", "ci 2")
    )
    assert lines[3] == f"key {ids['graph']} graph made by boss kept: see"

    async def ended() -> bool:
        return await works(guarded_bridge, "boss ci", "ci 2") == [False, False]

    await until(ended, seconds=20, what="the end of the keys")
    await admin_with_keys(guarded_bridge, "chief")
    code, out, _ = await command("user", "remove", "chief", "--keep-keys")
    assert (code, out.count(" kept: "), out.count(" removed: ")) == (0, 3, 0)

    async def is_locked_out() -> bool:
        return await works(guarded_bridge, "chief", "chief ci") == [False, True]

    await until(is_locked_out, seconds=20, what="the end of the session")


async def test_user_removed_on_the_command_line_is_locked_out_of_a_running_bridge(
    guarded_bridge: Guarded, tmp_path: Path
) -> None:
    command = command_line(tmp_path, BRIDGE_STORE__URL=guarded_bridge.store_url, BRIDGE_ACCESS__MODE="required")

    async def status(who: str) -> int:
        return (await guarded_bridge.as_(who, "GET", "/auth/me"))[0]

    assert await status("viewer") == 200
    code, out, _ = await command("user", "remove", "Viewer")
    assert (code, out) == (0, "viewer removed\n")
    async with asyncio.timeout(10):
        while await status("viewer") != 401:
            await asyncio.sleep(0.05)
    assert await stored_sessions(guarded_bridge.store_url, "viewer") == 0
    _, audit = await guarded_bridge.as_("admin", "GET", "/api/v1/audit?about=viewer&act=user+removed")
    assert [one["by"].partition(":")[0] for one in audit["acts"]] == ["cli"]
    code, _, err = await command("user", "add", "new", "--role", "operator", given="short\n")
    assert (code, "10 to 256" in err) == (1, True)
    assert (await command("user", "add", "new", "--role", "operator", given=f"{PASSWORD}\n"))[0] == 0
    assert (await guarded_bridge.login("new"))[0] == 200
    code, out, err = await command("key", "add", "lab", "--right", "see", "--site", "Kitchen")
    assert (code, out.startswith("sbk_")) == (0, True)
    guarded_bridge.keys["lab"] = out.strip()
    assert await status("lab") == 200
    code, listed, _ = await command("key", "list")
    assert out.strip().split("_", 2)[2] not in listed
    for words in (("user", "list", "--json"), ("key", "list", "--json")):
        _, answer = await guarded_bridge.as_("admin", "GET", f"/api/v1/{words[0]}s")
        assert orjson.loads((await command(*words))[1]) == answer[f"{words[0]}s"]
    assert (await command("key", "remove", out.split("_")[1]))[0] == 0
    async with asyncio.timeout(10):
        while await status("lab") != 401:
            await asyncio.sleep(0.05)


# --- the edges -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


async def test_bridge_with_a_certificate_serves_tls_and_sets_secure_cookies(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    from tests.access.parts import access_settings

    http = HttpSettings.model_validate({"port": 0, "tls": {"cert_file": certificate[0], "key_file": certificate[1]}})
    trust = ssl.create_default_context(cafile=certificate[0])
    store = f"sqlite:///{tmp_path}/bridge.db"
    access = access_settings(admin_password=PASSWORD)
    async with start_bridge(broker_url, store, http=http, access=access) as bridge, aiohttp.ClientSession() as session:
        url, given = f"https://127.0.0.1:{bridge.port}", {"username": "admin", "password": PASSWORD}
        async with session.post(f"{url}/auth/login", json=given, ssl=trust, headers={"Origin": url}) as answer:
            assert answer.status == 200
            assert all(one["secure"] for one in cookies_of(answer.headers).values())
            assert "max-age" in answer.headers["Strict-Transport-Security"]
        plain = url.replace("https", "http")
        async with session.post(f"{url}/auth/login", json=given, ssl=trust, headers={"Origin": plain}) as answer:
            assert answer.status == 403


async def test_unreadable_certificate_is_reported_in_one_line(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    http = HttpSettings.model_validate({"port": 0, "tls": {"cert_file": tmp_path / "none.pem"}})
    with pytest.raises(ExceptionGroup) as raised:
        async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", http=http):
            pass
    (error,) = raised.value.exceptions
    assert isinstance(error, SettingsError)
    assert "none.pem" in str(error)


@pytest.mark.parametrize(("host", "warnings"), [("127.0.0.1", 0), ("0.0.0.0", 1)])
async def test_open_bridge_on_a_public_address_warns_once(
    host: str, warnings: int, start_bridge: StartBridge, broker_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    http = HttpSettings(port=0, host=host)
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", http=http) as bridge:
        await until(lambda: bridge.health.ready)
    assert [one.levelname for one in caplog.records if "access is open" in one.message] == ["WARNING"] * warnings


async def test_open_bridge_needs_no_login_and_creates_no_admin(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    async with (
        start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge,
        aiohttp.ClientSession(f"http://127.0.0.1:{bridge.port}") as session,
    ):
        assert isinstance(bridge, Bridge)
        for shown in (
            {},
            {"Authorization": "Bearer nonsense"},
            {"Cookie": f"{SESSION_COOKIE}=x", "Origin": "https://evil.example"},
        ):
            async with session.get("/api/v1/readings", headers=shown) as answer:
                assert answer.status == 200
        async with session.get("/auth/me") as answer:
            assert (await answer.json())["required"] is False
        for path, body, status in (
            ("/auth/login", LOGIN, 401),
            ("/auth/setup", {"token": "x", "password": PASSWORD}, 403),
            ("/api/v1/users", {"name": "x", "password": PASSWORD, "role": "admin"}, 403),
        ):
            async with session.post(path, json=body) as answer:
                assert answer.status == status
