"""Devices at a real Mosquitto, with the files that the command line writes."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import orjson
import pytest
from pydantic import SecretStr

from bridge.access.api_keys import ApiKeys
from bridge.access.mosquitto.accounts import BrokerAccounts
from bridge.access.mosquitto.files import (
    bridge_rules,
    device_rules,
    hashed_password,
    matches_password,
    with_password,
    with_rules,
)
from bridge.access.provisioning import DeviceProvisioning
from bridge.access.revocations import Revocations
from bridge.app import Bridge
from bridge.core.errors import AccountError, BridgeError, BrokerUnavailable
from bridge.settings import MqttSettings
from bridge.sources.mqtt.client import MqttSender, mqtt_sender
from tests.access.parts import PASSWORD, access_settings
from tests.access.typed import Command, command_line
from tests.conftest import StartBridge
from tests.fakes import MemoryStore
from tests.servers import REPO, ClosedMosquitto, until

OWN_PASSWORD = "the bridge's own at the broker"
CLIENT_ID = "sensor-bridge"
READING = b'{"temperature": 21, "timestamp": 1767000000}'


@dataclass
class Site:
    """A broker that requires accounts, the bridge and the command line."""

    broker: ClosedMosquitto
    bridge: Bridge
    command: Command
    folder: Path

    async def enrolled(self, device: str) -> str:
        code, key, err = await self.command("device", "add", device)
        assert code == 0, err
        assert "the broker reloads its files" in err
        return key.strip()

    def account(self, name: str, password: str) -> MqttSettings:
        """The settings of a device."""
        url = SecretStr(f"mqtt://127.0.0.1:{self.broker.port}")
        return MqttSettings(url=url, username=name, password=SecretStr(password))

    @asynccontextmanager
    async def known(self, name: str, password: str, client_id: str | None = None) -> AsyncIterator[MqttSender]:
        """A client with this account, after the broker has reloaded its files."""

        async def let_in() -> bool:
            return not await self.refused(name, password)

        await until(let_in, what=f"{name} let in")
        async with mqtt_sender(self.account(name, password), client_id) as sender:
            yield sender

    async def refused(self, name: str, password: str) -> bool:
        try:
            async with mqtt_sender(self.account(name, password)):
                return False
        except BrokerUnavailable:
            return True

    @property
    def stored(self) -> int:
        return self.bridge.ledger.account("mqtt").stored


@pytest.fixture
async def site(start_bridge: StartBridge, tmp_path: Path) -> AsyncIterator[Site]:
    folder, store = tmp_path / "accounts", f"sqlite:///{tmp_path}/bridge.db"
    folder.mkdir()
    broker = ClosedMosquitto(folder)
    own = {"BRIDGE_MQTT__USERNAME": "bridge", "BRIDGE_MQTT__PASSWORD": OWN_PASSWORD, "BRIDGE_STORE__URL": store}
    files = {f"BRIDGE_MQTT__FILES__{name.upper()}": str(folder / name) for name in ("passwords", "acl")}
    command = command_line(tmp_path, **own, **files, BRIDGE_MQTT__FILES__PID=str(folder / "mosquitto.pid"))
    assert (await command("device", "broker"))[:2] == (0, "bridge is the bridge's account\n")
    broker.start()
    try:
        url = f"mqtt://bridge:{OWN_PASSWORD.replace(' ', '%20')}@127.0.0.1:{broker.inner_port}"
        access = access_settings(admin_password=SecretStr(PASSWORD))
        async with start_bridge(url, store, client_id=CLIENT_ID, access=access) as bridge:
            yield Site(broker, bridge, command, folder)
    finally:
        broker.kill()


async def test_device_publishes_as_itself_over_mqtt_and_http_with_one_key(site: Site) -> None:
    key = await site.enrolled("esp01")
    async with site.known("esp01", key) as device:
        for topic in ("sensors/hall/data", "sensors/esp01/other", "events/alerts", "sensors/hall/status", "sensors/esp01/data"):
            await device.publish(topic, READING)
        await until(lambda: site.stored == 1, what="its own reading stored")  # foreign topics were published before it
    assert [one.received for one in (site.bridge.ledger.account("mqtt"),)] == [1]
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
        url = f"http://127.0.0.1:{site.bridge.port}/api/v1/readings"
        for device_id, status in (("esp01", 201), ("hall", 403)):
            body = {"deviceId": device_id, "temperature": 5, "timestamp": 1767000001}
            async with session.post(url, json=body) as answer:
                assert answer.status == status


async def test_device_receives_its_own_commands_only(site: Site) -> None:
    keys = {name: await site.enrolled(name) for name in ("esp01", "hall")}
    async with site.known("esp01", keys["esp01"]) as device, site.known("hall", keys["hall"]) as other:
        await device.subscribe("sensors/+/command")
        await device.subscribe("#")
        await device.publish("sensors/esp01/status", b"online")
        await other.publish("sensors/hall/status", b"online")
        async with aiohttp.ClientSession() as session:
            base = f"http://127.0.0.1:{site.bridge.port}"
            async with session.post(f"{base}/auth/login", json={"username": "admin", "password": PASSWORD}) as answer:
                headers = {"Authorization": f"Bearer {(await answer.json())['access_token']}"}
            for name in ("hall", "esp01"):
                body = {"command": f"of {name}", "queue": True}
                async with session.post(f"{base}/api/v1/devices/{name}/commands", json=body, headers=headers) as answer:
                    assert answer.status == 202
        async with asyncio.timeout(30):
            heard = orjson.loads(await anext(device.arrived()))
    assert heard["command"] == "of esp01"


async def test_broker_refuses_wrong_missing_and_foreign_passwords(site: Site) -> None:
    esp, hall = await site.enrolled("esp01"), await site.enrolled("hall")
    async with site.known("hall", hall):
        assert await site.refused("esp01", hall)
        assert await site.refused("esp01", esp[:-1])
        assert await site.refused("nobody", esp)
        assert await site.refused("bridge", esp)
        with pytest.raises(BrokerUnavailable):
            async with mqtt_sender(MqttSettings(url=SecretStr(f"mqtt://127.0.0.1:{site.broker.port}"))):
                pass


async def test_device_cannot_take_over_the_session_of_the_bridge_by_its_client_id(site: Site) -> None:
    key = await site.enrolled("esp01")
    async with site.known("esp01", key, client_id=CLIENT_ID) as device:
        await device.publish("sensors/esp01/data", READING)
        await until(lambda: site.stored == 1, what="stored")
    log = site.broker.log.read_text()
    assert "already connected" not in log
    assert log.count(f"as {CLIENT_ID} ") == 1
    assert (await site.command("device", "add", "bridge"))[0] == 1
    assert (await site.command("device", "add", CLIENT_ID))[0] == 1


async def test_new_key_replaces_the_old_one_and_removal_voids_both(site: Site) -> None:
    await site.command("device", "add", "hall")
    before = await site.enrolled("aa:bb:cc")
    async with site.known("aa%3Abb%3Acc", before) as device:
        await device.publish("sensors/aa:bb:cc/data", READING)
        await until(lambda: site.stored == 1, what="stored")
    code, out, err = await site.command("device", "add", "aa:bb:cc")
    assert (code, out, "already has credentials" in err) == (0, "", True)
    code, after, _ = await site.command("device", "passwd", "aa:bb:cc")
    assert code == 0
    async with asyncio.timeout(30):  # the broker reloads its files with a delay
        while await site.refused("aa%3Abb%3Acc", after.strip()):
            await asyncio.sleep(0.05)
    assert await site.refused("aa%3Abb%3Acc", before)
    code, listed, _ = await site.command("device", "list")
    assert [line.split("│")[4].strip() for line in listed.splitlines() if "│" in line] == ["yes", "yes"]
    assert after.strip().rpartition("_")[2] not in listed
    assert (await site.command("device", "remove", "aa:bb:cc"))[0] == 0
    async with asyncio.timeout(30):
        while not await site.refused("aa%3Abb%3Acc", after.strip()):
            await asyncio.sleep(0.05)
    for name in ("passwords", "acl"):
        text = (site.folder / name).read_text()
        assert ("aa" in text, "hall" in text, "bridge" in text) == (False, True, True)
        assert stat.S_IMODE((site.folder / name).stat().st_mode) == 0o600
    assert (await site.command("device", "remove", "aa:bb:cc"))[0] == 1


# --- the files ---------------------------------------------------------------------------------------------------------------


def settings(folder: Path, **more: object) -> MqttSettings:
    return MqttSettings.model_validate({"files": {"passwords": folder / "passwords", "acl": folder / "acl"}, **more})


def enrolment(folder: Path, store: MemoryStore, **more: object) -> DeviceProvisioning:
    keys = ApiKeys(store.keys, Revocations(store.sessions, lambda: 1.8e9), lambda: 1.8e9)
    return DeviceProvisioning(keys, BrokerAccounts(settings(folder, **more)), by="a test")


def test_documented_examples_match_the_written_files() -> None:
    acl = (REPO / "config" / "mosquitto-acl.example").read_text()
    for user, rules in (("bridge", bridge_rules(MqttSettings())), ("esp01", device_rules(MqttSettings(), "esp01"))):
        assert "\n".join((f"user {user}", *rules)) in acl
    passwords = (REPO / "config" / "mosquitto-passwords.example").read_text()
    assert [line.partition(":")[0] for line in passwords.splitlines() if line[0] != "#"] == ["bridge", "esp01", "forecast"]


@pytest.mark.parametrize(
    "hand_written", ["user grafana\ntopic read sensors/#\n", "topic read public/#\n# mine\n\npattern read x/%u\n"]
)
def test_rules_of_other_accounts_stay_and_writing_is_idempotent(hand_written: str) -> None:
    once = with_rules(hand_written, "esp01", ("topic read a",))
    assert once == hand_written + "\nuser esp01\ntopic read a\n"
    assert with_rules(once, "esp01", ("topic read a",)) == once
    assert with_rules(once, "esp01", ()) == hand_written
    assert with_rules(once, "esp0", ()) == once


def test_passwords_of_other_accounts_stay() -> None:
    text = "# mine\ngrafana:$7$1$a$b\nesp01:$7$1$a$b\n"
    assert with_password(text, "esp01", None) == "# mine\ngrafana:$7$1$a$b\n"
    assert with_password(text, "grafana", "$7$x") == "# mine\nesp01:$7$1$a$b\ngrafana:$7$x\n"


def test_password_matches_its_own_hash_only() -> None:
    kept = hashed_password("tülip", 101)
    assert matches_password("tülip", kept)
    assert not matches_password("tulip", kept)
    assert not matches_password("tülip", "$6$abc$def")
    assert not matches_password("tülip", "$7$101$=$x")


def test_device_rules_follow_the_subscriptions() -> None:
    given = [{"pattern": "rooms/{deviceId}/{field}", "format": "scalar"}, {"pattern": "raw/+/x"}, {"pattern": "{deviceId}/#"}]
    other = MqttSettings.model_validate({"subscriptions": given, "commands": "do/{deviceId}"})
    assert device_rules(other, "e1") == ("topic write rooms/e1/+", "topic write e1/#", "topic read do/e1")
    assert bridge_rules(other)[-1] == "topic write do/+"


async def test_file_keeps_its_mode_except_for_access_by_others(tmp_path: Path) -> None:
    (tmp_path / "passwords").write_text("")
    (tmp_path / "passwords").chmod(0o644)
    await enrolment(tmp_path, MemoryStore()).add("esp01")
    assert stat.S_IMODE((tmp_path / "passwords").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "acl").stat().st_mode) == 0o600
    assert sorted(one.name for one in tmp_path.iterdir()) == ["acl", "passwords"]


async def test_no_key_is_left_behind_if_a_file_cannot_be_written(tmp_path: Path) -> None:
    store = MemoryStore()
    (tmp_path / "passwords").mkdir()
    with pytest.raises(BridgeError, match="passwords"):
        await enrolment(tmp_path, store).add("esp01")
    assert await store.keys.all() == []


async def test_account_made_by_hand_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "passwords").write_text("grafana:$7$1$a$b\n")
    (tmp_path / "acl").write_text("user grafana\ntopic read sensors/#\n")
    store = MemoryStore()
    for work in (enrolment(tmp_path, store).add, enrolment(tmp_path, store).remove):
        with pytest.raises(BridgeError):
            await work("grafana")
    assert await store.keys.all() == []
    assert (tmp_path / "passwords").read_text() == "grafana:$7$1$a$b\n"


@pytest.mark.parametrize("name", ["", ".", "..", " a", "a\nuser b", "a//b", "#", "+", "x" * 129, "a\u2028user b", "a\x85"])
async def test_invalid_device_id_is_not_written_to_a_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(AccountError):
        await enrolment(tmp_path, MemoryStore()).add(name)
    assert list(tmp_path.iterdir()) == []


async def test_concurrent_writers_lose_no_account(tmp_path: Path) -> None:
    accounts = [BrokerAccounts(settings(tmp_path)) for _ in range(20)]
    await asyncio.gather(*(asyncio.to_thread(one.put_device, f"d{n}", "k") for n, one in enumerate(accounts)))
    assert all(accounts[0].has_device(f"d{n}") for n in range(20))


def test_stale_pid_file_signals_no_other_process(tmp_path: Path) -> None:
    import os

    (tmp_path / "pid").write_text(str(os.getpid()))
    files = {"passwords": tmp_path / "p", "acl": tmp_path / "a", "pid": tmp_path / "pid"}
    assert not BrokerAccounts(MqttSettings.model_validate({"files": files})).reload()
