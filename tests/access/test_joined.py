"""Live connections of a whole bridge, with real tokens and keys, and everything that revokes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import orjson
import pytest

from bridge.access.service import AuthService
from bridge.realtime.auth.expiry import UNAUTHORIZED
from bridge.settings import AccessSettings, DevicesSettings, StoreSettings
from bridge.stores import open_store
from tests.access.attempts import A_GUESS, CREDENTIALS, Credential
from tests.access.parts import DEVICE_SECRET, Guarded, guarded
from tests.access.tally import Tally
from tests.access.ways import (
    DEVICES,
    LISTENING,
    Attempt,
    attempted,
    bearer,
    connect_packet,
    device_answer,
    ended,
    opened,
    received,
)
from tests.conftest import StartBridge
from tests.servers import until

REVOKED_SECONDS = 10.0
SOCKET_IO = "/socket.io/?EIO=4&transport=websocket"
AT_ONCE = 24


@pytest.fixture
async def guarded_bridge(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> AsyncIterator[Guarded]:
    async with guarded(start_bridge, broker_url, f"sqlite:///{tmp_path}/bridge.db") as made:
        yield made


async def acts(made: Guarded, act: str) -> list[tuple[str, str]]:
    """Actor and target of each event."""
    _, found = await made.as_("admin", "GET", f"/api/v1/audit?act={act}&limit=1000")
    return [(one["by"], one["about"]) for one in found["acts"]]


async def until_noted(made: Guarded, act: str, by: str, about: str) -> None:
    async with asyncio.timeout(30):
        while (by, about) not in await acts(made, act):
            await asyncio.sleep(0.05)


async def test_only_valid_credentials_open_a_socket(guarded_bridge: Guarded, tally: Tally) -> None:
    some_at_a_time = asyncio.Semaphore(AT_ONCE)

    async def tried(credential: Credential, name: str, way: Attempt, *, may: bool) -> None:
        async with some_at_a_time:
            try:
                verdict = await attempted(way, guarded_bridge.bridge, credential.show(guarded_bridge))
            except (ValueError, aiohttp.ClientError):  # refused by the client library
                return
        tally.note((credential.name, name, verdict), may=may, let_in=verdict.let_in)

    async def tried_as_device(credential: Credential) -> None:
        """One after the other: a second socket of a device replaces the first."""
        for name, way in DEVICES.items():
            await tried(credential, name, way, may=credential.good or credential.sends)

    async with asyncio.TaskGroup() as tasks:
        for credential in CREDENTIALS:
            for name, way in LISTENING.items():
                tasks.create_task(tried(credential, name, way, may=credential.good))
            if credential.name != A_GUESS:  # guesses there cause a lockout that would apply to this one
                tasks.create_task(tried_as_device(credential))
    tally.check()
    assert tally.attempts > 15 * len(CREDENTIALS)

    async def noted() -> bool:
        return any(by == "nobody" for by, _ in await acts(guarded_bridge, "refused"))

    await until(noted, what="a refusal in the audit log")


@pytest.mark.parametrize("name", DEVICES)
async def test_device_connects_with_its_key_or_its_secret(guarded_bridge: Guarded, name: str) -> None:
    for shown, good in (
        (guarded_bridge.keys["hall"], True),
        (DEVICE_SECRET, True),
        (guarded_bridge.keys["send"], True),
        (guarded_bridge.keys["command"], False),
        ("guessed", False),
    ):
        assert (await attempted(DEVICES[name], guarded_bridge.bridge, shown)).let_in == good


async def test_operator_of_one_site_receives_and_commands_that_site_only(guarded_bridge: Guarded) -> None:
    async with opened(guarded_bridge.bridge, SOCKET_IO) as socket:
        assert (await connect_packet(socket, guarded_bridge.tokens["kitchen"]))[0] == "40"
        for device in ("hall", "cellar", "stove"):
            reading = {"deviceId": device, "temperature": 30, "timestamp": 1_767_000_100}
            assert (await guarded_bridge.as_("send", "POST", "/api/v1/readings", reading))[0] == 201
        heard = []
        while "stove" not in heard:
            text = await received(socket)
            if text.startswith('42["sensorData"'):
                heard.append(orjson.loads(text[2:])[1]["data"]["deviceId"])
        assert heard == ["stove"]
        await socket.send('421["sendCommand",{"device":"hall","command":"on","queue":true}]')
        while not (answer := await received(socket)).startswith("431"):
            pass
        assert orjson.loads(answer[3:])[0]["ok"] is False
    await until_noted(guarded_bridge, "command refused", "kitchen", "hall")


async def test_command_over_a_socket_is_audited_with_its_actor(guarded_bridge: Guarded) -> None:
    async with opened(guarded_bridge.bridge, SOCKET_IO) as socket:
        assert (await connect_packet(socket, guarded_bridge.tokens["operator"]))[0] == "40"
        await socket.send('421["sendCommand",{"device":"hall","command":"on","queue":true}]')
        while not (answer := await received(socket)).startswith("431"):
            pass
        assert orjson.loads(answer[3:])[0]["ok"] is True
    await until_noted(guarded_bridge, "command", "operator", "hall")
    _, found = await guarded_bridge.as_("admin", "GET", "/api/v1/devices/hall/commands")
    assert found["commands"][0]["by"] == "person:operator"


async def log_out(made: Guarded) -> None:
    assert (await made.as_("viewer", "POST", "/auth/logout", {}))[0] == 204


async def remove_user(made: Guarded) -> None:
    assert (await made.as_("admin", "DELETE", "/api/v1/users/viewer"))[0] == 204


async def change_role(made: Guarded) -> None:
    assert (await made.as_("admin", "PATCH", "/api/v1/users/viewer", {"role": "operator"}))[0] == 200


async def by_the_command_line(made: Guarded) -> None:
    """Run by another process on the same store."""
    async with open_store(StoreSettings.model_validate({"url": made.store_url})) as store:
        elsewhere = AuthService(AccessSettings(), DevicesSettings(), store)
        await elsewhere.users.remove("viewer")


ENDS: dict[str, Callable[[Guarded], Awaitable[None]]] = {
    "logged out": log_out,
    "removed": remove_user,
    "another role": change_role,
    "removed by the command line": by_the_command_line,
}


@pytest.mark.parametrize("how", ENDS)
async def test_revocation_closes_every_socket_of_the_credentials(guarded_bridge: Guarded, how: str) -> None:
    token = guarded_bridge.tokens["viewer"]
    async with (
        opened(guarded_bridge.bridge, "/ws", headers=bearer(token)) as topics,
        opened(guarded_bridge.bridge, f"/api/v1/ws/secure?token={token}") as channels,
        opened(guarded_bridge.bridge, "/ws/device", headers=bearer(token)) as devices,
        opened(guarded_bridge.bridge, SOCKET_IO, headers=bearer(token)) as socketio,
        opened(guarded_bridge.bridge, "/ws", headers=bearer(guarded_bridge.tokens["operator"])) as another,
    ):
        assert (await connect_packet(socketio))[0] == "40"
        for socket in (topics, channels):
            await socket.send('{"type": "ping"}')
            while orjson.loads(await received(socket))["type"] != "pong":
                pass
        assert (await device_answer(devices))[0]
        began = time.monotonic()
        await ENDS[how](guarded_bridge)
        codes = [await ended(socket) for socket in (topics, channels, devices, socketio)]
        took = time.monotonic() - began
        assert codes == [(UNAUTHORIZED, "revoked")] * 4
        assert took < REVOKED_SECONDS
        await another.send('{"type": "ping"}')
        while orjson.loads(await received(another))["type"] != "pong":
            pass


async def test_removed_key_closes_the_socket_of_its_device(guarded_bridge: Guarded) -> None:
    key = guarded_bridge.keys["hall"]
    async with opened(guarded_bridge.bridge, "/ws/device", headers=bearer(key)) as socket:
        await socket.send('{"type": "hello"}')
        await received(socket)
        assert (await guarded_bridge.as_("admin", "DELETE", f"/api/v1/keys/{key.split('_')[1]}"))[0] == 204
        assert await ended(socket) == (UNAUTHORIZED, "revoked")
    assert not (await attempted(DEVICES["/ws/device, header"], guarded_bridge.bridge, key)).let_in
