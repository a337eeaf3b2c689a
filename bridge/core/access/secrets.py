"""Secrets from the settings, compared in constant time."""

import hashlib
import hmac
from collections.abc import Mapping

from pydantic import SecretStr

KEY_PREFIX = "sbk_"
"""How every API key begins."""

HASHED = "sha256:"
"""How a secret that is given as its `sha256_hex` begins."""


def names_of_secret(secrets: Mapping[str, SecretStr], name: str | None, secret: str) -> list[str]:
    """Return the names whose secret this is: all of them, or `name` alone. All are compared, even after a match."""
    candidates = secrets if name is None else {name: secrets[name]} if name in secrets else {}
    return [candidate for candidate, expected in candidates.items() if _is_right(secret, expected.get_secret_value())]


def _is_right(secret: str, expected: str) -> bool:
    given = secret.encode("utf-8", "replace")
    if expected.startswith(HASHED):
        return matches_hash(given, expected.removeprefix(HASHED).lower())
    return hmac.compare_digest(given, expected.encode())


def sha256_hex(secret: bytes) -> str:
    """Return the SHA-256 hash in hexadecimal: strong enough for random secrets, never for passwords people choose."""
    return hashlib.sha256(secret).hexdigest()


def matches_hash(secret: bytes, expected: str) -> bool:
    """Whether `expected` is the `sha256_hex` of the secret."""
    return hmac.compare_digest(sha256_hex(secret).encode(), expected.encode())
