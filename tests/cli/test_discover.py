"""`sensor-bridge discover`: the topics of a real broker, and the settings file that takes what they carry."""

from __future__ import annotations

import asyncio
import json
import subprocess
import tomllib
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from bridge.app import Bridge
from bridge.cli.settings_file import add_subscriptions
from bridge.core.errors import SettingsError
from bridge.core.formats.registry import FormatName
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME
from bridge.settings import MqttSettings, SubscriptionSettings
from bridge.settings.loader import load_settings
from bridge.sources.mqtt.client import mqtt_sender
from tests.cli.test_cli import ended
from tests.core.formats.test_payloads import SAMPLES, payload_of
from tests.senders import patient
from tests.servers import REPO, until

TASMOTA = SubscriptionSettings.model_validate({"pattern": "tele/{deviceId}/SENSOR", "format": "tasmota"})
MESSAGES: dict[str, object] = {
    "sensors/plain/data": {"temperature": 21.5, "humidity": 45},
    "tele/cold/SENSOR": {"Time": "2026-11-28T10:00:00", "AM2301": {"Temperature": 3.5}, "TempUnit": "C"},
    "tele/cold/LWT": "Online",
    "zigbee2mqtt/bridge/state": {"state": "online"},
    "zigbee2mqtt/bridge/info": {"version": "2.1.0", "config": {"temperature": 3}},
    "zigbee2mqtt/lamp": {"state": "ON", "linkquality": 90},
    "zigbee2mqtt/floor1/kitchen/air": {"co2": 650, "linkquality": 80},
    "zigbee2mqtt/cellar": {"humidity": 71, "linkquality": 60},
    "node/sensor/room_temperature/state": 20.5,
    "home/kitchen/air": {"temperature": 22, "rpm": 900},
    "home/bedroom/air": {"temperature": 19},
    "shop/a1/temperature": 18,
    "shop/a1/humidity": 40,
    "gateway/up": {"deviceId": "b7", "pm25": 4},
}
LATEST: dict[str, dict[str, object]] = {
    "plain": {"temperature": 21.5, "humidity": 45},
    "cold": {"temperature": 3.5},
    "floor1/kitchen/air": {"co2": 650},
    "cellar": {"humidity": 71},
    "node.room": {"temperature": 20.5},
    "kitchen": {"temperature": 22},
    "bedroom": {"temperature": 19},
    "a1": {"temperature": 18, "humidity": 40},
    "b7": {"pm25": 4},
}


@asynccontextmanager
async def publishing(url: str, messages: Mapping[str, object]) -> AsyncIterator[None]:
    """Publish all messages again and again, each topic with its one value. It is retained: who listens gets it at once."""

    stopping = asyncio.Event()  # a cancellation could be lost: Python 3.11's `asyncio.wait_for`
    payloads = {
        topic: body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else orjson.dumps(body)
        for topic, body in messages.items()
    }

    async def publish() -> None:
        while not stopping.is_set():
            for topic, payload in payloads.items():
                await sender.publish(topic, payload)
            await asyncio.sleep(0.2)

    async with mqtt_sender(patient(url)) as sender:
        for topic, payload in payloads.items():
            await sender.publish(topic, payload, retain=True)
        task = asyncio.create_task(publish())
        try:
            yield
        finally:
            stopping.set()
            await asyncio.wait((task,))
            for topic in payloads:
                await sender.publish(topic, b"", retain=True)


