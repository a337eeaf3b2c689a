"""Web Push to the browsers that users have subscribed: RFC 8030, encrypted by RFC 8291, signed by RFC 8292 (VAPID)."""

import asyncio
import base64
import time
from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from importlib.util import find_spec
from typing import Any, Protocol
from urllib.parse import urlsplit

import aiohttp
import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bridge.alarms.record import identifier
from bridge.core.access.accounts import User
from bridge.core.access.permissions import ResourceScope
from bridge.core.alarms.delivery import PushSubscription
from bridge.core.errors import DeliveryFailed, InvalidFields
from bridge.notify.merging import TITLE_LENGTH, Notification, restricted
from bridge.notify.target import DEADLINE_SECONDS
from bridge.notify.texts import DISCLAIMER
from bridge.ports import KeyValueStore, PushStore, UserStore

PUSH_SERVICES = ("fcm.googleapis.com", "*.push.services.mozilla.com", "*.push.apple.com", "*.notify.windows.com")
"""The hosts that browsers subscribe at. Others are refused: the bridge would send requests wherever a user wants."""

_KEY_NAME = "notify.vapid"
_READ_LIMIT = 10_000
_CONCURRENT = 20
_TTL_SECONDS = 86_400
_TOKEN_SECONDS = 3600
_CONTENT_BYTES = 3900
"""Encrypted, with 103 bytes more, it must have at most 4,096: push services refuse more."""

_URGENCIES = {"critical": "high", "high": "high"}
_ENDPOINT_LENGTH = 2048
_KEY_BYTES, _AUTH_BYTES = 65, 16


class PushStores(KeyValueStore, Protocol):
    @property
    def push(self) -> PushStore: ...

    @property
    def users(self) -> UserStore: ...


def is_installed() -> bool:
    """Whether the libraries that encrypt and sign messages are there."""
    return find_spec("pywebpush") is not None and find_spec("py_vapid") is not None


def subscription_of(body: Any, user: str, now_ms: int, services: Sequence[str] = PUSH_SERVICES) -> PushSubscription:  # noqa: ANN401
    """Return the subscription that a browser describes (`PushSubscription.toJSON()`). Raises `InvalidFields`.

    `user` is the name of the account, empty while access is open.
    """
    body = body if isinstance(body, dict) else {}
    raw_keys = body.get("keys")
    keys: Mapping[str, Any] = raw_keys if isinstance(raw_keys, dict) else {}
    endpoint, faults = body.get("endpoint"), {}
    if not isinstance(endpoint, str) or not _is_endpoint(endpoint, services):
        faults["endpoint"] = f"must be an https:// URL of a push service: {', '.join(services)}"
    for name, size in (("p256dh", _KEY_BYTES), ("auth", _AUTH_BYTES)):
        if len(_decoded(keys.get(name)) or b"") != size:
            faults[f"keys.{name}"] = f"must be {size} bytes in base64url"
    if faults:
        raise InvalidFields(faults)
    endpoint = str(endpoint)
    return PushSubscription(identifier(endpoint), user, endpoint, keys["p256dh"], keys["auth"], now_ms)


def _is_endpoint(endpoint: str, services: Sequence[str]) -> bool:
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    is_plain = len(endpoint) <= _ENDPOINT_LENGTH and endpoint.isascii() and endpoint.isprintable() and "@" not in parts.netloc
    is_known = any(fnmatchcase(host, one) or fnmatchcase(f"{host}:{port}", one) for one in services)
    return is_plain and is_known and (parts.scheme == "https" or host == "127.0.0.1")


def _decoded(text: object) -> bytes | None:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) if isinstance(text, str) and len(text) < 200 else None
    except ValueError:
        return None


class VapidKeys:
    """The key pair of this bridge, made once and stored."""

    def __init__(self, store: KeyValueStore) -> None:
        self._store = store
        self._pem: str | None = None

    async def pem(self) -> str:
        """Return the private key. Raises `StoreUnavailable`."""
        if self._pem is None:
            stored = await self._store.get(_KEY_NAME)
            self._pem = stored or await self._store.put_if_absent(_KEY_NAME, _new_pem())
        return self._pem

    async def public_key(self) -> str:
        """Return the key that a browser needs to subscribe (`applicationServerKey`), in base64url."""
        key = serialization.load_pem_private_key((await self.pem()).encode(), None)
        point = key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        return base64.urlsafe_b64encode(point).rstrip(b"=").decode()


def _new_pem() -> str:
    return (
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        .decode()
    )


