"""Tokens of an identity provider: RS256 or ES256, by the public keys it shows at its JWKS URL.

A key is an RSA or P-256 public key or it is left out, so none can be taken for the secret of another algorithm.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import jwt
import orjson

from bridge.access.tokens import THEIRS, Header, check_times, invalid, verified
from bridge.core.access.permissions import ROLE_PERMISSIONS, Identity, IdentityKind, Permission, ResourceScope, Role
from bridge.core.access.secrets import sha256_hex
from bridge.core.errors import TemporarilyUnavailable
from bridge.settings import AccessSettings

log = logging.getLogger(__name__)

ALGORITHMS = ("RS256", "ES256")

REFRESH_SECONDS = 10.0
"""Keys are fetched again for a key id that is not known, at most so often."""

AGE_SECONDS = 3600.0
"""And when they are so old; while that fails, those of before are good for a day."""

_STALE_SECONDS = 86_400.0
_FETCH_SECONDS = 5.0
_FETCH_BYTES = 256 * 1024
_KEYS_LIMIT = 64
_RSA_BITS = 2048
_EARLY_SECONDS = 30.0
_NAME_LENGTH = 128
_ALL = "*"


class OidcVerifier:
    """Reads them; the settings name issuer, audience and keys."""

    def __init__(self, settings: AccessSettings, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Keys are fetched when the first token comes."""
        self._settings = settings
        self._monotonic = monotonic
        self._keys: dict[tuple[str, str], Any] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._lock = asyncio.Lock()

    @property
    def expected(self) -> bool:
        """Whether there is an identity provider."""
        return self._settings.issuer is not None

    async def read(self, token: str, header: Header, now: float) -> Identity:
        """Whose it is; raises `Unauthorized`, and `TemporarilyUnavailable` when the keys are not to be had."""
        settings = self._settings
        if settings.issuer is None or settings.audience is None or header.algorithm not in ALGORITHMS:
            raise invalid()
        key = await self._key(header)
        claims = verified(token, key, header.algorithm, issuer=settings.issuer, audience=settings.audience, require=THEIRS)
        expires = check_times({"nbf": 0, **claims}, now, _EARLY_SECONDS)
        name = claims["sub"]
        if not isinstance(name, str) or not 0 < len(name) <= _NAME_LENGTH or not name.isprintable():
            raise invalid()
        grant = f"external:{sha256_hex(token.encode())[:32]}"
        rights, scope = permissions_from_claim(claims, settings.role_claim, settings.roles), scope_from_claims(claims, settings)
        if scope is not None:
            rights -= {Permission.ADMIN}  # who may administer has no bounds
        return Identity(IdentityKind.EXTERNAL, name, rights, scope, expires, grant)

    async def _key(self, header: Header) -> Any:  # noqa: ANN401 - of the library that PyJWT uses
        wanted = (header.key_id or "", header.algorithm)
        if wanted not in self._keys or self._age() > AGE_SECONDS:
            async with self._lock:
                if wanted not in self._keys or self._age() > AGE_SECONDS:
                    await self._refresh()
        if self._age() > _STALE_SECONDS:
            raise TemporarilyUnavailable("the keys of the identity provider are not to be had: try again soon")
        key = self._keys.get(wanted)
        if key is None:
            raise invalid()
        return key

    def _age(self) -> float:
        return float("inf") if self._fetched_at is None else self._monotonic() - self._fetched_at

    async def _refresh(self) -> None:
        """At most every so often, whoever asks."""
        now = self._monotonic()
        if self._tried_at is not None and now - self._tried_at < REFRESH_SECONDS:
            return
        self._tried_at = now
        try:
            self._keys = public_keys(await _fetched(self._settings.jwks_url or ""))
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            log.warning("the keys of the identity provider cannot be had: %s", type(error).__name__)
        else:
            self._fetched_at = now


async def _fetched(url: str) -> bytes:
    """No redirects: another place is not what the settings name."""
    timeout = aiohttp.ClientTimeout(total=_FETCH_SECONDS)
    async with (
        aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
        session.get(url, allow_redirects=False, headers={"Accept": "application/json"}) as answer,
    ):
        if answer.status != 200:
            raise ValueError(f"status {answer.status}")
        body = bytearray()
        async for part in answer.content.iter_chunked(16 * 1024):
            body += part
            if len(body) > _FETCH_BYTES:
                raise ValueError("too large")
        return bytes(body)


def public_keys(document: bytes) -> dict[tuple[str, str], Any]:
    """The keys of a JWKS that sign, by key id and algorithm. Raises `ValueError` for what is none."""
    body = orjson.loads(document)
    listed = body.get("keys") if isinstance(body, dict) else None
    if not isinstance(listed, list):
        raise ValueError("no JWKS")  # noqa: TRY004
    found: dict[tuple[str, str], Any] = {}
    for one in listed[:_KEYS_LIMIT]:
        algorithm = _algorithm(one) if isinstance(one, dict) else None
        if algorithm is None:
            continue
        try:
            key = jwt.PyJWK(one, algorithm).key
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        if algorithm == "RS256" and key.key_size < _RSA_BITS:
            continue
        found[one.get("kid") or "", algorithm] = key
    return found


def _algorithm(key: Mapping[str, Any]) -> str | None:
    """What it signs with, if it is public, and one of ours."""
    if key.get("use", "sig") != "sig" or "d" in key or not isinstance(key.get("kid", ""), str):
        return None
    meant = {"RSA": "RS256", "EC": "ES256"}.get(str(key.get("kty")))
    if meant == "ES256" and key.get("crv") != "P-256":
        return None
    return meant if key.get("alg", meant) == meant else None


def permissions_from_claim(claims: Mapping[str, Any], path: str, roles: Mapping[str, Role]) -> frozenset[Permission]:
    """The rights of all roles a claim names, a text or a list of them; a dot leads inside."""
    named = _named(claims, path, apart=True)
    allowed = [ROLE_PERMISSIONS[roles[name]] for name in named if name in roles]
    return frozenset().union(*allowed)


def scope_from_claims(claims: Mapping[str, Any], settings: AccessSettings) -> ResourceScope | None:
    """The sites and devices that claims name; None, all, where the settings name no claim for them or one of them is `*`."""
    if settings.site_claim is None and settings.device_claim is None:
        return None
    sites = _meant(claims, settings.site_claim, settings.sites)
    devices = _meant(claims, settings.device_claim, settings.devices)
    return None if _ALL in sites | devices else ResourceScope(devices, sites)


def _meant(claims: Mapping[str, Any], path: str | None, meanings: Mapping[str, str]) -> frozenset[str]:
    """What a claim names, as it is called here; what has no meaning where meanings are given is nothing."""
    named = () if path is None else _named(claims, path)
    return frozenset(meanings.get(name, "") if meanings else name for name in named) - {""}


def _named(claims: Mapping[str, Any], path: str, *, apart: bool = False) -> list[str]:
    """The texts that stand where a path leads; with `apart` one alone is of words."""
    value: Any = claims.get(path)
    if value is None:
        value = claims
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
    if apart and isinstance(value, str):
        return value.split()
    listed = value if isinstance(value, list) else [value]
    return [one for one in listed if isinstance(one, str)]
