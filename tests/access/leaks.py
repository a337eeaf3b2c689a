"""The leak check: searches logs, errors, URLs and metrics of the access tests for their credentials."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterable
from urllib.parse import quote

CLIENTS = ("websockets.", "engineio.client", "socketio.client", "urllib3", "hpack")
"""Loggers of test clients, which may log what they send."""

_SHORTEST, _LONG = 8, 20  # shorter parts of a secret may occur by chance


class Leaks(logging.Handler):
    """Collects everything public and the secrets that must not be in it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))  # with its traceback
        self._said: dict[str, str] = {}
        """Each text once, and where it was said first."""
        self._sources: set[str] = set()
        self._secrets: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith(CLIENTS):
            self.say(f"log of {record.name}", self.format(record))

    def say(self, where: str, what: object) -> None:
        """Add a public text."""
        self._sources.add(where)
        self._said.setdefault(what.decode("utf-8", "replace") if isinstance(what, bytes) else str(what), where)

    def has_from(self, where: str) -> bool:
        """Whether a text of this source was added."""
        return where in self._sources

    def hide(self, *secrets: str) -> None:
        """Add secrets; texts added before are checked too."""
        self._secrets.update(secrets)

    @property
    def seen(self) -> tuple[int, int]:
        """The number of secrets and of different texts."""
        return len(self._secrets), len(self._said)

    def found(self) -> set[str]:
        """The source of each leak and the beginning of the secret."""
        text = "\0".join(self._said)
        written = {form: secret for secret in self._secrets for form in forms(secret)}
        # One pass for all that cannot be there: to search for each takes 20 s of CPU instead of one.
        starts = {form[:_SHORTEST] for form in written}.intersection(text[at : at + _SHORTEST] for at in range(len(text)))
        bad = {form: secret for form, secret in written.items() if form[:_SHORTEST] in starts and form in text}
        return {f"{where}: {secret[:6]}…" for form, secret in bad.items() for what, where in self._said.items() if form in what}


def forms(secret: str) -> set[str]:
    """A secret as it is, its last part (a token's signature, a key's secret), and its URL and base64 encodings."""
    tails = (secret.rpartition(".")[2], secret.split("_", 2)[-1])
    parts = {secret, *(tail for tail in tails if len(tail) >= _LONG)}
    written = {form for part in parts for form in (part, quote(part, safe=""), *_in_base64(part))}
    return {form for form in written if len(form) >= _SHORTEST}


def _in_base64(text: str) -> Iterable[str]:
    """The base64 of a secret at each offset, without the characters that depend on its neighbours."""
    raw = text.encode()
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw).decode().rstrip("=")
        yield encoded[(0, 2, 3)[before] : -1]


LEAKS = Leaks()
"""The leak check of this run: filled by these tests, evaluated by `conftest.py` at the end."""
