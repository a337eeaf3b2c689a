"""Access tokens of an OpenID Connect provider: RS256 or ES256, verified with the public keys at its JWKS URL.

Only RSA and P-256 public keys are taken from the JWKS, each for one algorithm, so that none can serve as an HMAC secret
(algorithm confusion, RFC 8725, section 3.1).
"""

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
from bridge.core.readings.identity import normalize_device_id
from bridge.settings import AccessSettings

log = logging.getLogger(__name__)

ALGORITHMS = ("RS256", "ES256")

REFRESH_SECONDS = 10.0
"""Shortest interval between two JWKS fetches that unknown key ids cause."""

AGE_SECONDS = 3600.0
"""Age at which the JWKS is fetched again, beside requests. While that fails, the old keys are used for a day."""

WAIT_SECONDS = 2.0
"""How long after the start of a fetch requests wait for it whose key is missing."""

_BACKOFF_SECONDS = 300.0  # longest interval between attempts while the provider is unavailable and the old keys serve
_STALE_SECONDS = 86_400.0
_FETCH_SECONDS = 5.0
_FETCH_BYTES = 256 * 1024
_KEYS_LIMIT = 64
_RSA_BITS = 2048
_EARLY_SECONDS = 30.0
_NAME_LENGTH = 128
_ALL = "*"


