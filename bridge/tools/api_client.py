"""Requests to the REST API of a running bridge, and the token or API key of the command line."""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson

from bridge.core.errors import BridgeError

_TIMEOUT_SECONDS = 20.0


def read_token(token: str | None, path: Path | None) -> str | None:
    """Return the token, or the first line of the file. Raises `BridgeError`; the message never contains the token."""
    if token is not None and path is not None:
        raise BridgeError("give either --token or --token-file")
    if path is not None:
        try:
            token = path.read_text("utf-8").partition("\n")[0]
        except (OSError, UnicodeDecodeError) as error:
            raise BridgeError(f"--token-file {path}: cannot be read: {getattr(error, 'strerror', 'not UTF-8')}") from None
    stripped = (token or "").strip()
    if token is not None and not (stripped.isascii() and stripped.isprintable() and " " not in stripped and stripped):
        raise BridgeError("--token, BRIDGE_TOKEN or the file of --token-file: not a token or API key")
    return stripped or None


def authorization_header(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


async def send_command(
    url: str, device: str, body: dict[str, Any], wait_seconds: float, token: str | None = None
) -> dict[str, Any]:
    """Send a command and return it; with `wait_seconds`, wait for its final state at most that long. Raises `BridgeError`."""
    command: dict[str, Any] = {}
    path = f"{url.rstrip('/')}/api/v1/devices/{quote(device, safe='')}/commands"
    try:
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout, headers=authorization_header(token)) as session:
            command = await _request(session, "POST", path, body)
            async with asyncio.timeout(wait_seconds or None):
                while wait_seconds and command["state"] in ("queued", "sent"):
                    await asyncio.sleep(0.2)
                    command = await _request(session, "GET", f"{path}/{command['id']}", None)
    except TimeoutError:
        if not command:
            raise BridgeError(f"the bridge at {url} did not answer in time") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise no_bridge(url, error) from None
    return command


async def call(
    url: str, method: str, path: str, body: dict[str, Any] | None = None, token: str | None = None
) -> dict[str, Any]:
    """Return the answer of a route. Raises `BridgeError`; the text is that of the bridge, or says that none answers."""
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
    try:
        async with aiohttp.ClientSession(timeout=timeout, headers=authorization_header(token)) as session:
            return await _request(session, method, f"{url.rstrip('/')}{path}", body)
    except TimeoutError:
        raise BridgeError(f"the bridge at {url} did not answer in time") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise no_bridge(url, error) from None


def no_bridge(url: str, error: Exception) -> BridgeError:
    """Return the error of a command whose bridge cannot be reached, with what to do."""
    if "Connect call failed" in str(error):  # asyncio's words, in whichever exception of aiohttp or Socket.IO
        return BridgeError(f"no bridge answers at {url}: connection refused: start it, or give its address with --url")
    return BridgeError(f"no bridge answers at {url}: {str(error) or type(error).__name__}")


async def _request(session: aiohttp.ClientSession, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
    async with session.request(method, path, data=None if body is None else orjson.dumps(body)) as response:
        result: dict[str, Any] = orjson.loads(await response.read())
        if not response.ok:
            raise BridgeError(_reason(result) or str(response.reason))
        return result


def _reason(problem: Any) -> str:  # noqa: ANN401 - the body of an error, of any program
    """Return the sentence of a problem document, or what is wrong with each of its fields."""
    if not isinstance(problem, dict):
        return ""
    errors = problem.get("errors")
    rows = [one for one in errors if isinstance(one, dict)] if isinstance(errors, list) else []
    fields = "; ".join(f"{one.get('field')}: {one.get('message')}" for one in rows)
    return fields or str(problem.get("detail") or problem.get("title") or "")
