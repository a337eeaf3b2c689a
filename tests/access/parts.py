"""A bridge with access required, its users and clients, and their credentials."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import aiohttp
import jwt
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pydantic import SecretStr

from bridge.access.tokens import AUDIENCE, ISSUER, Tokens
from bridge.app import Bridge
from bridge.core.access.accounts import User
from bridge.core.access.permissions import Permission, ResourceScope, Role
from bridge.settings import AccessSettings, AlarmsSettings, DevicesSettings, HttpSettings
from bridge.stores import open_store
from tests.access.leaks import LEAKS
from tests.conftest import StartBridge

SECRET = "only for tests: 64 bytes, so that HS512 takes it too, and no more secret than this"
PASSWORD = "correct horse battery staple"
DEVICE_SECRET = "esp-secret-of-the-settings"
THEIR_ISSUER, THEIR_AUDIENCE = "https://id.example.org", "air"
PEOPLE: Mapping[str, tuple[Role, ResourceScope | None]] = {
    "admin": (Role.ADMIN, None),
    "operator": (Role.OPERATOR, None),
    "viewer": (Role.VIEWER, None),
    "kitchen": (Role.OPERATOR, ResourceScope(frozenset(), frozenset({"Kitchen"}))),
    "one": (Role.VIEWER, ResourceScope(frozenset({"hall"}))),
}
"""Role and scope by name; all have the same password."""

GIVEN_OUT = ("access_token", "refresh_token", "key")
"""Secrets in responses that are returned once."""

READ_BY_MANY = ("/metrics", "/websocket/status", "/health", "/api/v1/devices")
READ_ONCE = ("/api/openapi.json", "/api/docs")
"""The same of every bridge with the same routes, which takes each half a second of CPU to describe."""

READ_BY_ADMINS = ("/api/v1/users", "/api/v1/keys", "/api/v1/audit?limit=1000")

THEIR_PEOPLE: Mapping[str, Any] = {
    "their boss": {"sites": "everything"},
    "their kitchen": {"sites": ["plant-1", "plant-2", 1, None]},
    "their hall": {"devices": ["hall"]},
    "their nobody": {},
    "their stranger": {"sites": ["Kitchen", "Hall", "*", "$ne"], "devices": {"$ne": 1}},
}
"""Users of the identity provider with the role boss, by the scope claims of their tokens."""


def encoded(part: object) -> str:
    """One part of a token, in base64url."""
    raw = part if isinstance(part, bytes) else orjson.dumps(part)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(header: object, claims: object, secret: bytes) -> str:
    """A token made by hand, since libraries refuse to make invalid ones."""
    text = f"{encoded(header)}.{encoded(claims)}"
    return f"{text}.{encoded(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    """The key of all providers of this process: to find one takes 100 ms of CPU."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Provider:
    """An identity provider with its keys and tokens."""

    def __init__(self) -> None:
        self.rsa = rsa_key()
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self.asked = 0
        self.status = 200
        self.answers = asyncio.Event()
        self.answers.set()
        self.keys = [self.jwk(self.rsa, "r1"), self.jwk(self.ec, "e1")]
        self.url = ""

    @staticmethod
    def jwk(key: Any, key_id: str, **more: object) -> dict[str, Any]:
        algorithm: Any = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
        return {**orjson.loads(algorithm.to_jwk(key.public_key())), "kid": key_id, "use": "sig", **more}

    @property
    def public_pem(self) -> bytes:
        kind = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.rsa.public_key().public_bytes(serialization.Encoding.PEM, kind)

    def token(self, algorithm: str = "RS256", key_id: str | None = "r1", key: Any = None, **claims: object) -> str:
        shown = {"iss": THEIR_ISSUER, "aud": THEIR_AUDIENCE, "sub": "eve", "exp": int(time.time()) + 600, "roles": ["staff"]}
        shown["air"] = {"sites": "everything"}
        made = {name: value for name, value in (shown | claims).items() if value is not None}
        signer = key or (self.rsa if algorithm == "RS256" else self.ec)
        return jwt.encode(made, signer, algorithm=algorithm, headers={"kid": key_id} if key_id else {})

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        LEAKS.say("a request to the identity provider", f"{request.path_qs} {request.headers}")
        await self.answers.wait()
        return web.json_response({"keys": self.keys}, status=self.status)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Provider]:
        app = web.Application()
        app.add_routes([web.get("/jwks", self._answer)])
        async with TestServer(app, host="127.0.0.1") as server:
            self.url = f"http://127.0.0.1:{server.port}/jwks"
            yield self


def access_settings(provider: Provider | None = None, **more: object) -> AccessSettings:
    """Settings with access required, and the identity provider if given."""
    given: dict[str, Any] = {"mode": "required", "secret": SecretStr(SECRET), **more}
    if provider is not None:
        given |= {"issuer": THEIR_ISSUER, "audience": THEIR_AUDIENCE, "jwks_url": provider.url}
        given |= {"roles": {"staff": "viewer", "boss": "admin"}, "device_claim": "air.devices", "site_claim": "air.sites"}
        given |= {"sites": {"plant-1": "Kitchen", "everything": "*"}}
    return AccessSettings.model_validate(given)


ACCESS = [
    pytest.param(AccessSettings(), id="open"),
    pytest.param(access_settings(admin_password=SecretStr(PASSWORD)), id="required"),
]
"""For `@pytest.mark.parametrize("access", ACCESS)`: tests that hold with access open and required."""


