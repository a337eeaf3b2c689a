"""`sensor-bridge command`: a running bridge asked by its REST API."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson

from bridge.core.errors import BridgeError

_SECONDS = 10.0


async def send_command(url: str, device: str, body: dict[str, Any], wait_seconds: float) -> dict[str, Any]:
    """The command as it stands; with `wait_seconds`, once nothing more happens to it, or then. Raises `BridgeError`."""
    command: dict[str, Any] = {}
    path = f"{url.rstrip('/')}/api/v1/devices/{quote(device, safe='')}/commands"
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS)) as session:
            command = await _asked(session, "POST", path, body)
            async with asyncio.timeout(wait_seconds or None):
                while wait_seconds and command["state"] in ("queued", "sent"):
                    await asyncio.sleep(0.2)
                    command = await _asked(session, "GET", f"{path}/{command['id']}", None)
    except TimeoutError:
        if not command:
            raise BridgeError(f"the bridge at {url} did not answer in time") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise BridgeError(f"no bridge answers at {url}: {error}") from None
    return command


async def _asked(session: aiohttp.ClientSession, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
    async with session.request(method, path, data=None if body is None else orjson.dumps(body)) as answer:
        found: dict[str, Any] = orjson.loads(await answer.read())
        if not answer.ok:
            raise BridgeError(str(found.get("detail", answer.reason)))
        return found
