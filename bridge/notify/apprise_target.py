"""Apprise: e-mail, ntfy, Telegram and a hundred other services, each by a URL.

Its plugins block, so each target has its own two threads: one that hangs takes none away from anything else.
"""

import asyncio
import logging
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from bridge.alarms.rules_file.notify_settings import NotifySettings
from bridge.core.errors import DeliveryFailed
from bridge.notify.merging import Notification

_THREADS = 2
_URLS_LIMIT = 100
_TYPES = {"critical": "failure", "high": "warning", "cleared": "success"}


class AppriseTarget:
    """Recipients are the URLs; in `done` stands a hash of each, because a URL may contain a secret."""

    def __init__(self, settings: NotifySettings) -> None:
        self._settings = settings
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="apprise")
        self._busy = 0

    async def send(self, message: Notification, done: Collection[str]) -> None:
        if self._busy >= _THREADS:
            raise DeliveryFailed("Apprise: earlier messages are still being sent: the service hangs")
        self._busy += 1
        future = self._threads.submit(self._send, message, frozenset(done))
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: _on_loop(loop, self._free))
        await asyncio.wrap_future(future)

    def _free(self) -> None:
        self._busy -= 1

    def _send(self, message: Notification, done: frozenset[str]) -> None:
        """Run in a thread. The text is plain: services that take HTML or Markdown receive it escaped."""
        apprise = _library()
        kind = _TYPES.get("cleared" if message.kind == "cleared" else message.priority, "info")
        failures: list[str] = []
        told = set(done)
        for number, url in enumerate(self._urls(), start=1):
            key = recipient_key(url)
            if key in told:
                continue
            one = apprise.Apprise()
            if not one.add(url):
                failures.append(f"URL {number}: is no URL of Apprise")
            elif one.notify(title=message.title, body=message.body, notify_type=kind, body_format=apprise.NotifyFormat.TEXT):
                told.add(key)
            else:
                failures.append(f"URL {number} ({one[0].service_name}): refused or unavailable")
        if failures:
            raise DeliveryFailed(f"Apprise: {'; '.join(failures)}"[:500], sorted(told))

    def _urls(self) -> Sequence[str]:
        urls = list(self._settings.to)
        if self._settings.to_file is not None:
            urls += _read_urls(self._settings.to_file)
        if not urls or len(urls) > _URLS_LIMIT:
            raise DeliveryFailed(f"Apprise: has {len(urls)} URLs: must have 1 to {_URLS_LIMIT}")
        return urls

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def recipient_key(url: str) -> str:
    return sha256(url.encode()).hexdigest()[:16]


def _read_urls(path: str) -> list[str]:
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DeliveryFailed(f"to_file {path}: cannot be read: {getattr(error, 'strerror', 'not UTF-8')}") from None
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _on_loop(loop: asyncio.AbstractEventLoop, callback: Any) -> None:  # noqa: ANN401
    with suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(callback)


def _library() -> Any:  # noqa: ANN401
    """Import it when it is used: it takes half a second, and is an extra. Its log is off: it quotes URLs with tokens."""
    try:
        import apprise
    except ImportError:
        raise DeliveryFailed('Apprise is not installed: pip install "sensor-bridge[notify]"') from None
    logging.getLogger("apprise").disabled = True
    logging.getLogger("urllib3").setLevel(logging.WARNING)  # at DEBUG it writes the path of each request
    return apprise
