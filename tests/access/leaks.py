"""What a bridge says while the tests of access run, searched for what they showed it: logs, errors, addresses, metrics."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterable
from urllib.parse import quote

CLIENTS = ("websockets.", "engineio.client", "socketio.client", "urllib3", "hpack")
"""Loggers of those who come: they may say what they send."""

_SHORTEST, _LONG = 8, 20  # a shorter part of a secret stands anywhere by chance


class Leaks(logging.Handler):
    """All that was said, and the secrets that may not be in it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))  # with its traceback
        self._said: list[tuple[str, str]] = []
        self._secrets: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith(CLIENTS):
            self.say(f"log of {record.name}", self.format(record))

    def say(self, where: str, what: object) -> None:
        """Something that others read."""
        self._said.append((where, what.decode("utf-8", "replace") if isinstance(what, bytes) else str(what)))

    def hide(self, *secrets: str) -> None:
        """What must not be said from now on, or before."""
        self._secrets.update(secrets)

    @property
    def seen(self) -> tuple[int, int]:
        """How many secrets, and how much was said."""
        return len(self._secrets), len(self._said)

    def found(self) -> set[str]:
        """Where, and the beginning of what."""
        text = "\0".join(what for _, what in self._said)
        bad = {form: secret for secret in self._secrets for form in forms(secret) if form in text}
        return {f"{where}: {secret[:6]}…" for form, secret in bad.items() for where, what in self._said if form in what}


def forms(secret: str) -> set[str]:
    """As it is, its last part (of a token the signature, of a key what opens), and as addresses and headers write it."""
    tails = (secret.rpartition(".")[2], secret.split("_", 2)[-1])
    parts = {secret, *(tail for tail in tails if len(tail) >= _LONG)}
    written = {form for part in parts for form in (part, quote(part, safe=""), *_in_base64(part))}
    return {form for form in written if len(form) >= _SHORTEST}


def _in_base64(text: str) -> Iterable[str]:
    """Wherever it begins in what was encoded, without the signs that its neighbours have a part in."""
    raw = text.encode()
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw).decode().rstrip("=")
        yield encoded[(0, 2, 3)[before] : -1]


LEAKS = Leaks()
"""Of this run: the tests of access fill it, and `conftest.py` looks when they are over."""
