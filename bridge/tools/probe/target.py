"""The bridge under test: a URL, asked over HTTP."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import orjson

from bridge.core.errors import BridgeError
from bridge.tools.api_client import authorization_header
from bridge.tools.bench.address import Address
from bridge.tools.probe.findings import Failed

_SKEW_SECONDS = 60
"""From which on a clock is not taken for the bridge's; HTTP tells the time in whole seconds."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """To one request."""

    path: str
    status: int
    content_type: str
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The object that it is; raises `Failed` if it is none."""
        try:
            found = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            found = None
        if not isinstance(found, dict):
            raise Failed(f"{self.path} answers {self.status} with no JSON object but {self.content_type}")
        return found

    def expect(self, *statuses: int, remedy: str = "") -> HttpResponse:
        """Itself; raises `Failed` with what a problem says when its status is another."""
        if self.status in statuses:
            return self
        detail = ""
        if "json" in self.content_type:
            detail = str(self.json.get("detail", ""))[:300]
        raise Failed(f"{self.path} answers {self.status}{f': {detail}' if detail else ''}", remedy)


class ProbeTarget:
    """Every request has `patience` seconds."""

    def __init__(self, url: str, session: aiohttp.ClientSession, patience: float, token: str | None = None) -> None:
        """Raises `BridgeError` for what is no address of a bridge. `token` is shown wherever access may be required."""
        Address.parse(url)
        self.token = token
        self.shown = authorization_header(token)
        self.url = url.rstrip("/")
        self.session = session
        self.patience = patience
        self._ahead_ms = 0

    async def ask(self, method: str, path: str, body: object = None, **query: str | int) -> HttpResponse:
        """Any status is an answer; raises `Failed` when there is none."""
        data, headers = None if body is None else orjson.dumps(body), dict(self.shown)
        if data is not None:
            headers["Content-Type"] = "application/json"
        shown = f"{method} {path}"
        try:
            async with (
                asyncio.timeout(self.patience),
                self.session.request(method, self.url + path, params=query, data=data, headers=headers) as answer,
            ):
                self._note_clock(answer.headers.get("Date", ""))
                return HttpResponse(shown, answer.status, answer.content_type, await answer.read())
        except TimeoutError:
            raise Failed(f"{shown}: no answer within {self.patience:g} s", "look at the bridge's log and load") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Failed(f"{shown}: {_words(error)}", "look whether the bridge still runs") from None

    async def contact(self) -> None:
        """Find out whether a bridge is there at all; raises `BridgeError`, in one sentence."""
        try:
            answer = await self.ask("GET", "/health/live")
        except Failed as error:
            raise BridgeError(
                f"no bridge answers at {self.url}: {str(error).partition(': ')[2]}; start it, or name another with --url"
            ) from None
        if answer.status != 200 or "json" not in answer.content_type or answer.json.get("status") != "ok":
            raise BridgeError(
                f"what answers at {self.url} is no Sensor Bridge: {answer.path} is {answer.status} {answer.content_type}; "
                "name the bridge with --url"
            )

    def now_ms(self) -> int:
        """The bridge's time, where ours is so far from it that it would not believe our readings."""
        return time.time_ns() // 1_000_000 - self._ahead_ms

    def _note_clock(self, date: str) -> None:
        try:
            ahead_seconds = time.time() - parsedate_to_datetime(date).timestamp()
        except ValueError:
            return
        self._ahead_ms = round(ahead_seconds * 1000) if abs(ahead_seconds) > _SKEW_SECONDS else 0


def _words(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror)
    return str(error) or type(error).__name__
