"""A webhook: a POST of JSON, with an Idempotency-Key, signed if there is a secret."""

import asyncio
import hashlib
import hmac
from collections.abc import Collection
from pathlib import Path

import aiohttp
import orjson

from bridge.alarms.rules_file.notify_settings import NotifySettings
from bridge.core.errors import DeliveryFailed
from bridge.notify.merging import Notification
from bridge.notify.target import DEADLINE_SECONDS


class WebhookTarget:
    """Redirects are not followed: the alarm goes to the URL in the settings or nowhere."""

    def __init__(self, settings: NotifySettings) -> None:
        self._url = settings.webhook or ""
        self._secret_file = settings.secret_file
        self._session: aiohttp.ClientSession | None = None

    async def send(self, message: Notification, _: Collection[str]) -> None:
        content = orjson.dumps(message.public())
        headers = {"Content-Type": "application/json", "Idempotency-Key": message.id}
        if self._secret_file is not None:
            headers["X-Signature"] = signature(await asyncio.to_thread(_secret, self._secret_file), content)
        try:
            async with self._opened().post(self._url, data=content, headers=headers, allow_redirects=False) as response:
                status = response.status
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise DeliveryFailed(f"webhook: not reached: {_reason(error)}") from None
        if not 200 <= status < 300:
            raise DeliveryFailed(f"webhook: answered {status}: must answer 200 to 299")

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=DEADLINE_SECONDS)
            self._session = aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


def signature(secret: bytes, content: bytes) -> str:
    """Return the value of `X-Signature`."""
    return f"sha256={hmac.new(secret, content, hashlib.sha256).hexdigest()}"


def _secret(path: str) -> bytes:
    try:
        secret = Path(path).read_bytes().strip(b"\r\n")
    except OSError as error:
        raise DeliveryFailed(f"secret_file {path}: cannot be read: {error.strerror}") from None
    if not secret:
        raise DeliveryFailed(f"secret_file {path}: is empty")
    return secret


def _reason(error: Exception) -> str:
    """Return what happened without the URL, which may contain a secret."""
    inner = getattr(error, "os_error", None)
    return getattr(inner, "strerror", None) or type(error).__name__
