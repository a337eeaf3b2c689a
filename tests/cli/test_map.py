"""`sensor-bridge map`: the best format is found, and the proposed settings can be used as they are."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from rich.console import Console

from bridge.cli.map import FormatAttempt, best_of, capture_message, explain, try_formats
from bridge.core.decode import Decoder
from bridge.core.errors import BridgeError
from bridge.core.formats.registry import FormatName
from bridge.core.readings.reading import Reading
from bridge.settings import MqttSettings, SubscriptionSettings
from bridge.settings.loader import load_settings
from bridge.sources.mqtt.client import mqtt_sender
from tests.core.formats.test_tasmota import SENSOR
from tests.core.test_decode import JSON, NOW_MS, OBJECTS, OWN, OWN_MS, message
from tests.servers import REPO

Z2M = {"temperature": 21.5, "linkquality": 120, "battery": 97}
OTHER = {
    "dev": {"id": "b7"},
    "when": {"time": OWN},
    "gas": {"co2": {"value": 645, "unit": "ppm"}},
    "p.x": {"Air Pressure": 101325},
    "Temperature": [215],
    "rssi": -60,
}


def best(body: object, topic: str | None = None, only: FormatName | None = None) -> FormatAttempt:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    found = best_of(try_formats(payload, topic, NOW_MS, only))
    assert found is not None
    return found


def values(attempt: FormatAttempt) -> dict[str, object]:
    assert attempt.reading is not None
    return dict(attempt.reading.values)


@pytest.mark.parametrize(
    ("topic", "body", "name", "pattern"),
    [
        ("sensors/a/data", {"temperature": 21.5}, "json", "sensors/{deviceId}/data"),
        ("home/kitchen", {"temp": 21.5, "co2": 645}, "json", "home/{deviceId}"),
        ("readings", {"temperature": 21.5, "deviceId": "a"}, "json", "readings"),
        ("home/air", {"temperature": 21.5, "deviceId": "a"}, "json", "home/air"),
        ("home/a/air", {"temperature": 21.5, "deviceId": "a"}, "json", "home/{deviceId}/air"),
        (None, {"temperature": 21.5}, "json", "sensors/{deviceId}/data"),
        ("sensors/a/temperature", b"21.5", "scalar", "sensors/{deviceId}/{field}"),
        ("shellies/shellyht-1/sensor/temperature", b"21.5", "scalar", "shellies/{deviceId}/sensor/{field}"),
        ("tele/a/SENSOR", SENSOR, "tasmota", "tele/{deviceId}/SENSOR"),
        ("home/tele/a/STATE", SENSOR, "tasmota", "home/tele/{deviceId}/STATE"),
        (None, SENSOR, "tasmota", "tele/{deviceId}/SENSOR"),
        ("node/sensor/room_temperature/state", b"21.5", "esphome", "{deviceId}/sensor/{object}/state"),
        ("node/binary_sensor/flame/state", b"ON", "esphome", "{deviceId}/binary_sensor/{object}/state"),
        ("zigbee2mqtt/kitchen", Z2M, "zigbee2mqtt", "zigbee2mqtt/{deviceId}"),
        ("zigbee2mqtt/floor1/kitchen/air", Z2M, "zigbee2mqtt", "zigbee2mqtt/{deviceId...}"),
        (None, Z2M, "zigbee2mqtt", "zigbee2mqtt/{deviceId}"),
        ("app/b7/up", OTHER, "mapping", "app/{deviceId}/up"),
    ],
)
def test_best_format_of_a_message_is_found(topic: str | None, body: object, name: str, pattern: str) -> None:
    found = best(body, topic)
    assert (found.format, found.pattern) == (name, pattern)


def test_known_fields_in_unknown_json_become_a_mapping() -> None:
    found = best(OTHER, "up")
    assert values(found) == {"temperature": 21.5, "co2": 645, "pressure": 1013.25}
    assert found.reading is not None
    assert (found.reading.device_id, found.reading.timestamp_ms) == ("b7", OWN_MS)
    assert found.setting == (
        '{ pattern = "up", format = "mapping", fields = { deviceId = "dev.id", timestamp = "when.time", co2 = "gas.co2.value", '
        "pressure = { path = 'p\\.x.Air Pressure', scale = 0.01 }, temperature = { path = \"Temperature.0\", scale = 0.1 } } }"
    )


def test_option_restricts_to_one_format() -> None:
    assert values(best(SENSOR, "tele/a/SENSOR", FormatName.MAPPING))["temperature"] == 21.5
    assert best_of(try_formats(b"21.5", "a/b", NOW_MS, FormatName.TASMOTA)) is None


@pytest.mark.parametrize(
    ("payload", "topic", "reason"),
    [
        (b"21.5", None, "give --topic"),
        (b'{"uptime": 5}', "a/b/c", "no known field among 'uptime'"),
        (b"\xff[/red]\x1b[31m", "a/b/c", "not JSON"),
        (b'{"temperature": 1}', "zigbee2mqtt/Living Room ", "the topic is 'Living Room ', which ends with a space"),
        (b'{"temperature": 1}', "x/{y/z", "must be the whole level"),
    ],
)
def test_reason_is_printed_when_no_format_matches(payload: bytes, topic: str | None, reason: str) -> None:
    console = Console(record=True, width=400, file=io.StringIO())
    assert not explain(console, try_formats(payload, topic, NOW_MS))
    text = console.export_text()
    assert reason in text
    assert "\x1b" not in text


def assert_setting_decodes_the_same(attempt: FormatAttempt, payload: bytes, topic: str | None) -> None:
    """Decode with the printed line as a setting."""
    setting = SubscriptionSettings.model_validate(tomllib.loads(f"x = {attempt.setting}")["x"])
    reading = Decoder([setting.route]).decode(message(payload, topic or setting.pattern.replace("{deviceId}", "device")))
    assert isinstance(reading, Reading)
    assert reading.values == values(attempt)


KEYS = st.one_of(st.sampled_from(["temperature", "co2", "a.b", "a\\b", 'quo"te', "ü'x", "room.co2", "time", "id"]), st.text())
NESTED = st.recursive(st.one_of(JSON, st.floats(0, 30)), lambda inner: st.dictionaries(KEYS, inner, max_size=4), max_leaves=8)


@given(st.one_of(st.binary(), JSON, OBJECTS, NESTED), st.one_of(st.none(), st.text(min_size=1), st.just("app/b/up")))
def test_any_message_is_explained(body: object, topic: str | None) -> None:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    attempts = try_formats(payload, topic, NOW_MS)
    assert [attempt.format for attempt in attempts] == list(FormatName)
    for attempt in attempts:
        if attempt.reading is not None:
            assert_setting_decodes_the_same(attempt, payload, topic)
    assert all(attempt.reading or attempt.error for attempt in attempts)
    explain(Console(file=io.StringIO()), attempts)


# --- as a process ----------------------------------------------------------------------------------------------------


def run_map(folder: Path, *arguments: str, stdin: bytes = b"", **environ: str) -> tuple[int, str]:
    """Return the exit code, and standard output and error together."""
    clean = {name: value for name, value in os.environ.items() if not name.upper().startswith("BRIDGE_")}
    process = subprocess.run(
        [sys.executable, "-m", "bridge", "map", *arguments],
        input=stdin,
        cwd=folder,
        env={**clean, "PYTHONPATH": str(REPO), "COLUMNS": "300", "PYTHONIOENCODING": "utf-8", **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=30,
        check=False,
    )
    return process.returncode, process.stdout.decode()


@pytest.mark.parametrize(("topic", "body"), [("tele/a/SENSOR", SENSOR), ("app/b7/up", OTHER), ("zigbee2mqtt/a", Z2M)])
def test_printed_settings_decode_the_message(topic: str, body: dict[str, object], tmp_path: Path) -> None:
    payload = json.dumps(body)
    code, out = run_map(tmp_path, "--topic", topic, "--payload", payload)
    assert code == 0
    settings = out[out.index("subscriptions = [") :]
    (tmp_path / "bridge.toml").write_text("[mqtt]\n" + settings[: settings.index("\n]") + 2])
    routes = load_settings(tmp_path / "bridge.toml", {}).mqtt.routes
    reading = Decoder(routes).decode(message(payload.encode(), topic))
    assert isinstance(reading, Reading)
    assert reading.values == values(best(body, topic))


def test_payload_is_read_from_standard_input(tmp_path: Path) -> None:
    code, out = run_map(tmp_path, "--payload", "-", "--topic", "sensors/a/data", stdin=b'{"temperature": 21.5}')
    assert code == 0
    assert "Best: json." in out
    assert "temperature: 21.5 °C" in out


def test_undecodable_message_exits_with_1(tmp_path: Path) -> None:
    code, out = run_map(tmp_path, "--payload", "garbage", "--topic", "a/b", "--format", "json")
    assert code == 1
    assert "not JSON" in out
    assert "scalar" not in out


@pytest.mark.parametrize("arguments", [(), ("--capture",), ("--capture", "--topic", "#", "--payload", "1")])
def test_wrong_arguments_exit_with_2(arguments: tuple[str, ...], tmp_path: Path) -> None:
    code, out = run_map(tmp_path, *arguments)
    assert code == 2
    assert "--capture with --topic" in out


async def test_message_is_captured_from_the_broker(broker_url: str, tmp_path: Path) -> None:
    async with mqtt_sender(MqttSettings(url=SecretStr(broker_url))) as sender:
        await sender.publish("tele/a/SENSOR", json.dumps(SENSOR).encode(), retain=True)
    code, out = run_map(tmp_path, "--capture", "--topic", "tele/#", "--seconds", "20", BRIDGE_MQTT__URL=broker_url)
    assert code == 0
    assert "captured from 'tele/a/SENSOR'" in out
    assert "Best: tasmota." in out


async def test_capture_without_a_message_times_out(broker_url: str) -> None:
    with pytest.raises(BridgeError, match=r"no message on 'tele/#' at .* within 0.2 seconds"):
        await capture_message(MqttSettings(url=SecretStr(broker_url)), "tele/#", 0.2)


async def test_capture_reports_a_wrong_topic_or_broker() -> None:
    settings = MqttSettings(url=SecretStr("mqtt://127.0.0.1:1"))
    with pytest.raises(BridgeError, match="'#' must be the last level"):
        await capture_message(settings, "a/#/b", 1)
    with pytest.raises(BridgeError, match=r"mqtt://127\.0\.0\.1:1"):
        await capture_message(settings, "a/#", 1)


@pytest.mark.parametrize("topic", ["sensors/[/red]/data", "sensors/[bold/data", "a/\u202e/\\x1b[31m", "[link=x]"])
async def test_captured_topic_and_payload_are_shown_and_not_obeyed(topic: str, tmp_path: Path, broker_url: str) -> None:
    payload = b'{"[/red]": "[bold", "\x1b[31m": 1}'
    async with mqtt_sender(MqttSettings(url=SecretStr(broker_url))) as sender:
        await sender.publish(topic, payload, retain=True)
    command = (sys.executable, "-m", "bridge", "map", "--capture", "--topic", "#", "--seconds", "10")
    environ = os.environ | {"BRIDGE_MQTT__URL": broker_url, "PYTHONPATH": str(REPO), "COLUMNS": "200"}
    ran = subprocess.run(command, capture_output=True, text=True, env=environ, cwd=tmp_path, check=False)
    assert ran.returncode == 1
    assert f"captured from {topic!a}, {len(payload)} bytes" in ran.stdout
    assert "Traceback" not in ran.stderr
    assert "\x1b" not in ran.stdout + ran.stderr
