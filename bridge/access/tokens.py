"""The bridge's own access tokens: short-lived JWTs, signed with HS256 only. Keys named by a token's header are never used.

PyJWT verifies the signature before any claim is read; times are checked in this module, by the given clock.
"""

import hmac
import math
import re
import secrets
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt

from bridge.core.access.accounts import User, scope_from_document, scope_to_document
from bridge.core.access.channels import channels_of, channels_to_document
from bridge.core.access.permissions import ROLE_PERMISSIONS, Identity, IdentityKind, Permission, Role
from bridge.core.access.secrets import sha256_hex
from bridge.core.access.shared_links import SharedLink
from bridge.core.errors import Unauthorized

LIMIT = 8192
"""Characters of the longest token that is accepted; longer ones are not parsed."""

OWN_LIMIT = 4096
"""The same for the bridge's own tokens, which must fit into a cookie."""

_VERIFIED_LIMIT = 10_000
_LINK_PERMISSIONS = frozenset({Permission.READ})

ALGORITHM = "HS256"
ISSUER = AUDIENCE = "sensor-bridge"
EARLY_SECONDS = 5.0
"""Tolerated difference between the clocks of two bridges."""

ACCESS, COOKIE, JAR = "access", "cookie", "jar"
"""What a token is for, its claim `use`: one in a cookie is sent to every server of the host, so it counts in a cookie only.

`JAR` is in the cookie jar of a program, which logged in by form: no page can make that program send requests.
"""

_FORMAT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*", re.ASCII)
OURS = ("iss", "aud", "sub", "exp", "nbf", "jti")
THEIRS = ("iss", "aud", "sub", "exp")
"""Required claims of own tokens and of an identity provider's; many providers leave `nbf` and `jti` out."""


@dataclass(frozen=True, slots=True)
class Header:
    """The header of an unverified token, to choose the verifier. It is untrusted."""

    algorithm: str
    key_id: str | None


def read_header(token: str) -> Header:
    """Parse the header of a token. Raises `Unauthorized` if it is not a JWT, or needs an extension (`crit`, `b64`)."""
    if len(token) > LIMIT or not _FORMAT.fullmatch(token):
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
    """The claims of a token with a valid signature, issuer and audience. Raises `Unauthorized`. Times are not checked yet."""
    options: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "require": list(require)}
    try:
        claims: dict[str, Any] = jwt.decode(
            token, key, algorithms=[algorithm], issuer=issuer, audience=audience, options=options
        )
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise invalid() from None
    return claims


def check_times(claims: Mapping[str, Any], now: float, early: float = EARLY_SECONDS) -> float:
    """The time of expiry in seconds since the epoch. Raises `Unauthorized` for an expired or not yet valid token."""
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
    return Unauthorized("malformed", "this is not a token or an API key of this bridge")


def expired() -> Unauthorized:
    return Unauthorized("expired", "the token has expired: renew it, or log in again")


def invalid() -> Unauthorized:
    """The error for a token that fails verification; it does not tell which check failed."""
    return Unauthorized("invalid", "the token is not valid: log in again")


class Tokens:
    def __init__(self, secret: str, seconds: float) -> None:
        """Tokens are signed with `secret` and valid for `seconds`."""
        self._secret = secret.encode()
        self.key_id = sha256_hex(b"kid\0" + self._secret)[:16]
        self.seconds = seconds
        self._verified: OrderedDict[str, tuple[Identity, str]] = OrderedDict()

    def make(self, user: User, session_id: str, now: float, use: str = ACCESS) -> str:
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
            "use": use,
        }
        if user.channels is not None:
            claims["channels"] = channels_to_document(user.channels)
        return jwt.encode(claims, self._secret, algorithm=ALGORITHM, headers={"kid": self.key_id})

    def make_for_link(self, link: SharedLink, now: float) -> tuple[str, float]:
        """A token that reads what the link shows, and how many seconds it is valid: never longer than the link."""
        expires = min(now + self.seconds, link.expires_ms / 1000)
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": link.id,
            "iat": int(now),
            "nbf": int(now),
            "exp": int(expires),
            "jti": secrets.token_hex(8),
            "link": link.id,
            "scope": scope_to_document(link.scope),
            "use": ACCESS,
        }
        token = jwt.encode(claims, self._secret, algorithm=ALGORITHM, headers={"kid": self.key_id})
        return token, max(int(expires) - now, 0.0)

    def csrf_token(self, session_id: str) -> str:
        """The CSRF token of a session: as long as the session, and bound to it."""
        return hmac.digest(self._secret, f"csrf\0{session_id}".encode(), "sha256").hex()

    def read(self, token: str, header: Header, now: float, *, in_cookie: bool = False) -> Identity:
        """The identity of a token, which may be `in_cookie` or not. Raises `Unauthorized`."""
        if header.algorithm != ALGORITHM or header.key_id != self.key_id or len(token) > OWN_LIMIT:
            raise invalid()
        claims = verified(token, self._secret, ALGORITHM, issuer=ISSUER, audience=AUDIENCE)
        expires = check_times(claims, now)
        try:
            identity, use = _identity_of(claims, expires), claims["use"]
        except (KeyError, TypeError, ValueError):
            raise invalid() from None
        if use not in (ACCESS, COOKIE, JAR):
            raise invalid()
        _check_use(use, in_cookie=in_cookie)
        self._verified[sha256_hex(token.encode())] = identity, use
        while len(self._verified) > _VERIFIED_LIMIT:
            self._verified.popitem(last=False)
        return identity

    def use_of(self, token: str) -> str | None:
        """What a token is for; None unless it was verified before."""
        found = self._verified.get(_digest(token))
        return None if found is None else found[1]

    def known(self, token: str, now: float, *, in_cookie: bool = False) -> Identity | None:
        """The identity of a token that was verified before: 2 µs instead of 150. Raises `Unauthorized` as `read` does."""
        found = self._verified.get(_digest(token))
        if found is None:
            return None
        identity, use = found
        _check_use(use, in_cookie=in_cookie)
        if identity.expires is not None and now >= identity.expires:
            raise expired()
        return identity


def _identity_of(claims: Mapping[str, Any], expires: float) -> Identity:
    """Raises `KeyError`, `TypeError` and `ValueError` for claims that are not those of a session or of a shared link."""
    scope, name, of_link = scope_from_document(claims["scope"]), claims["sub"], "link" in claims
    grant = claims["link" if of_link else "sid"]
    if not isinstance(name, str) or not isinstance(grant, str):
        raise TypeError("names are texts")
    if of_link:
        return Identity(IdentityKind.LINK, name, _LINK_PERMISSIONS, scope, expires, f"link:{grant}")
    permissions, channels = ROLE_PERMISSIONS[Role(claims["role"])], channels_of(claims.get("channels"))
    return Identity(IdentityKind.PERSON, name, permissions, scope, expires, f"session:{grant}", channels)


def _digest(token: str) -> str:
    return sha256_hex(token.encode("utf-8", "replace"))


def _check_use(use: str, *, in_cookie: bool) -> None:
    if use != ACCESS and not in_cookie:
        raise invalid()
