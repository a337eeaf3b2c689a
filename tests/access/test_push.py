"""Who may subscribe a browser to Web Push, and whose subscription it is."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import aiohttp
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bridge.settings import StoreSettings
from bridge.settings.alarms import AlarmsSettings
from bridge.stores import open_store
from tests.access.parts import PEOPLE, guarded
from tests.conftest import StartBridge

KEY = "/api/v1/push"
SUBSCRIPTIONS = "/api/v1/push/subscriptions"

TARGET = '[[notify]]\nname = "browsers"\npush = true\ncontact = "mailto:me@example.org"\n'


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def browser(name: str = "abc", host: str = "fcm.googleapis.com") -> dict[str, Any]:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    keys = {"p256dh": encoded(point), "auth": encoded(os.urandom(16))}
    return {"endpoint": f"https://{host}/fcm/send/{name}", "expirationTime": None, "keys": keys}


async def test_a_browser_is_of_the_user_who_subscribes_it(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> None:
    ada, bob = [name for name in PEOPLE if name != "admin"][:2]
    async with guarded(start_bridge, broker_url, f"sqlite:///{tmp_path}/bridge.db") as made:
        status, found = await made.as_(ada, "GET", KEY)
        assert status == 200
        assert len(base64.urlsafe_b64decode(found["publicKey"] + "==")) == 65
        mine = browser()
        status, found = await made.as_(ada, "POST", SUBSCRIPTIONS, mine)
        assert status == 201
        path = f"{SUBSCRIPTIONS}/{found['id']}"
        assert await made.as_(ada, "POST", SUBSCRIPTIONS, mine) == (201, found)
        assert (await made.as_(bob, "POST", SUBSCRIPTIONS, mine))[0] == 403
        assert (await made.as_(bob, "DELETE", path))[0] == 404
        assert (await made.as_(ada, "DELETE", path))[0] == 204
        assert (await made.as_(ada, "DELETE", path))[0] == 404
        assert (await made.as_(bob, "POST", SUBSCRIPTIONS, mine))[0] == 201


async def test_programs_and_strangers_subscribe_nothing(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> None:
    async with guarded(start_bridge, broker_url, f"sqlite:///{tmp_path}/bridge.db") as made:
        assert (await made.ask("POST", SUBSCRIPTIONS, body=browser()))[0] == 401
        assert (await made.ask("GET", KEY))[0] == 401
        assert (await made.as_("see", "POST", SUBSCRIPTIONS, browser()))[0] == 403
        assert (await made.as_("send", "GET", KEY))[0] == 403


async def test_a_user_of_an_identity_provider_is_told_that_no_browser_can_be_notified(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    async with guarded(start_bridge, broker_url, f"sqlite:///{tmp_path}/bridge.db") as made:
        status, found = await made.as_("their boss", "GET", KEY)
        assert (status, found["state"]) == (200, "no-user")
        assert (await made.as_("their boss", "POST", SUBSCRIPTIONS, browser()))[0] == 403


async def test_bridge_says_whether_a_browser_would_be_told(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> None:
    rules = tmp_path / "alarms.toml"
    rules.write_text("")
    async with (
        start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db", alarms=AlarmsSettings(file=rules)) as bridge,
        aiohttp.ClientSession(f"http://127.0.0.1:{bridge.port}") as session,
    ):
        for text, state in (("", "no-target"), (TARGET, "ready")):
            rules.write_text(text)
            async with session.post("/api/v1/alarms/rules/reload") as answer:
                assert answer.status == 200
            async with session.get(KEY) as answer:
                assert (await answer.json())["state"] == state


async def test_a_browser_elsewhere_is_refused_with_the_reason(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    async with guarded(start_bridge, broker_url, f"sqlite:///{tmp_path}/bridge.db") as made:
        status, found = await made.as_("admin", "POST", SUBSCRIPTIONS, browser(host="intranet.example"))
        assert status == 422
        assert "must be an https:// URL of a push service" in str(found)


async def test_while_access_is_open_a_browser_is_of_nobody(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bridge.db"
    async with (
        start_bridge(broker_url, url) as bridge,
        aiohttp.ClientSession(f"http://127.0.0.1:{bridge.port}") as session,
        session.post(SUBSCRIPTIONS, json=browser()) as answer,
    ):
        assert answer.status == 201
    async with open_store(StoreSettings.model_validate({"url": url})) as store:
        assert [one.user for one in await store.push.all(10)] == [""]
