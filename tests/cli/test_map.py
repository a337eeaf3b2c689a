"""`sensor-bridge map`: the best format is found, and the proposed settings can be used as they are."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from rich.console import Console

from bridge.cli.map import capture_message, explain
from bridge.core.decode import Decoder
from bridge.core.discovery.attempts import FormatAttempt, best_of, topic_of, try_formats
from bridge.core.errors import BridgeError
from bridge.core.formats.registry import FormatName
from bridge.core.formats.suggest import suggest_fields, suggest_pattern
from bridge.core.message import Decoded, ReadingBatch
from bridge.core.readings.reading import Reading
from bridge.core.topic import TopicPattern
from bridge.settings import MqttSettings, SubscriptionSettings
from bridge.settings.loader import load_settings
from bridge.sources.mqtt.client import mqtt_sender
from tests import forked
from tests.core.formats.test_payloads import SAMPLES, payload_of
from tests.core.formats.test_tasmota import SENSOR
from tests.core.test_decode import JSON, NOW_MS, OBJECTS, OWN, OWN_MS, message
from tests.senders import patient
from tests.servers import REPO

Z2M = {"temperature": 21.5, "linkquality": 120, "battery": 97}
AIRGRADIENT = {"rco2": 612, "pm02": 3, "pm10": 4, "atmp": 22.9, "rhum": 43, "tvocIndex": 100}
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
    (reading,) = attempt.readings
    return dict(reading.values)


def values_by_device(readings: Sequence[Reading]) -> dict[str, dict[str, object]]:
    return {reading.device_id: dict(reading.values) for reading in readings}


def readings_of(decoded: Decoded) -> Sequence[Reading]:
    assert isinstance(decoded, Reading | ReadingBatch), decoded
    return [decoded] if isinstance(decoded, Reading) else decoded.readings


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
        ("airgradient/readings/b7", AIRGRADIENT, "airgradient", "airgradient/readings/{deviceId}"),
        ("air/b7", AIRGRADIENT, "airgradient", "air/{deviceId}"),
        (None, AIRGRADIENT, "airgradient", "airgradient/readings/{deviceId}"),
    ],
)
def test_best_format_of_a_message_is_found(topic: str | None, body: object, name: str, pattern: str) -> None:
    found = best(body, topic)
    assert (found.format, found.pattern) == (name, pattern)


def test_known_fields_in_unknown_json_become_a_mapping() -> None:
    found = best(OTHER, "up")
    assert values(found) == {"temperature": 21.5, "co2": 645, "pressure": 1013.25, "rssi": -60}
    assert (found.readings[0].device_id, found.readings[0].timestamp_ms) == ("b7", OWN_MS)
    assert found.setting == (
        '{ pattern = "up", format = "mapping", fields = { deviceId = "dev.id", timestamp = "when.time", co2 = "gas.co2.value", '
        "pressure = { path = 'p\\.x.Air Pressure', scale = 0.01 }, temperature = { path = \"Temperature.0\", scale = 0.1 }, "
        'rssi = "rssi" } }'
    )


def test_option_restricts_to_one_format() -> None:
    assert values(best(SENSOR, "tele/a/SENSOR", FormatName.MAPPING))["temperature"] == 21.5
    assert best(SENSOR, "tele/a/SENSOR", FormatName.AUTO).readings[0].family == "tasmota"
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


def explained(body: object, topic: str | None = None) -> str:
    console = Console(record=True, width=200, file=io.StringIO())
    explain(console, try_formats(json.dumps(body).encode(), topic, NOW_MS))
    return console.export_text()


def test_every_reading_of_a_message_is_shown_with_its_part_and_units() -> None:
    probes = {"DS18B20-1": {"Id": "A1", "Temperature": 111.7}, "DS18B20-2": {"Id": "B2", "Temperature": 36.3}}
    text = explained({"Time": OWN, **probes, "TempUnit": "F"}, "tele/cold/SENSOR")
    assert "deviceId: cold.DS18B20-A1" in text
    assert "deviceId: cold.DS18B20-B2" in text
    assert "temperature: 44.2777777778 °C" in text


def test_keys_that_are_not_taken_are_listed_with_their_reason() -> None:
    text = explained({**Z2M, "carbon_monoxide": False}, "zigbee2mqtt/kitchen")
    assert "not taken: linkquality (unknown key)" in text
    assert "not taken: carbon_monoxide (an alarm, not a value)" in text
    assert 'The default format "auto" chooses it.' in text


def test_message_of_which_most_is_dropped_is_said_to_be() -> None:
    text = explained({"xrco2": 612, "xpm02": 3, "pm10": 4, "xatmp": 22.9})
    assert "It does not take: xrco2, xpm02, xatmp." in text
    assert "Most of the message is not taken" in text


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"batt_co2": 3, "x": {"co2": 645}}, {"co2": "x.co2"}),
        ({"devicepower": {"battery": {"V": 5.3, "percent": 78}}}, {"batteryVoltage": "devicepower.battery.V"}),
        ({"data": {"temp_f": 70.7}}, {"temperature": "data.temp_f"}),
        ({"a": {"temperature": 70.7, "unit": "°F"}}, {"temperature": "a.temperature"}),
        ({"foo_temperature": 21.5}, {}),
    ],
)
def test_suggested_fields_have_the_sense_and_the_unit_of_their_names(body: object, fields: dict[str, str]) -> None:
    found = suggest_fields(body)
    assert {name: path.text for name, path in found.items() if name in fields or not fields} == fields
    assert "co2" not in found or found["co2"].text != "batt_co2"


@pytest.mark.parametrize(
    ("topic", "family"),
    [(sample["topic"], file.parent.name) for file in SAMPLES if "payload" in (sample := json.loads(file.read_text("utf-8")))],
)
def test_topic_of_a_family_gives_a_pattern_that_matches_it(topic: str, family: str) -> None:
    pattern = suggest_pattern(FormatName[family.upper()], topic)
    assert pattern is not None
    assert TopicPattern.parse(pattern).match(topic) is not None


def gives_readings_by_itself(file: Path) -> bool:
    sample, family = json.loads(file.read_text("utf-8")), FormatName[file.parent.name.upper()]
    is_clear = family.spec.recognizes is not None or len(sample.get("records", ())) == 1
    return "records" in sample and "earlier" not in sample and is_clear


@pytest.mark.parametrize(
    "file", [file for file in SAMPLES if gives_readings_by_itself(file)], ids=lambda file: f"{file.parent.name}/{file.stem}"
)
def test_best_format_of_a_sample_is_its_family(file: Path) -> None:
    sample, family = json.loads(file.read_text("utf-8")), FormatName[file.parent.name.upper()]
    attempts = try_formats(payload_of(sample), sample["topic"], NOW_MS)
    found = best_of(attempts)
    assert found is not None
    assert found.format == family


def assert_setting_decodes_the_same(attempt: FormatAttempt, payload: bytes, topic: str | None) -> None:
    """Decode with the printed line as a setting."""
    setting = SubscriptionSettings.model_validate(tomllib.loads(f"x = {attempt.setting}")["x"])
    decoded = Decoder([setting.route]).decode(message(payload, topic or topic_of(setting.pattern)))
    assert values_by_device(readings_of(decoded)) == values_by_device(attempt.readings)


KEYS = st.one_of(st.sampled_from(["temperature", "co2", "a.b", "a\\b", 'quo"te', "ü'x", "room.co2", "time", "id"]), st.text())
NESTED = st.recursive(st.one_of(JSON, st.floats(0, 30)), lambda inner: st.dictionaries(KEYS, inner, max_size=4), max_leaves=8)


@given(st.one_of(st.binary(), JSON, OBJECTS, NESTED), st.one_of(st.none(), st.text(min_size=1), st.just("app/b/up")))
def test_any_message_is_explained(body: object, topic: str | None) -> None:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    attempts = try_formats(payload, topic, NOW_MS)
    assert [attempt.format for attempt in attempts] == list(FormatName)
    for attempt in attempts:
        if attempt.readings:
            assert_setting_decodes_the_same(attempt, payload, topic)
    assert all(attempt.readings or attempt.error for attempt in attempts)
    explain(Console(file=io.StringIO()), attempts)


# --- as a process ----------------------------------------------------------------------------------------------------


def run_map(folder: Path, *arguments: str, **environ: str) -> tuple[int, str]:
    """Return the exit code, and standard output followed by standard error."""
    code = forked.run(folder, _environ(environ), "map", *arguments)
    return code, "".join((folder / name).read_text("utf-8") for name in ("out.txt", "err.txt"))


def _environ(more: dict[str, str]) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.upper().startswith("BRIDGE_")}
    return {**clean, "PYTHONPATH": str(REPO), "COLUMNS": "300", "PYTHONIOENCODING": "utf-8", **more}


@pytest.mark.parametrize(("topic", "body"), [("tele/a/SENSOR", SENSOR), ("app/b7/up", OTHER), ("zigbee2mqtt/a", Z2M)])
def test_printed_settings_decode_the_message(topic: str, body: dict[str, object], tmp_path: Path) -> None:
    payload = json.dumps(body)
    code, out = run_map(tmp_path, "--topic", topic, "--payload", payload)
    assert code == 0
    settings = out[out.index("subscriptions = [") :]
    (tmp_path / "bridge.toml").write_text("[mqtt]\n" + settings[: settings.index("\n]") + 2])
    routes = load_settings(tmp_path / "bridge.toml", {}).mqtt.routes
    decoded = Decoder(routes).decode(message(payload.encode(), topic))
    assert values_by_device(readings_of(decoded)) == values_by_device(best(body, topic).readings)


def test_payload_is_read_from_standard_input(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "bridge", "map", "--payload", "-", "--topic", "sensors/a/data")
    ran = subprocess.run(
        command, input=b'{"temperature": 21.5}', env=_environ({}), cwd=tmp_path, capture_output=True, check=True
    )
    assert "Best: json." in ran.stdout.decode()
    assert "temperature: 21.5 °C" in ran.stdout.decode()


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
    async with mqtt_sender(patient(broker_url)) as sender:
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
    async with mqtt_sender(patient(broker_url)) as sender:
        await sender.publish(topic, payload, retain=True)
    code, out = run_map(tmp_path, "--capture", "--topic", "#", "--seconds", "10", BRIDGE_MQTT__URL=broker_url)
    assert code == 1
    assert f"captured from {topic!a}, {len(payload)} bytes" in out
    assert "Traceback" not in out
    assert "\x1b" not in out