class WebPushTarget:
    """Recipients are the subscriptions, by id. Each user is told of the devices in their scope alone."""

    def __init__(self, store: PushStores, contact: str, *, access_required: bool) -> None:
        """`contact` is a mailto: or https: URL. While access is required, subscriptions without a user are not served."""
        self._store = store
        self._contact = contact
        self._access_required = access_required
        self._keys = VapidKeys(store)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, message: Notification, done: Collection[str]) -> None:
        pem, told = await self._keys.pem(), set(done)
        limit = asyncio.Semaphore(_CONCURRENT)
        subscriptions = [one for one in await self._store.push.all(_READ_LIMIT) if one.id not in told]
        users = await self._users(subscriptions)

        async def tell(subscription: PushSubscription) -> str | None:
            async with limit:
                return await self._tell(subscription, users, message, pem)

        faults = await asyncio.gather(*map(tell, subscriptions))
        failures = [fault for fault in faults if fault]
        if failures:
            told |= {one.id for one, fault in zip(subscriptions, faults, strict=True) if not fault}
            raise DeliveryFailed(f"Web Push: {len(failures)} of {len(subscriptions)} not told: {failures[0]}", sorted(told))

    async def _users(self, subscriptions: Sequence[PushSubscription]) -> dict[str, User]:
        """Return the users of subscriptions who still exist, by name."""
        found = [await self._store.users.get(name) for name in {one.user for one in subscriptions} - {""}]
        return {user.id: user for user in found if user is not None}

    async def _tell(
        self, subscription: PushSubscription, users: Mapping[str, User], message: Notification, pem: str
    ) -> str | None:
        """Return what went wrong."""
        scope: ResourceScope | None = None
        if subscription.user:
            user = users.get(subscription.user)
            if user is None or subscription.created_ms < user.created_ms:  # made by another user, who had this name before
                await self._store.push.remove(subscription.id)
                return None
            if user.disabled:
                return None
            scope = user.scope
        elif self._access_required:
            return None

        def is_visible(device_id: str | None, site: str | None) -> bool:
            return scope is None or (device_id is not None and scope.contains(device_id, site or ""))

        seen = restricted(message, is_visible)
        if seen is None:
            return None
        content, headers = await asyncio.to_thread(_encrypted, subscription, push_content(seen), pem, self._contact)
        headers["Urgency"] = _URGENCIES.get(seen.priority, "normal")
        return await self._post(subscription, content, headers)

    async def _post(self, subscription: PushSubscription, content: bytes, headers: dict[str, str]) -> str | None:
        try:
            async with self._opened().post(
                subscription.endpoint, data=content, headers=headers, allow_redirects=False
            ) as response:
                status = response.status
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return type(error).__name__
        if status in (404, 410):
            await self._store.push.remove(subscription.id)
            return None
        return None if 200 <= status < 300 else f"the push service answered {status}"

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=DEADLINE_SECONDS)
            self._session = aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


def push_content(message: Notification) -> bytes:
    """Return what the service worker of the page shows."""
    alarm = message.alarms[0] if message.alarms else {}
    content = {
        "title": message.title[:TITLE_LENGTH],
        "body": "",
        "kind": message.kind,
        "priority": message.priority,
        "tag": str(alarm.get("group") or alarm.get("id") or message.id),
        "number": message.number,
        "alarm": alarm.get("id"),
    }
    return orjson.dumps(content | {"body": _shortened(message.body, _CONTENT_BYTES - len(orjson.dumps(content)))})


def _shortened(body: str, limit: int) -> str:
    """Return at most so many bytes of JSON; the disclaimer stays at the end."""
    if len(orjson.dumps(body)) <= limit:
        return body
    end = f"…\n{DISCLAIMER}"
    start = body[:limit]
    while len(orjson.dumps(start + end)) > limit:
        start = start[: len(start) * 9 // 10]
    return start + end


def _encrypted(subscription: PushSubscription, content: bytes, pem: str, contact: str) -> tuple[bytes, dict[str, str]]:
    """Run in a thread: 2 ms of elliptic curves."""
    try:
        from py_vapid import Vapid02
        from pywebpush import WebPusher
    except ImportError:
        raise DeliveryFailed('pywebpush is not installed: pip install "sensor-bridge[notify]"') from None
    parts = urlsplit(subscription.endpoint)
    keys = {"p256dh": subscription.p256dh, "auth": subscription.auth}
    encoded = WebPusher({"endpoint": subscription.endpoint, "keys": keys}).encode(content, content_encoding="aes128gcm")
    claims = {"sub": contact, "aud": f"{parts.scheme}://{parts.netloc}", "exp": int(time.time()) + _TOKEN_SECONDS}
    headers = Vapid02.from_pem(pem.encode()).sign(claims)
    return encoded["body"], {**headers, "Content-Encoding": "aes128gcm", "TTL": str(_TTL_SECONDS)}
