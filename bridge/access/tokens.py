"""The bridge's own tokens: short JWTs, HS256 and nothing else. What a header says of keys and algorithms is never followed.

PyJWT checks the signature; times are checked here, by the clock that is given, and nothing is read before the signature holds.
"""

from __future__ import annotations

import math
import re
import secrets
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt

from bridge.core.access.accounts import User, scope_from_document, scope_to_document
from bridge.core.access.permissions import ROLE_PERMISSIONS, Identity, IdentityKind, Role
from bridge.core.access.secrets import sha256_hex
from bridge.core.errors import Unauthorized

LIMIT = 8192
"""No token is longer, in characters; longer ones are not looked at."""

OWN_LIMIT = 4096
"""Nor one of ours: it fits into a cookie."""

_GOOD_LIMIT = 10_000

ALGORITHM = "HS256"
ISSUER = AUDIENCE = "sensor-bridge"
EARLY_SECONDS = 5.0
"""How far the clocks of two bridges may be apart."""

_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*", re.ASCII)
OURS = ("iss", "aud", "sub", "exp", "nbf", "jti")
THEIRS = ("iss", "aud", "sub", "exp")
"""Claims that must be there: many providers leave `nbf` and `jti` out."""


@dataclass(frozen=True, slots=True)
class Header:
    """What an unverified token says of itself: enough to choose who verifies it."""

    algorithm: str
    key_id: str | None


def read_header(token: str) -> Header:
    """Raises `Unauthorized` for what is no token, or asks for something special (`crit`)."""
    if len(token) > LIMIT or not _FORM.fullmatch(token):
        raise malformed()
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise malformed() from None
    algorithm, key_id = header.get("alg"), header.get("kid")
    if "crit" in header or "b64" in header or not isinstance(algorithm, str) or not isinstance(key_id, str | None):
        raise malformed()
    return Header(algorithm, key_id)


def verified(
    token: str,
    key: Any,  # noqa: ANN401 - PyJWT's
    algorithm: str,
    *,
    issuer: str,
    audience: str,
    require: Sequence[str] = OURS,
) -> dict[str, Any]:
    """The claims of a token that this key signed for us. Raises `Unauthorized`; its times are still to be checked."""
    options: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "require": list(require)}
    try:
        claims: dict[str, Any] = jwt.decode(
            token, key, algorithms=[algorithm], issuer=issuer, audience=audience, options=options
        )
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise invalid() from None
    return claims


def check_times(claims: Mapping[str, Any], now: float, early: float = EARLY_SECONDS) -> float:
    """When it expires, in seconds since the epoch; raises `Unauthorized` when that is over, or it is not valid yet."""
    expires, begins = _number(claims["exp"]), _number(claims["nbf"])
    if now >= expires:
        raise expired()
    if now + early < begins:
        raise Unauthorized("early", "the token is not valid yet")
    return expires


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or abs(value) > 2**53:
        raise invalid()
    return float(value)


def malformed() -> Unauthorized:
    """Not even a token."""
    return Unauthorized("malformed", "this is no token or key of ours")


def expired() -> Unauthorized:
    """One that was good."""
    return Unauthorized("expired", "the token has expired: renew it, or log in again")


def invalid() -> Unauthorized:
    """One that does not hold. Which part of it does not is nobody's business."""
    return Unauthorized("invalid", "the token is not valid: log in again")


class Tokens:
    """Makes and reads them."""

    def __init__(self, secret: str, seconds: float) -> None:
        """Signed with `secret`, valid for so many seconds."""
        self._secret = secret.encode()
        self._key_id = sha256_hex(b"kid\0" + self._secret)[:16]
        self.seconds = seconds
        self._good: OrderedDict[str, Identity] = OrderedDict()

    def make(self, user: User, session_id: str, now: float) -> str:
        """For a person who has logged in."""
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": user.id,
            "iat": int(now),
            "nbf": int(now),
            "exp": int(now + self.seconds),
            "jti": secrets.token_hex(8),
            "sid": session_id,
            "role": str(user.role),
            "scope": scope_to_document(user.scope),
        }
        return jwt.encode(claims, self._secret, algorithm=ALGORITHM, headers={"kid": self._key_id})

    def read(self, token: str, header: Header, now: float) -> Identity:
        """Whose it is; raises `Unauthorized`."""
        if header.algorithm != ALGORITHM or header.key_id != self._key_id or len(token) > OWN_LIMIT:
            raise invalid()
        claims = verified(token, self._secret, ALGORITHM, issuer=ISSUER, audience=AUDIENCE)
        expires = check_times(claims, now)
        try:
            role, scope, session_id = Role(claims["role"]), scope_from_document(claims["scope"]), claims["sid"]
        except (KeyError, TypeError, ValueError):
            raise invalid() from None
        if not isinstance(session_id, str) or not isinstance(claims["sub"], str):
            raise invalid()
        identity = Identity(IdentityKind.PERSON, claims["sub"], ROLE_PERMISSIONS[role], scope, expires, f"session:{session_id}")
        self._good[sha256_hex(token.encode())] = identity
        while len(self._good) > _GOOD_LIMIT:
            self._good.popitem(last=False)
        return identity

    def known(self, token: str, now: float) -> Identity | None:
        """Whose it is, if it held before, by its hash: 2 µs, where checking takes 150. Raises `Unauthorized` once expired."""
        identity = self._good.get(sha256_hex(token.encode("utf-8", "replace")))
        if identity is not None and identity.expires is not None and now >= identity.expires:
            raise expired()
        return identity
