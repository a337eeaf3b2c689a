"""A running bridge asked by its REST API, and what every command shows it: a token or key, if its access is required."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson

from bridge.core.errors import BridgeError

_SECONDS = 10.0


def read_token(token: str | None, path: Path | None) -> str | None:
    """What is shown: as it is, or the first line of a file. Raises `BridgeError`, never with what it is."""
    if token is not None and path is not None:
        raise BridgeError("give either --token or --token-file")
    if path is not None:
        try:
            token = path.read_text("utf-8").partition("\n")[0]
        except (OSError, UnicodeDecodeError) as error:
            raise BridgeError(f"--token-file {path}: cannot be read: {getattr(error, 'strerror', 'no text')}") from None
    shown = (token or "").strip()
    if token is not None and not (shown.isascii() and shown.isprintable() and " " not in shown and shown):
        raise BridgeError("--token, BRIDGE_TOKEN or the file of --token-file: is no token or key")
    return shown or None


def authorization_header(token: str | None) -> dict[str, str]:
    """The header that shows it."""
    return {} if token is None else {"Authorization": f"Bearer {token}"}


async def send_command(
    url: str, device: str, body: dict[str, Any], wait_seconds: float, token: str | None = None
) -> dict[str, Any]:
    """The command as it stands; with `wait_seconds`, once nothing more happens to it, or then. Raises `BridgeError`."""
    command: dict[str, Any] = {}
    path = f"{url.rstrip('/')}/api/v1/devices/{quote(device, safe='')}/commands"
    try:
        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout, headers=authorization_header(token)) as session:
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
