"""Devices at a real Mosquitto, with the files that the command line writes."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

import aiohttp
import orjson
import pytest
from pydantic import SecretStr
from yarl import URL

from bridge.access.api_keys import ApiKeys
from bridge.access.mosquitto.accounts import BrokerAccounts
from bridge.access.mosquitto.files import (
    bridge_rules,
    broker_user,
    device_rules,
    hashed_password,
    matches_password,
    password_hash,
    rules_of,
    with_password,
    with_rules,
)
from bridge.access.provisioning import DeviceProvisioning
from bridge.access.revocations import Revocations
from bridge.app import Bridge
from bridge.core.errors import AccountError, BridgeError, BrokerUnavailable
from bridge.settings import MqttSettings, Settings
from bridge.sources.mqtt.client import MqttSender, mqtt_sender
from tests.access.parts import PASSWORD, access_settings
from tests.access.typed import Command, command_line
from tests.conftest import StartBridge
from tests.device_ids import ACCEPTED
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
    async with running_site(start_bridge, tmp_path) as site:
        yield site


@asynccontextmanager
async def running_site(
    start_bridge: StartBridge, tmp_path: Path, subscriptions: Sequence[Mapping[str, object]] | None = None
) -> AsyncIterator[Site]:
    """Start a broker and a bridge, with the default subscriptions unless others are given."""
    mqtt = {} if subscriptions is None else {"subscriptions": subscriptions}
    folder, store = tmp_path / "accounts", f"sqlite:///{tmp_path}/bridge.db"
    folder.mkdir()
    broker = ClosedMosquitto(folder)
    own = {"BRIDGE_MQTT__USERNAME": "bridge", "BRIDGE_MQTT__PASSWORD": OWN_PASSWORD, "BRIDGE_STORE__URL": store}
    own |= {f"BRIDGE_MQTT__{name.upper()}": json.dumps(value) for name, value in mqtt.items()}
    files = {f"BRIDGE_MQTT__FILES__{name.upper()}": str(folder / name) for name in ("passwords", "acl")}
    command = command_line(tmp_path, **own, **files, BRIDGE_MQTT__FILES__PID=str(folder / "mosquitto.pid"))
    assert (await command("device", "broker"))[:2] == (0, "bridge is the bridge's account\n")
    broker.start()
    try:
        url = f"mqtt://bridge:{OWN_PASSWORD.replace(' ', '%20')}@127.0.0.1:{broker.inner_port}"
        access = access_settings(admin_password=SecretStr(PASSWORD))
        async with start_bridge(url, store, client_id=CLIENT_ID, access=access, mqtt=mqtt) as bridge:
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
        headers = await administrator(site)
        async with aiohttp.ClientSession() as session:
            base = f"http://127.0.0.1:{site.bridge.port}"
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
    assert [line.split()[-1] for line in listed.splitlines()[2:]] == ["yes", "yes"]
    assert after.strip().split("_", 2)[2] not in listed  # the secret, which may contain "_" itself
    assert (await site.command("device", "remove", "aa:bb:cc"))[0] == 0
    async with asyncio.timeout(30):
        while not await site.refused("aa%3Abb%3Acc", after.strip()):
            await asyncio.sleep(0.05)
    for name in ("passwords", "acl"):
        text = (site.folder / name).read_text()
        names = [name in text for name in ("aa%3Abb%3Acc", "aa:bb:cc", "hall", "bridge")]  # a hash may have any short text
        assert names == [False, False, True, True]
        assert stat.S_IMODE((site.folder / name).stat().st_mode) == 0o600
    assert (await site.command("device", "remove", "aa:bb:cc"))[0] == 1


SEVERAL_LEVELS = [
    {"pattern": "sensors/{deviceId...}/data"},
    {"pattern": "sensors/{deviceId...}/status", "kind": "status"},
    {"pattern": "sensors/{deviceId...}/command/ack", "kind": "command_ack"},
]
NAMES = ("Living Room", "floor1/кухня/air", 'say "hi" *', "%u", "%c", "a:b", "a%3Ab", "$SYS", "🌡 attic 100%")


async def test_devices_of_any_name_publish_as_themselves_and_hear_their_own_commands_only(
    start_bridge: StartBridge, tmp_path: Path
) -> None:
    async with running_site(start_bridge, tmp_path, SEVERAL_LEVELS) as site, AsyncExitStack() as stack:
        keys = {name: await site.enrolled(name) for name in NAMES}
        devices = {name: await stack.enter_async_context(site.known(broker_user(name), key)) for name, key in keys.items()}
        for name, device in devices.items():
            await device.subscribe("sensors/#")
            for other in NAMES:  # of which the broker lets through its own
                await device.publish(f"sensors/{other}/data", READING)
            await device.publish(f"sensors/{name}/status", b"online")
        await until(lambda: site.stored == 2 * len(NAMES), what="a reading and a status of each stored")
        assert site.bridge.ledger.account("mqtt").received == 2 * len(NAMES)
        headers = await administrator(site)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{site.bridge.port}", headers=headers) as session:
            for name, device in devices.items():
                path = f"/api/v1/devices/{quote(name, safe='')}/commands"
                async with session.post(URL(path, encoded=True), json={"command": f"of {name}"}) as answer:
                    command = await answer.json()
                    assert (answer.status, command["device"]) == (202, name)
                async with asyncio.timeout(30):
                    heard = orjson.loads(await anext(device.arrived()))
                assert (heard["command"], heard["id"]) == (f"of {name}", command["id"])
                await device.publish(f"sensors/{name}/command/ack", orjson.dumps({"id": command["id"], "ok": True}))
                await until(partial(is_confirmed, session, f"{path}/{command['id']}"), what=f"{name} confirmed")


async def administrator(site: Site) -> dict[str, str]:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{site.bridge.port}") as session:
        async with session.post("/auth/login", json={"username": "admin", "password": PASSWORD}) as answer:
            return {"Authorization": f"Bearer {(await answer.json())['access_token']}"}


async def is_confirmed(session: aiohttp.ClientSession, path: str) -> bool:
    async with session.get(URL(path, encoded=True)) as answer:
        return bool((await answer.json())["state"] == "confirmed")


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


def test_accounts_of_any_names_stand_side_by_side_in_both_files() -> None:
    users = [broker_user(name) for name in (*ACCEPTED, "a%3Ab", "a:b")]
    assert len(set(users)) == len(users)
    acl = passwords = ""
    for number, (user, name) in enumerate(zip(users, (*ACCEPTED, "a%3Ab", "a:b"), strict=True)):
        acl = with_rules(acl, user, device_rules(several(), name))
        passwords = with_password(passwords, user, f"$7$1$a${number}")
    assert len(passwords.split("\n")) == len(users) + 1
    for number, (user, name) in enumerate(zip(users, (*ACCEPTED, "a%3Ab", "a:b"), strict=True)):
        assert password_hash(passwords, user) == f"$7$1$a${number}"
        assert rules_of(acl, user) == [f"user {user}", *device_rules(several(), name)]
        assert f"topic write sensors/{name}/data" in rules_of(acl, user)
        without = with_rules(acl, user, ())
        assert [one for one in users if not rules_of(without, one)] == [user]


def several(**more: object) -> MqttSettings:
    return MqttSettings.model_validate({"subscriptions": SEVERAL_LEVELS, **more})


def test_line_separators_of_unicode_end_no_line_of_the_files() -> None:
    by_hand = "user a\u2028user esp01\ntopic read x\n"
    assert with_rules(by_hand, "esp01", ()) == by_hand
    assert with_password("a\u2028esp01:$7$1$a$b\n", "esp01", None) == "a\u2028esp01:$7$1$a$b\n"


def test_bridge_may_command_ids_of_several_levels_and_nothing_else() -> None:
    writes = [rule for rule in bridge_rules(several()) if rule.startswith("topic write")]
    assert writes[:3] == [
        "topic write sensors/+/command",
        "topic write sensors/+/+/command",
        "topic write sensors/+/+/+/command",
    ]
    assert len(writes) == 64
    assert not [rule for rule in writes if "#" in rule]
    assert len(bridge_rules(MqttSettings())) == 3


def test_bridge_may_write_the_topics_of_its_own_messages_and_no_others(tmp_path: Path) -> None:
    all_of_it = Settings.model_validate({"alarms": {"mqtt": {"enabled": True}}, "home_assistant": {"discovery": True}})
    assert [rule for rule in bridge_rules(MqttSettings(), all_of_it.own_topics.values()) if rule.startswith("topic write")] == [
        "topic write sensors/+/command",
        "topic write alarms/#",
        "topic write sensor-bridge/#",
        "topic write homeassistant/device/sensor-bridge/+/config",
    ]
    (tmp_path / "passwords").touch(0o600)
    accounts = BrokerAccounts(settings(tmp_path, username="bridge", password="secret"), ["alarms/#"])
    assert accounts.put_bridge() == "bridge"
    assert "topic write alarms/#" in (tmp_path / "acl").read_text()


async def test_device_whose_topics_are_those_of_another_or_of_the_broker_is_refused(tmp_path: Path) -> None:
    last = {"subscriptions": [{"pattern": "sensors/{deviceId...}"}]}
    with pytest.raises(AccountError, match="would let the device send commands to 'x'"):
        await enrolment(tmp_path, MemoryStore(), **last).add("x/command")
    first = {"subscriptions": [{"pattern": "{deviceId...}"}], "commands": "{deviceId}"}
    with pytest.raises(AccountError, match="one that begins with \\$ is the broker's own"):
        await enrolment(tmp_path, MemoryStore(), **first).add("$CONTROL/dynamic-security/v1")
    assert list(tmp_path.iterdir()) == []


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
