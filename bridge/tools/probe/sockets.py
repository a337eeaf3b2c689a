"""Plain WebSockets, read until they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from bridge.tools.probe.findings import Failed
from bridge.tools.probe.target import ProbeTarget

Json = dict[str, Any]


class Socket:
    """One connection whose messages are JSON objects. Every wait has the target's patience."""

    def __init__(self, path: str, wire: aiohttp.ClientWebSocketResponse, patience: float) -> None:
        """It is open."""
        self.path = path
        self._wire = wire
        self._patience = patience

    async def send(self, **message: object) -> None:
        """Raises `Failed` when it is closed."""
        try:
            async with asyncio.timeout(self._patience):
                await self._wire.send_str(orjson.dumps(message).decode())
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Failed(f"{self.path}: {str(error) or 'does not take what is sent'}") from None

    async def answer(self) -> Json:
        """The next message; raises `Failed`."""
        try:
            async with asyncio.timeout(self._patience):
                return _object(await self._wire.receive_str())
        except TimeoutError:
            raise Failed(f"{self.path}: no answer within {self._patience:g} s") from None
        except (aiohttp.WSMessageTypeError, ValueError):
            raise Failed(f"{self.path}: {self._how_it_ended}") from None

    async def read(self, hear: Callable[[Json], None], end: Callable[[str], None], about: str = "") -> None:
        """Give `hear` each message in which the text `about` stands; when there will be none, tell `end` why."""
        try:
            async for arrived in self._wire:
                if arrived.type is aiohttp.WSMsgType.TEXT and about in arrived.data:
                    hear(_object(arrived.data))
        except (KeyError, TypeError, ValueError) as error:
            end(f"{self.path} sent something else than the contract has: {error!r}")
        else:
            end(self._how_it_ended)

    @property
    def _how_it_ended(self) -> str:
        return f"closed by the bridge with {self._wire.close_code}" if self._wire.close_code else "the connection was lost"


@asynccontextmanager
async def connected(target: ProbeTarget, path: str, *, showing: bool = True) -> AsyncIterator[Socket]:
    """Raises `Failed`. Where the first message is to say who it is, nothing is shown."""
    try:
        async with asyncio.timeout(target.patience):
            wire = await target.session.ws_connect(target.url + path, headers=target.shown if showing else {})
    except aiohttp.WSServerHandshakeError as error:
        raise Failed(
            f"{path} answers {error.status} to a WebSocket", "a proxy before the bridge must pass on `Upgrade: websocket`"
        ) from None
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise Failed(f"{path}: {str(error) or f'no answer within {target.patience:g} s'}") from None
    try:
        yield Socket(path, wire, target.patience)
    finally:
        await wire.close()


@asynccontextmanager
async def under_way(reading: asyncio.Task[None]) -> AsyncIterator[None]:
    """End what reads."""
    try:
        yield
    finally:
        reading.cancel()


def _object(text: str) -> Json:
    found = orjson.loads(text)
    if not isinstance(found, dict):
        raise TypeError("not a JSON object")
    return found
