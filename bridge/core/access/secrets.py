"""Secrets of the settings: compared in a time that does not tell how far a guess was right."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from pydantic import SecretStr

_HASHED = "sha256:"


def match_secret(secrets: Mapping[str, SecretStr], name: str | None, secret: str) -> str | None:
    """The one whose secret it is; with `name` None every candidate is compared, whatever came of the others."""
    candidates = secrets if name is None else {name: secrets[name]} if name in secrets else {}
    matching = [one for one, kept in candidates.items() if _is_right(secret, kept.get_secret_value())]
    return matching[0] if matching else None


def _is_right(secret: str, kept: str) -> bool:
    given = secret.encode("utf-8", "replace")
    if kept.startswith(_HASHED):
        return matches_hash(given, kept.removeprefix(_HASHED).lower())
    return hmac.compare_digest(given, kept.encode())


def sha256_hex(secret: bytes) -> str:
    """SHA-256 in hexadecimal: enough for what is random, and for nothing that people choose."""
    return hashlib.sha256(secret).hexdigest()


def matches_hash(secret: bytes, kept: str) -> bool:
    """Whether `kept` is its hash."""
    return hmac.compare_digest(sha256_hex(secret).encode(), kept.encode())
