"""Every attempt at the channels: the secure one in both modes, and accounts that are limited to some channels."""

from __future__ import annotations

from pathlib import Path

from bridge.core.access.channels import CHANNELS
from bridge.settings import DevicesSettings
from tests.access.attempts import A_GUESS, CREDENTIALS
from tests.access.parts import DEVICE_SECRET, PASSWORD, access_settings, guarded
from tests.access.tally import Tally
from tests.access.ways import (
    LISTENING,
    Attempt,
    attempted,
    by_query,
    ended,
    heard_pong,
    opened,
    plain_by_header,
    plain_by_message,
)
from tests.conftest import StartBridge

SECURE = {name: way for name, way in LISTENING.items() if name.startswith("/api/v1/ws/secure")}


async def test_secure_channel_is_open_to_valid_credentials_only_while_access_is_open(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path, tally: Tally
) -> None:
    store_url = f"sqlite:///{tmp_path}/bridge.db"
    async with guarded(start_bridge, broker_url, store_url) as made:
        shown = [(one, one.show(made)) for one in CREDENTIALS if one.name != A_GUESS]
    devices = DevicesSettings.model_validate({"credentials": {"esp01": DEVICE_SECRET}})
    async with (
        made.provider.serving(),
        start_bridge(broker_url, store_url, devices=devices, access=access_settings(made.provider, mode="open")) as bridge,
    ):
        for credential, text in shown:
            for name, way in SECURE.items():
                if name.endswith("subprotocol") and not set(text) <= _TOKEN_CHARACTERS:
                    continue
                try:
                    verdict = await attempted(way, bridge, text)
                except ValueError:  # refused by the client library
                    continue
                tally.note((name, credential.name, verdict.told), may=credential.good, let_in=verdict.let_in)
        for name, way in SECURE.items():
            verdict = await attempted(way, bridge, None)
            tally.note((name, "nothing"), may=False, let_in=verdict.let_in)
            assert verdict.code == 4401
        async with opened(bridge, "/api/v1/ws?channel=sensors") as socket:
            tally.note("the open channels beside it", may=True, let_in=(await heard_pong(socket))[0])
    tally.check()


_TOKEN_CHARACTERS = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~")


def ways_to(channel: str) -> dict[str, Attempt]:
    path = f"/api/v1/ws?channel={channel}"
    return {
        "header": plain_by_header(path),
        "message": plain_by_message(path),
        "secure": plain_by_header(f"/api/v1/ws/secure?channel={channel}"),
    }


async def test_accounts_limited_to_channels_listen_to_no_others(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path, tally: Tally
) -> None:
    async with guarded(start_bridge, broker_url, f"sqlite:///{tmp_path}/bridge.db") as made:
        user = {"name": "ana", "password": PASSWORD, "channels": ["sensors", "locations"]}
        assert (await made.as_("admin", "POST", "/api/v1/users", user))[0] == 201
        key = {"name": "ear", "rights": ["see"], "channels": ["readings"]}
        status, found = await made.as_("admin", "POST", "/api/v1/keys", key)
        assert (status, found["channels"]) == (201, ["readings"])
        limits = {
            (await made.login("ana"))[1]["access_token"]: {"sensors", "locations"},
            found["key"]: {"readings"},
            made.tokens["viewer"]: set(CHANNELS),
        }
        for token, channels in limits.items():
            for channel in CHANNELS:
                for name, way in ways_to(channel).items():
                    verdict = await attempted(way, made.bridge, token)
                    may = channel in channels
                    tally.note((name, channel, sorted(channels)), may=may, let_in=verdict.let_in)
                    assert may or verdict.code == 4403
            for name, way in LISTENING.items():
                if name.startswith(("/ws", "Socket.IO, auth", "long-polling, auth")) and not name.endswith("cookie"):
                    verdict = await attempted(way, made.bridge, token)
                    tally.note((name, sorted(channels)), may=len(channels) == len(CHANNELS), let_in=verdict.let_in)
        assert (await attempted(by_query, made.bridge, made.tokens["viewer"])).let_in
    tally.check()


async def test_change_of_channels_ends_connections(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> None:
    async with guarded(start_bridge, broker_url, f"sqlite:///{tmp_path}/bridge.db") as made:
        async with opened(made.bridge, f"/api/v1/ws/secure?channel=readings&token={made.tokens['one']}") as socket:
            assert (await heard_pong(socket))[0]
            assert (await made.as_("admin", "PATCH", "/api/v1/users/one", {"channels": ["sensors"]}))[0] == 200
            assert (await ended(socket))[0] == 4401
        token = (await made.login("one"))[1]["access_token"]
        async with opened(made.bridge, f"/api/v1/ws/secure?channel=readings&token={token}") as socket:
            assert (await ended(socket))[0] == 4403