@dataclass
class Guarded:
    """A running bridge with users, keys and devices, and their credentials."""

    bridge: Bridge
    session: aiohttp.ClientSession
    provider: Provider
    store_url: str
    tokens: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    refresh: dict[str, str] = field(default_factory=dict)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.bridge.port}"

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: object = None
    ) -> tuple[int, Any, Mapping[str, str]]:
        """Status, body (parsed if JSON) and headers of a request without any stored cookie."""
        given = dict(headers or {})
        data = body if isinstance(body, bytes | None) else orjson.dumps(body)
        if data is not None:
            given.setdefault("Content-Type", "application/json")
        async with self.session.request(method, self.base + path, headers=given, data=data) as answer:
            raw = await answer.read()
            found = orjson.loads(raw) if "json" in answer.content_type else raw
            given_out = [found.get(name) for name in GIVEN_OUT] if isinstance(found, dict) else []
            LEAKS.hide(*(one for one in given_out if isinstance(one, str)))
            if answer.status >= 300:
                LEAKS.say(f"{answer.status} of {method} {path.partition('?')[0]}", f"{answer.headers} {raw!r}")
            return answer.status, found, answer.headers

    async def as_(self, who: str, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """A request with the token or key of this user or program."""
        status, found, _ = await self.ask(method, path, self.showing(who), body)
        return status, found

    def showing(self, who: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens.get(who) or self.keys[who]}"}

    async def login(self, name: str, password: str = PASSWORD, **more: object) -> tuple[int, Any, Mapping[str, str]]:
        return await self.ask("POST", "/auth/login", body={"username": name, "password": password, "cookies": False, **more})


def own_tokens(secret: str = SECRET) -> Tokens:
    """The bridge's own issuer of tokens."""
    return Tokens(secret, 3600)


def own_token(role: Role = Role.ADMIN) -> str:
    """A token for a bridge with `access_settings`, valid for an hour."""
    return own_tokens().make(User("tester", role, ""), "0" * 24, time.time())


def claims(**more: object) -> dict[str, Any]:
    """The claims of a valid own token with some replaced; None removes one."""
    now = int(time.time())
    valid = {
        "iss": ISSUER, "aud": AUDIENCE, "sub": "admin", "iat": now, "nbf": now, "exp": now + 600, "jti": "1",
        "sid": "0" * 24, "role": "admin", "scope": None, "use": "access",
    }  # fmt: skip
    return {name: value for name, value in (valid | more).items() if value is not None or name == "scope"}


def key_id() -> str:
    """The `kid` of own tokens."""
    return str(jwt.get_unverified_header(own_tokens().make(User("a", Role.VIEWER, ""), "s", 0))["kid"])


@asynccontextmanager
async def guarded(
    start_bridge: StartBridge, broker_url: str, store_url: str, *, alarms: AlarmsSettings | None = None, **http: Any
) -> AsyncIterator[Guarded]:
    """A bridge with everyone in `PEOPLE` logged in, a key for each permission, and two more."""
    provider = Provider()
    devices = DevicesSettings.model_validate({"credentials": {"esp01": DEVICE_SECRET}})
    async with (
        provider.serving(),
        start_bridge(
            broker_url,
            store_url,
            http=HttpSettings.model_validate({"port": 0, **http}),
            devices=devices,
            alarms=alarms,
            access=access_settings(provider, admin_password=SecretStr(PASSWORD)),
        ) as bridge,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
    ):
        made = Guarded(bridge, session, provider, store_url)
        for name in PEOPLE:
            if name != "admin":
                role, scope = PEOPLE[name]
                places = {} if scope is None else {"devices": sorted(scope.devices), "sites": sorted(scope.sites)}
                given = {"name": name, "password": PASSWORD, "role": role, **places}
                assert (await made.as_("admin", "POST", "/api/v1/users", given))[0] == 201
            status, found, _ = await made.login(name)
            assert status == 200, found
            made.tokens[name], made.refresh[name] = found["access_token"], found["refresh_token"]
        for name, air in THEIR_PEOPLE.items():
            made.tokens[name] = provider.token(roles=["boss"], sub=name, air=air)
        LEAKS.hide(PASSWORD, SECRET, DEVICE_SECRET, *made.tokens.values())
        for right in Permission:
            await _add_key(made, right, {"name": f"may {right}", "rights": [right]})
        await _add_key(made, "hall", {"name": "hall", "device": True})
        await _add_key(made, "bounded", {"name": "gateway", "rights": ["see", "send", "manage"], "sites": ["Kitchen"]})
        for device, site in (("stove", "Kitchen"), ("fridge", "Kitchen"), ("hall", "Hall"), ("cellar", None)):
            placed = {"id": device} | ({"site": site} if site else {})
            assert (await made.as_("admin", "POST", "/api/v1/devices", placed))[0] == 201
            reading = {"deviceId": device, "temperature": 20, "timestamp": 1_767_000_000}
            assert (await made.as_("send", "POST", "/api/v1/readings", reading))[0] == 201
        yield made
        LEAKS.say("the settings", repr(bridge._settings))
        read_once = tuple(path for path in READ_ONCE if not LEAKS.has_from(path))
        for who, paths in (("see", READ_BY_MANY + read_once), ("administer", READ_BY_ADMINS)):
            for path in paths:
                _, found = await made.as_(who, "GET", path)
                LEAKS.say(path, found if isinstance(found, bytes) else orjson.dumps(found))


async def _add_key(made: Guarded, name: str, given: dict[str, object]) -> None:
    status, found = await made.as_("admin", "POST", "/api/v1/keys", given)
    assert status == 201, found
    made.keys[name] = found["key"]


async def stored_sessions(store_url: str, user: str) -> int:
    """The number of stored sessions of a user."""
    from bridge.settings import StoreSettings

    async with open_store(StoreSettings(url=SecretStr(store_url))) as store:
        return len(await store.sessions.by_user(user))


async def at_once(*jobs: Any) -> list[Any]:
    return list(await asyncio.gather(*jobs))