async def discover(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in the folder of the settings, its last argument."""
    code, out, err = await ended(Path(arguments[-1]).parent, "discover", *arguments)
    return subprocess.CompletedProcess(arguments, code, out, err)


@pytest.fixture
def settings_file(tmp_path: Path, broker_url: str) -> Path:
    path = tmp_path / "bridge.toml"
    path.write_text(
        f'# mine\n[mqtt]\nurl = "{broker_url}" # the broker\n\n[store]\nurl = "sqlite:///{tmp_path}/a.db"\n\n[http]\nport = 0\n'
    )
    return path


async def test_every_value_that_was_discovered_is_in_the_api_after_a_restart(broker_url: str, settings_file: Path) -> None:
    async with publishing(broker_url, MESSAGES):
        result = await discover("--seconds", "2.5", "--write", "--config", str(settings_file))
        assert result.returncode == 0, result.stderr
        async with latest_readings(settings_file, LATEST.keys()) as (found, bridge):
            pass
    assert found.keys() == LATEST.keys()
    for device, values in LATEST.items():
        assert found[device].items() >= values.items() or device == "a1", device
    assert bridge.ledger.as_dict()["mqtt"]["rejected"] == 0


def samples() -> dict[FormatName, dict[str, Any]]:
    """An ordinary sample of each family, each with topics and devices of its own."""
    chosen: dict[FormatName, dict[str, Any]] = {}
    topics, devices = set(MESSAGES), set(LATEST)
    for file in SAMPLES:
        sample: dict[str, Any] = orjson.loads(file.read_bytes())
        family = next(name for name in FormatName if name.value == file.parent.name)
        is_ordinary = sample.get("outcome", "stored") == "stored" and not {"pattern", "earlier"} & sample.keys()
        found = {record["deviceId"] for record in sample.get("records", ())}
        if is_ordinary and family not in chosen and sample["topic"] not in topics and not found & devices:
            chosen[family] = sample
            topics.add(sample["topic"])
            devices |= found
    return chosen


async def test_families_with_samples_are_discovered_and_every_value_of_theirs_is_stored(
    broker_url: str, settings_file: Path
) -> None:
    chosen = samples()
    assert len(chosen) >= 10
    messages: dict[str, object] = {sample["topic"]: payload_of(sample) for sample in chosen.values()}
    expected = {record["deviceId"]: record for sample in chosen.values() for record in sample["records"]}
    async with publishing(broker_url, messages):
        result = await discover("--seconds", "2.5", "--write", "--config", str(settings_file))
        assert result.returncode == 0, result.stderr
        async with latest_readings(settings_file, expected.keys()) as (found, bridge):
            pass
    assert {device: record for device, record in found.items() if device not in expected} == {}
    for device, record in expected.items():
        stated = {name: value for name, value in record.items() if name in MEASUREMENTS_BY_NAME}
        assert {name: found[device].get(name) for name in stated} == stated, device
    assert bridge.ledger.as_dict()["mqtt"]["rejected"] == 0


async def test_every_value_of_ten_families_is_stored_once_by_the_subscriptions_that_were_written(
    broker_url: str, settings_file: Path
) -> None:
    chosen = samples()
    messages: dict[str, object] = {sample["topic"]: payload_of(sample) for sample in chosen.values()}
    async with publishing(broker_url, messages):
        result = await discover("--seconds", "2.5", "--write", "--config", str(settings_file))
        assert result.returncode == 0, result.stderr
    async with running(settings_file) as (bridge, http):

        def counted() -> dict[str, int]:
            return dict(bridge.ledger.as_dict().get("mqtt", {}))

        async def is_subscribed() -> bool:
            async with http.get("/health/ready") as response:
                return response.ok

        await until(is_subscribed, what="the subscriptions")
        async with mqtt_sender(patient(broker_url)) as sender:
            for topic, payload in messages.items():
                assert isinstance(payload, bytes)
                await sender.publish(topic, payload, qos=1)
        outcomes = ("stored", "duplicate", "rejected", "ignored", "dropped")
        await until(lambda: sum(counted().get(name, 0) for name in outcomes) >= len(messages), what="all outcomes")
        async with http.get("/api/v1/readings", params={"limit": "1000"}) as response:
            found = Counter(values_of(record) for record in (await response.json())["readings"])
        ledger = counted()
    expected = Counter(values_of(record) for sample in chosen.values() for record in sample["records"])
    assert len(chosen) >= 10
    assert expected - found == Counter(), "lost"
    assert found - expected == Counter(), "wrong or stored twice"
    assert {name: ledger[name] for name in outcomes} == dict.fromkeys(outcomes, 0) | {"stored": len(messages)}
    assert ledger["received"] == len(messages)


def values_of(record: Mapping[str, Any]) -> tuple[str, frozenset[tuple[str, float]]]:
    values = {name: float(value) for name, value in record.items() if name in MEASUREMENTS_BY_NAME}
    return record["deviceId"], frozenset(values.items())


@asynccontextmanager
async def running(settings_file: Path) -> AsyncIterator[tuple[Bridge, aiohttp.ClientSession]]:
    """Run a bridge; yield it and a client of its API."""
    bridge = Bridge(load_settings(settings_file, environ={}))
    task = asyncio.create_task(bridge.run())
    try:
        await asyncio.wait_for(bridge.listening.wait(), 30)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{bridge.port}") as http:
            yield bridge, http
    finally:
        bridge.stop()
        await task


@asynccontextmanager
async def latest_readings(
    settings_file: Path, devices: Collection[str]
) -> AsyncIterator[tuple[dict[str, dict[str, Any]], Bridge]]:
    """Run a bridge until it has a reading of each device."""
    async with running(settings_file) as (bridge, http):

        async def latest() -> dict[str, dict[str, Any]]:
            async with http.get("/api/v1/readings/latest") as response:
                records = (await response.json())["readings"] if response.ok else []
            return {record["deviceId"]: record for record in records}

        async def all_there() -> bool:
            return (await latest()).keys() >= set(devices)

        await until(all_there, what=f"readings of {sorted(devices)}")
        yield await latest(), bridge


async def test_second_discovery_finds_nothing_new(broker_url: str, settings_file: Path) -> None:
    async with publishing(broker_url, MESSAGES):
        await discover("--seconds", "2.5", "--write", "--config", str(settings_file))
        first = settings_file.read_text()
        again = await discover("--seconds", "2.5", "--write", "--config", str(settings_file))
        as_json = await discover("--seconds", "2.5", "--json", "--config", str(settings_file))
    assert "nothing to add" in again.stdout
    assert settings_file.read_text() == first
    states = [finding["state"] for finding in json.loads(as_json.stdout)["findings"]]
    assert "new" not in states
    assert states.count("subscribed") >= 7


async def test_table_names_devices_values_and_keys_that_are_not_taken(broker_url: str, settings_file: Path) -> None:
    async with publishing(broker_url, MESSAGES):
        result = await discover("--seconds", "2.5", "--config", str(settings_file))
    for text in (
        "home/{deviceId}/air",
        "kitchen: temperature 22 °C",
        "rpm: unknown key",
        "zigbee2mqtt/{deviceId...}",
        "a device without measurements",
        "already subscribed",
        '{ pattern = "tele/{deviceId}/SENSOR", format = "tasmota" },',
    ):
        assert text in result.stdout, result.stdout
    assert "tele" not in settings_file.read_text()


async def test_long_topics_and_devices_are_whole_at_80_columns(broker_url: str, settings_file: Path) -> None:
    device = "0x00158d0001a2b3c4-bedroom-window-upstairs-on-the-left-side"
    async with publishing(broker_url, {f"zigbee2mqtt/{device}": {"temperature": 21.5, "linkquality": 90}}):
        where = ("--config", str(settings_file), "--seconds", "2.5")
        code, out, err = await ended(settings_file.parent, "discover", *where, COLUMNS="80")
        assert code == 0, err
        assert "zigbee2mqtt/{deviceId}\nnew, format zigbee2mqtt\n  family: zigbee2mqtt\n" in out
        assert f"  {device}: temperature 21.5 °C\n  not taken: linkquality: unknown key\n" in out
        _, wide, _ = await ended(settings_file.parent, "discover", *where)
    row = next(line for line in wide.splitlines() if device in line)
    assert row.count("│") == 5


async def test_topic_that_is_no_filter_is_named(settings_file: Path) -> None:
    result = await discover("--topic", "a/#/b", "--config", str(settings_file))
    assert result.returncode == 2
    assert "'#' must be the last level" in result.stderr.replace("\n", " ")


async def test_unreachable_broker_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "bridge.toml"
    path.write_text('[mqtt]\nurl = "mqtt://127.0.0.1:1"\n')
    result = await discover("--seconds", "1", "--config", str(path))
    assert result.returncode == 1
    assert "mqtt://127.0.0.1:1" in result.stderr
    assert "Traceback" not in result.stderr


# --- the settings file -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# top\n[store]\nurl = 'sqlite:///x.db' # keep\n",
        "[mqtt.tls]\ninsecure = true\n",
        'mqtt.url = "mqtt://x"\n',
        (REPO / "config" / "bridge.toml").read_text("utf-8"),
    ],
    ids=["empty", "other table", "inner table", "dotted", "shipped"],
)
def test_file_without_subscriptions_gets_the_defaults_and_the_new_ones(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bridge.toml"
    path.write_text(text)
    backup = add_subscriptions(path, [TASMOTA], environ={})
    assert backup is not None
    assert backup.read_text() == text
    assert load_settings(path, environ={}).mqtt.subscriptions == (*MqttSettings().subscriptions, TASMOTA)
    for line in text.splitlines():
        assert line in path.read_text()


@pytest.mark.parametrize(
    "text",
    [
        '[mqtt]\nsubscriptions = [\n  # ours\n  { pattern = "a/{deviceId}" }, # first\n    { pattern = "b/{deviceId}" }#b\n]',
        '[mqtt]\nsubscriptions = [{ pattern = "a/{deviceId}" }, { pattern = "b/{deviceId}" }]\n[mqtt.tls]\ninsecure = false\n',
        '[[mqtt.subscriptions]]\npattern = "a/{deviceId}" # first\n# ours\n[[mqtt.subscriptions]]\npattern = "b/{deviceId}"\n',
    ],
    ids=["list", "one line", "tables"],
)
def test_list_of_subscriptions_is_continued_with_its_comments(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bridge.toml"
    path.write_text(text)
    add_subscriptions(path, [TASMOTA], environ={})
    patterns = [one.pattern for one in load_settings(path, environ={}).mqtt.subscriptions]
    assert patterns == ["a/{deviceId}", "b/{deviceId}", TASMOTA.pattern]
    assert [part for part in ("# ours", "# first", "#b") if part in text and part not in path.read_text()] == []


def test_new_file_is_made_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "conf" / "bridge.toml"
    assert add_subscriptions(path, [TASMOTA], environ={}) is None
    assert tomllib.loads(path.read_text())["mqtt"]["subscriptions"][-1]["format"] == "tasmota"


def test_file_that_is_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    path = tmp_path / "bridge.toml"
    path.symlink_to(tmp_path / "real" / "bridge.toml")
    (tmp_path / "real" / "bridge.toml").write_text("[http]\nport = 1\n")
    add_subscriptions(path, [TASMOTA], environ={})
    assert path.is_symlink()
    assert "tasmota" in path.read_text()


@pytest.mark.parametrize(
    "text", ["[mqtt\n", "mqtt = 3\n", "[mqtt]\nsubscriptions = 3\nnonsense = 1\n", "[mqtt]\nnonsense = 1\n"]
)
def test_file_that_is_wrong_stays_as_it_is(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bridge.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"bridge\.toml"):
        add_subscriptions(path, [TASMOTA], environ={})
    assert path.read_text() == text
    assert [file.name for file in tmp_path.iterdir()] == ["bridge.toml"]


def test_subscriptions_of_the_environment_are_not_hidden(tmp_path: Path) -> None:
    path = tmp_path / "bridge.toml"
    with pytest.raises(SettingsError, match="BRIDGE_MQTT__SUBSCRIPTIONS"):
        add_subscriptions(path, [TASMOTA], environ={"BRIDGE_MQTT__SUBSCRIPTIONS": "[]"})
    assert not path.exists()