class OidcVerifier:
    """Verifies tokens by `issuer`, `audience` and `jwks_url` from the settings."""

    def __init__(self, settings: AccessSettings, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Keys are fetched with the first token."""
        self._settings = settings
        self._monotonic = monotonic
        self._keys: dict[tuple[str, str], Any] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._fetch: asyncio.Task[None] | None = None
        self._wait_until = 0.0  # by the clock of the event loop
        self._failures = 0

    @property
    def configured(self) -> bool:
        return self._settings.issuer is not None

    async def read(self, token: str, header: Header, now: float) -> Identity:
        """Verify a token. Raises `Unauthorized`; `TemporarilyUnavailable` if there are no keys to verify it with."""
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
            rights -= {Permission.ADMIN}  # an admin can extend any scope, including their own
        return Identity(IdentityKind.EXTERNAL, name, rights, scope, expires, grant)

    def refresh_if_old(self) -> None:
        """Start to fetch keys over an hour old again, at growing intervals while that fails.

        The owner calls it every second.
        """
        backoff = min(REFRESH_SECONDS * 2 ** max(self._failures - 1, 0), _BACKOFF_SECONDS)
        if self._fetched_at is not None and self._age() > AGE_SECONDS:
            self._start_fetch(backoff)

    async def close(self) -> None:
        """Cancel a fetch that is in progress."""
        if (fetch := self._fetch) is not None:
            fetch.cancel()
            await asyncio.wait({fetch})

    async def _key(self, header: Header) -> Any:  # noqa: ANN401 - a key of `cryptography`
        wanted = (header.key_id or "", header.algorithm)
        if wanted not in self._keys or self._age() > _STALE_SECONDS:
            await self._wait_for_fetch()
        else:
            self.refresh_if_old()
        if self._age() > _STALE_SECONDS:
            raise TemporarilyUnavailable("the keys of the identity provider are unavailable: try again soon")
        key = self._keys.get(wanted)
        if key is None:
            raise invalid()
        return key

    def _age(self) -> float:
        return float("inf") if self._fetched_at is None else self._monotonic() - self._fetched_at

    def _start_fetch(self, interval: float) -> None:
        """Start a fetch unless one is in progress or the last began less than `interval` seconds ago."""
        now = self._monotonic()
        if self._fetch is not None or (self._tried_at is not None and now - self._tried_at < interval):
            return
        self._tried_at = now
        self._wait_until = asyncio.get_running_loop().time() + WAIT_SECONDS
        self._fetch = asyncio.create_task(self._refresh(), name="fetch JWKS")
        self._fetch.add_done_callback(self._on_fetched)

    async def _wait_for_fetch(self) -> None:
        """Start a fetch if one is due, and wait for the one in progress, until `WAIT_SECONDS` after its start."""
        self._start_fetch(REFRESH_SECONDS)
        seconds = self._wait_until - asyncio.get_running_loop().time()
        if self._fetch is not None and seconds > 0:
            await asyncio.wait({self._fetch}, timeout=seconds)

    async def _refresh(self) -> None:
        self._keys = public_keys(await _fetch(self._settings.jwks_url or ""))
        self._fetched_at = self._monotonic()

    def _on_fetched(self, fetch: asyncio.Task[None]) -> None:
        """Log the first failure and the first success after it."""
        self._fetch = None
        if fetch.cancelled():
            return
        if (error := fetch.exception()) is None:
            if self._failures:
                log.info("access: JWKS available again after %d attempts", self._failures)
            self._failures = 0
            return
        self._failures += 1
        if self._failures == 1:
            if self._fetched_at is None:
                consequence = "tokens of the identity provider cannot be verified"
            else:
                consequence = f"cached keys of {self._age() / 60:.0f} minutes ago are used until they are a day old"
            log.warning(
                "access: JWKS not fetched (%s): %s; check access.jwks_url",
                type(error).__name__,
                consequence,
            )


async def _fetch(url: str) -> bytes:
    """Fetch without following redirects: keys come only from the URL in the settings."""
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
    """The usable signing keys of a JWKS, by key id and algorithm. Raises `ValueError` if it is not a JWKS."""
    body = orjson.loads(document)
    listed = body.get("keys") if isinstance(body, dict) else None
    if not isinstance(listed, list):
        raise ValueError("not a JWKS")  # noqa: TRY004
    keys: dict[tuple[str, str], Any] = {}
    for jwk in listed[:_KEYS_LIMIT]:
        algorithm = _algorithm(jwk) if isinstance(jwk, dict) else None
        if algorithm is None:
            continue
        try:
            key = jwt.PyJWK(jwk, algorithm).key
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        if algorithm == "RS256" and key.key_size < _RSA_BITS:
            continue
        keys[jwk.get("kid") or "", algorithm] = key
    return keys


def _algorithm(jwk: Mapping[str, Any]) -> str | None:
    """The algorithm of a public signing key; None if it is private, for encryption, or of another algorithm."""
    if jwk.get("use", "sig") != "sig" or "d" in jwk or not isinstance(jwk.get("kid", ""), str):
        return None
    algorithm = {"RSA": "RS256", "EC": "ES256"}.get(str(jwk.get("kty")))
    if algorithm == "ES256" and jwk.get("crv") != "P-256":
        return None
    return algorithm if jwk.get("alg", algorithm) == algorithm else None


def permissions_from_claim(claims: Mapping[str, Any], path: str, roles: Mapping[str, Role]) -> frozenset[Permission]:
    """The permissions of all roles in a claim: a string of words, or a list. A dot in `path` descends into an object."""
    named = _names(claims, path, split=True)
    allowed = [ROLE_PERMISSIONS[roles[name]] for name in named if name in roles]
    return frozenset().union(*allowed)


def scope_from_claims(claims: Mapping[str, Any], settings: AccessSettings) -> ResourceScope | None:
    """The sites and devices in the claims. None (every device) if the settings name no claim, or a claim contains `*`."""
    if settings.site_claim is None and settings.device_claim is None:
        return None
    sites = _mapped(claims, settings.site_claim, settings.sites)
    devices = frozenset(map(normalize_device_id, _mapped(claims, settings.device_claim, settings.devices)))
    return None if _ALL in sites | devices else ResourceScope(devices, sites)


def _mapped(claims: Mapping[str, Any], path: str | None, mapping: Mapping[str, str]) -> frozenset[str]:
    """The names in a claim, translated by the mapping if there is one; names outside it are dropped."""
    names = () if path is None else _names(claims, path)
    return frozenset(mapping.get(name, "") if mapping else name for name in names) - {""}


def _names(claims: Mapping[str, Any], path: str, *, split: bool = False) -> list[str]:
    """The strings at a path; with `split`, a single string is split into words."""
    value: Any = claims.get(path)
    if value is None:
        value = claims
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
    if split and isinstance(value, str):
        return value.split()
    values = value if isinstance(value, list) else [value]
    return [name for name in values if isinstance(name, str)]
