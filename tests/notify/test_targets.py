"""The targets against real servers on loopback: a webhook, Apprise's JSON target, a push service, a watchdog."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import http_ece
import jwt
import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bridge.alarms.rules_file.notify_settings import WatchdogSettings
from bridge.core.access.accounts import User, scope_of
from bridge.core.access.permissions import Role
from bridge.core.errors import DeliveryFailed, InvalidFields
from bridge.notify.apprise_target import AppriseTarget, recipient_key
from bridge.notify.merging import Notification, compose
from bridge.notify.notifier import TEST_MESSAGE
from bridge.notify.planning import plan
from bridge.notify.texts import DISCLAIMER
from bridge.notify.watchdog import Watchdog
from bridge.notify.web_push import VapidKeys, WebPushTarget, subscription_of
from bridge.notify.webhook import WebhookTarget
from tests.fakes import MemoryStore
from tests.notify.alarms import START, Receiver, raised, receiver, record, target
from tests.servers import until


def message(*devices: str) -> Notification:
    return compose(plan([raised(one) for one in devices or ("kitchen",)], [target()], START))


# --- webhook ---------------------------------------------------------------------------------------------------------------


async def test_a_webhook_receives_json_that_is_signed_and_has_a_key(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hush\n")
    async with receiver() as server:
        hook = WebhookTarget(target(webhook=f"{server.url}/hook", secret_file=str(secret)))
        await hook.send(message(), ())
        await hook.close()
    (post,) = server.posts
    body = orjson.loads(post.content)
    assert post.headers["Idempotency-Key"] == body["id"] == message().id
    assert post.headers["X-Signature"] == "sha256=" + hmac.new(b"hush", post.content, hashlib.sha256).hexdigest()
    assert (body["kind"], body["priority"], body["number"], body["alarms"]) == ("raised", "critical", 1, [record().public()])
    assert body["title"] == "CRITICAL: Carbon monoxide 212 ppm at kitchen"


@pytest.mark.parametrize("status", [301, 400, 500])
async def test_a_webhook_that_answers_otherwise_fails(status: int) -> None:
    async with receiver(status=status) as server:
        hook = WebhookTarget(target(webhook=f"{server.url}/hook?token=hush"))
        with pytest.raises(DeliveryFailed, match=f"webhook: answered {status}: must answer 200 to 299"):
            await hook.send(message(), ())
        await hook.close()
    assert len(server.posts) == 1


async def test_a_webhook_that_is_not_reached_fails_without_naming_its_url() -> None:
    hook = WebhookTarget(target(webhook="http://user:hush@127.0.0.1:9/hook"))
    with pytest.raises(DeliveryFailed, match="webhook: not reached: ") as caught:
        await hook.send(message(), ())
    await hook.close()
    assert "hush" not in str(caught.value)


async def test_a_webhook_without_its_secret_fails(tmp_path: Path) -> None:
    hook = WebhookTarget(target(secret_file=str(tmp_path / "none")))
    with pytest.raises(DeliveryFailed, match=r"secret_file .*none: cannot be read"):
        await hook.send(message(), ())
    await hook.close()


# --- Apprise ---------------------------------------------------------------------------------------------------------------


def json_url(server: Receiver, path: str = "") -> str:
    return server.url.replace("http://", "json://") + path


async def test_apprise_sends_title_body_and_kind(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with receiver() as server:
        apprise = AppriseTarget(target(webhook=None, to=(json_url(server, "/hush"),)))
        await apprise.send(message(), ())
        await apprise.close()
    body = orjson.loads(server.posts[0].content)
    assert (body["title"], body["type"]) == ("CRITICAL: Carbon monoxide 212 ppm at kitchen", "failure")
    assert "Not a life-safety device." in body["message"]
    assert "hush" not in "".join(one.getMessage() for one in caplog.records if not one.name.startswith("aiohttp"))


async def test_names_of_devices_are_no_markup_where_a_service_takes_html() -> None:
    hostile = compose(plan([raised(message="Heat at <a href='http://evil'>x</a>")], [target()], START))
    async with receiver() as server:
        apprise = AppriseTarget(target(webhook=None, to=(json_url(server, "?format=html"),)))
        group = compose(plan([raised(one, group="g", message="<b>x</b>") for one in "ab"], [target()], START))
        await apprise.send(hostile, ())
        await apprise.send(group, ())
        await apprise.close()
    bodies = [orjson.loads(post.content) for post in server.posts]
    assert len(bodies) == 2
    assert all("<b>" not in one["message"] and "<a " not in one["message"] for one in bodies)
    assert "&lt;b&gt;" in bodies[1]["message"]


async def test_apprise_names_what_failed_and_tells_the_others_only_once(tmp_path: Path) -> None:
    answers = iter([200, 500, 200])
    async with receiver(status=lambda: next(answers)) as server:
        file = tmp_path / "urls"
        file.write_text(f"# a comment\n\n{json_url(server, '/second?token=hush')}\n")
        first = json_url(server, "/first")
        apprise = AppriseTarget(target(webhook=None, to=(first,), to_file=str(file)))
        with pytest.raises(DeliveryFailed) as caught:
            await apprise.send(message(), ())
        assert str(caught.value) == "Apprise: URL 2 (JSON): refused or unavailable"
        assert caught.value.done == (recipient_key(first),)
        await apprise.send(message(), caught.value.done)
        await apprise.close()
    assert [post.path for post in server.posts] == ["/first", "/second", "/second"]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"to": ("nonsense://hush",)}, "URL 1: is no URL of Apprise"),
        ({"to": ("tgram://hush",)}, "URL 1: is no URL of Apprise"),
        ({"to": ("slack://hush/a",)}, "URL 1: is no URL of Apprise"),
        ({"to_file": "/nowhere/urls"}, "to_file /nowhere/urls: cannot be read: No such file or directory"),
    ],
)
async def test_apprise_says_what_is_wrong_with_its_urls(
    more: dict[str, Any], expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    apprise = AppriseTarget(target(webhook=None, **more))
    with pytest.raises(DeliveryFailed) as caught:
        await apprise.send(message(), ())
    await apprise.close()
    assert expected in str(caught.value)
    assert "hush" not in str(caught.value)
    assert "hush" not in caplog.text


async def test_apprise_that_hangs_takes_two_threads_at_most() -> None:
    async with receiver() as server:
        apprise = AppriseTarget(target(webhook=None, to=(json_url(server, "/hang?rto=60"),)))  # seconds, 4 without it
        hanging = [asyncio.ensure_future(apprise.send(message(), ())) for _ in range(2)]
        await until(lambda: len(server.posts) == 2)
        with pytest.raises(DeliveryFailed, match="earlier messages are still being sent"):
            await apprise.send(message(), ())
        server.hang.set()
        await asyncio.gather(*hanging)
        await apprise.send(message(), ())
        await apprise.close()


# --- Web Push --------------------------------------------------------------------------------------------------------------


class Browser:
    """What a browser has: a key pair and a secret, and the endpoint that its push service gave it."""

    def __init__(self, server: Receiver, name: str = "one") -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.secret = os.urandom(16)
        self.server = server
        self.path = f"/push/{name}"

    @property
    def subscription(self) -> dict[str, Any]:
        point = self.key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        keys = {"p256dh": encoded(point), "auth": encoded(self.secret)}
        return {"endpoint": f"{self.server.url}{self.path}", "expirationTime": None, "keys": keys}

    def messages(self) -> list[dict[str, Any]]:
        found = [post for post in self.server.posts if post.path == self.path]
        return [
            orjson.loads(http_ece.decrypt(post.content, private_key=self.key, auth_secret=self.secret, version="aes128gcm"))
            for post in found
        ]


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


LOOPBACK = ("127.0.0.1",)


async def subscribe(store: MemoryStore, browser: Browser, user: str = "ada") -> str:
    one = subscription_of(browser.subscription, user, START, LOOPBACK)
    await store.push.add(one)
    return one.id


async def store_with_users() -> MemoryStore:
    store = MemoryStore()
    await store.users.add(User("ada", Role.VIEWER, "x"))
    await store.users.add(User("bob", Role.VIEWER, "x", scope_of(["attic"], [])))
    return store


async def test_a_browser_decrypts_its_message_and_its_push_service_checks_who_sent_it() -> None:
    store = await store_with_users()
    async with receiver(status=201) as server:
        browser = Browser(server)
        await subscribe(store, browser)
        push = WebPushTarget(store, "mailto:me@example.org", access_required=True)
        await push.send(message(), ())
        await push.close()
        (content,) = browser.messages()
        assert content["title"] == "CRITICAL: Carbon monoxide 212 ppm at kitchen"
        assert content["alarm"] == record().id
        (post,) = server.posts
        assert (post.headers["TTL"], post.headers["Urgency"], post.headers["Content-Encoding"]) == (
            "86400",
            "high",
            "aes128gcm",
        )
        scheme, _, rest = post.headers["Authorization"].partition(" ")
        token, key = (part.partition("=")[2] for part in rest.split(","))
        assert (scheme, key) == ("vapid", await VapidKeys(store).public_key())
        point = base64.urlsafe_b64decode(key + "=" * (-len(key) % 4))
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        claims = jwt.decode(token, public, algorithms=["ES256"], audience=server.url)
        assert claims["sub"] == "mailto:me@example.org"


async def test_users_are_told_of_their_devices_alone() -> None:
    store = await store_with_users()
    async with receiver(status=201) as server:
        all_devices, attic = Browser(server, "ada"), Browser(server, "bob")
        await subscribe(store, all_devices, "ada")
        await subscribe(store, attic, "bob")
        push = WebPushTarget(store, "mailto:me@example.org", access_required=True)
        await push.send(message("kitchen", "attic", "hall"), ())
        await push.send(message("kitchen"), ())
        await push.close()
        assert [one["number"] for one in all_devices.messages()] == [3, 1]
        assert [one["title"] for one in attic.messages()] == ["CRITICAL: Carbon monoxide 212 ppm at attic"]


@pytest.mark.parametrize("status", [404, 410])
async def test_a_subscription_that_has_ended_is_removed(status: int) -> None:
    store = await store_with_users()
    async with receiver(status=status) as server:
        await subscribe(store, Browser(server))
        push = WebPushTarget(store, "mailto:me@example.org", access_required=True)
        await push.send(message(), ())
        await push.close()
    assert await store.push.all(10) == []


async def test_subscriptions_of_users_who_are_gone_are_removed_and_nobody_else_is_told() -> None:
    store = await store_with_users()
    async with receiver(status=201) as server:
        await subscribe(store, Browser(server, "gone"), "gone")
        await subscribe(store, Browser(server, "anyone"), "")
        push = WebPushTarget(store, "mailto:me@example.org", access_required=True)
        await push.send(message(), ())
        await push.close()
        assert server.posts == []
        assert [one.user for one in await store.push.all(10)] == [""]
        push = WebPushTarget(store, "mailto:me@example.org", access_required=False)
        await push.send(message(), ())
        await push.close()
        assert len(server.posts) == 1


@pytest.mark.parametrize("letter", ["x", "ж", "気", "🔥", '"'])
async def test_long_message_is_cut_to_what_push_services_take_and_keeps_the_disclaimer(letter: str) -> None:
    store = await store_with_users()
    async with receiver(status=201) as server:
        browser = Browser(server)
        await subscribe(store, browser)
        push = WebPushTarget(store, "mailto:me@example.org", access_required=True)
        long = replace(message().deliveries[0], title=letter * 300, body=f"{letter * 6000}\n{DISCLAIMER}")
        await push.send(compose([long]), ())
        await push.close()
        (content,) = browser.messages()
        assert content["title"] == letter * 300
        assert content["body"].startswith(letter * 300)
        assert content["body"].endswith(f"…\n{DISCLAIMER}")
        assert len(server.posts[0].content) <= 4096


async def test_subscription_does_not_pass_to_a_later_user_of_the_same_name() -> None:
    store = await store_with_users()
    await store.users.add(User("eve", Role.VIEWER, "x", created_ms=START + 1))
    async with receiver(status=201) as server:
        await subscribe(store, Browser(server), "eve")
        push = WebPushTarget(store, "mailto:me@example.org", access_required=True)
        await push.send(message(), ())
        await push.close()
        assert server.posts == []
        assert await store.push.all(10) == []


async def test_browsers_that_were_told_are_not_told_again() -> None:
    store = await store_with_users()
    answers = iter([500, 201, 201])
    async with receiver(status=lambda: next(answers)) as server:
        browsers = [Browser(server, "one"), Browser(server, "two")]
        for browser in browsers:
            await subscribe(store, browser)
        push = WebPushTarget(store, "mailto:me@example.org", access_required=True)
        with pytest.raises(DeliveryFailed, match="Web Push: 1 of 2 not told: the push service answered 500") as caught:
            await push.send(message(), ())
        await push.send(message(), caught.value.done)
        await push.close()
        assert sorted(len(browser.messages()) for browser in browsers) == [1, 2]


async def test_the_keys_of_the_bridge_are_made_once() -> None:
    store = MemoryStore()
    keys = [await VapidKeys(store).public_key() for _ in range(2)]
    assert keys[0] == keys[1]
    assert len(base64.urlsafe_b64decode(keys[0] + "==")) == 65


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"endpoint": "https://intranet.example/admin"}, "endpoint"),
        ({"endpoint": "http://fcm.googleapis.com/x"}, "endpoint"),
        ({"endpoint": "https://user@fcm.googleapis.com/x"}, "endpoint"),
        ({"endpoint": "https://fcm.googleapis.com.evil.example/x"}, "endpoint"),
        ({"endpoint": "https://127.0.0.1/x"}, "endpoint"),
        ({"endpoint": 5}, "endpoint"),
        ({"keys": {"p256dh": "AAAA", "auth": "!"}}, "keys.p256dh"),
        ({"keys": None}, "keys.auth"),
    ],
)
async def test_a_subscription_elsewhere_or_without_keys_is_refused(change: dict[str, Any], field: str) -> None:
    async with receiver() as server:
        body = Browser(server).subscription | {"endpoint": "https://fcm.googleapis.com/fcm/send/abc"}
        assert subscription_of(body, "ada", START).user == "ada"
        with pytest.raises(InvalidFields) as caught:
            subscription_of(body | change, "ada", START)
    assert field in caught.value.fields


async def test_a_test_message_reaches_every_kind_of_target() -> None:
    store = await store_with_users()
    async with receiver() as server:
        browser = Browser(server)
        await subscribe(store, browser)
        test = replace(TEST_MESSAGE, id="test-1")
        for one in (
            WebhookTarget(target(webhook=f"{server.url}/hook")),
            AppriseTarget(target(webhook=None, to=(json_url(server),))),
            WebPushTarget(store, "mailto:me@example.org", access_required=True),
        ):
            await one.send(test, ())
            await one.close()
        assert len(server.posts) == 3
        assert browser.messages()[0]["title"] == "Test of Sensor Bridge"


# --- watchdog --------------------------------------------------------------------------------------------------------------


async def test_the_watchdog_is_called_only_while_the_bridge_works() -> None:
    works = True
    async with receiver() as server:
        watchdog = Watchdog(WatchdogSettings(f"{server.url}/ping"), lambda: works, every_seconds=0.01)
        running = asyncio.create_task(watchdog.run())
        await until(lambda: watchdog.counts.answered >= 2)
        works = False
        await until(lambda: watchdog.counts.withheld >= 2)
        calls = len(server.posts)
        await until(lambda: watchdog.counts.withheld >= 4)
        assert len(server.posts) == calls
        works, server.status = True, 503
        await until(lambda: watchdog.counts.failed >= 1)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
