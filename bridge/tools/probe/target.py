"""The bridge under test, and requests to it."""

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
from bridge.tools.probe.results import Failed

_SKEW_SECONDS = 60
"""Difference above which the bridge's clock is used; HTTP dates have whole seconds."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The response to `request`, which is method and path."""

    request: str
    status: int
    content_type: str
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body as a JSON object. Raises `Failed` if it is not one."""
        try:
            body = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            body = None
        if not isinstance(body, dict):
            raise Failed(f"{self.request}: {self.status} with {self.content_type}, which is not a JSON object")
        return body

    def expect(self, *statuses: int, remedy: str = "") -> "HttpResponse":
        """Return the response. Raises `Failed` with the detail of the problem if the status differs."""
        if self.status in statuses:
            return self
        detail = str(self.json.get("detail", ""))[:300] if "json" in self.content_type else ""
        raise Failed(f"{self.request}: the response is {self.status}{f': {detail}' if detail else ''}", remedy)


class ProbeTarget:
    """Sends requests with a deadline of `patience` seconds."""

    def __init__(self, url: str, session: aiohttp.ClientSession, patience: float, token: str | None = None) -> None:
        """Raises `BridgeError` if `url` is not the address of a bridge. Requests that may need access present `token`."""
        Address.parse(url)
        self.token = token
        self.headers = authorization_header(token)
        self.url = url.rstrip("/")
        self.session = session
        self.patience = patience
        self._ahead_ms = 0

    async def request(self, method: str, path: str, body: object = None, **query: str | int) -> HttpResponse:
        """Return the response with any status. Raises `Failed` if there is none."""
        data, headers = None if body is None else orjson.dumps(body), dict(self.headers)
        if data is not None:
            headers["Content-Type"] = "application/json"
        name = f"{method} {path}"
        try:
            async with (
                asyncio.timeout(self.patience),
                self.session.request(method, self.url + path, params=query, data=data, headers=headers) as response,
            ):
                self._update_clock(response.headers.get("Date", ""))
                return HttpResponse(name, response.status, response.content_type, await response.read())
        except TimeoutError:
            raise Failed(f"{name}: no response within {self.patience:g} s", "check the bridge's log and load") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Failed(f"{name}: {_reason(error)}", "check that the bridge is running") from None

    async def check_is_bridge(self) -> None:
        """Check that a bridge responds. Raises `BridgeError`."""
        try:
            response = await self.request("GET", "/health/live")
        except Failed as error:
            reason = str(error).partition(": ")[2]
            raise BridgeError(f"no bridge answers at {self.url}: {reason}; start it, or give another --url") from None
        if response.status != 200 or "json" not in response.content_type or response.json.get("status") != "ok":
            raise BridgeError(
                f"{self.url} is not a Sensor Bridge: {response.request}: {response.status} {response.content_type}; "
                "give the URL of the bridge with --url"
            )

    def now_ms(self) -> int:
        """Return the time; the bridge's, if ours is so different that the bridge would reject our readings."""
        return time.time_ns() // 1_000_000 - self._ahead_ms

    def _update_clock(self, date: str) -> None:
        try:
            ahead_seconds = time.time() - parsedate_to_datetime(date).timestamp()
        except ValueError:
            return
        self._ahead_ms = round(ahead_seconds * 1000) if abs(ahead_seconds) > _SKEW_SECONDS else 0


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror)
    return str(error) or type(error).__name__
