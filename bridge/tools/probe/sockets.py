"""Plain WebSockets whose messages are JSON objects."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from bridge.tools.probe.results import Failed
from bridge.tools.probe.target import ProbeTarget

Json = dict[str, Any]


class Socket:
    """An open connection. Every wait has a deadline."""

    def __init__(self, path: str, websocket: aiohttp.ClientWebSocketResponse, timeout_seconds: float) -> None:
        self.path = path
        self._websocket = websocket
        self._timeout_seconds = timeout_seconds

    async def send(self, **message: object) -> None:
        """Send a message. Raises `Failed` if the connection is closed."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._websocket.send_str(orjson.dumps(message).decode())
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Failed(f"{self.path}: {str(error) or 'the message could not be sent in time'}") from None

    async def receive(self) -> Json:
        """Return the next message. Raises `Failed`."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return _parse_object(await self._websocket.receive_str())
        except TimeoutError:
            raise Failed(f"{self.path}: no answer within {self._timeout_seconds:g} s") from None
        except (aiohttp.WSMessageTypeError, ValueError):
            raise Failed(f"{self.path}: {self._close_reason}") from None

    async def read(self, on_message: Callable[[Json], None], on_close: Callable[[str], None], containing: str = "") -> None:
        """Pass each message that contains a text to `on_message`, and the reason of the end to `on_close`."""
        try:
            async for frame in self._websocket:
                if frame.type is aiohttp.WSMsgType.TEXT and containing in frame.data:
                    on_message(_parse_object(frame.data))
        except (KeyError, TypeError, ValueError) as error:
            on_close(f"{self.path}: received a message that violates the protocol: {error!r}")
        else:
            on_close(self._close_reason)

    @property
    def _close_reason(self) -> str:
        code = self._websocket.close_code
        return f"closed by the bridge with code {code}" if code else "the connection was lost"


@asynccontextmanager
async def connect(target: ProbeTarget, path: str, *, authenticated: bool = True) -> AsyncIterator[Socket]:
    """Connect; without the token unless `authenticated`. Raises `Failed`."""
    headers = target.headers if authenticated else {}
    try:
        async with asyncio.timeout(target.patience):
            websocket = await target.session.ws_connect(target.url + path, headers=headers)
    except aiohttp.WSServerHandshakeError as error:
        remedy = "a proxy in front of the bridge must forward `Upgrade: websocket`"
        raise Failed(f"{path}: the response to a WebSocket handshake is {error.status}", remedy) from None
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise Failed(f"{path}: {str(error) or f'no answer within {target.patience:g} s'}") from None
    try:
        yield Socket(path, websocket, target.patience)
    finally:
        await websocket.close()


@asynccontextmanager
async def cancelled_at_exit(task: asyncio.Task[None]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        task.cancel()


def _parse_object(text: str) -> Json:
    body = orjson.loads(text)
    if not isinstance(body, dict):
        raise TypeError("not a JSON object")
    return body
