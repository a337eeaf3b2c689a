"""Proposals: the format and the pattern for the topics of each family."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from bridge.core.discovery.survey import Survey
from bridge.core.formats.registry import FormatName
from tests.core.discovery.test_survey import only, survey
from tests.core.formats.test_payloads import SAMPLES, payload_of
from tests.core.test_decode import NOW_MS


@pytest.mark.parametrize(
    ("topic", "body", "name", "pattern"),
    [
        ("tele/a/SENSOR", {"Time": "2026-11-28T10:00:00", "AM2301": {"Temperature": 3}}, "tasmota", "tele/{deviceId}/SENSOR"),
        (
            "shed/tele/a/SENSOR",
            {"Time": "2026-11-28T10:00:00", "X": {"Temperature": 3}},
            "tasmota",
            "shed/tele/{deviceId}/SENSOR",
        ),
        ("zigbee2mqtt/air", {"co2": 640, "linkquality": 3}, "zigbee2mqtt", "zigbee2mqtt/{deviceId}"),
        ("z2m/air", {"co2": 640, "linkquality": 3}, "zigbee2mqtt", "z2m/{deviceId}"),
        ("zigbee2mqtt/floor1/air", {"co2": 640, "linkquality": 3}, "zigbee2mqtt", "zigbee2mqtt/{deviceId...}"),
        ("node/sensor/co2/state", b"640", "esphome", "{deviceId}/sensor/{object}/state"),
        ("sensors/a/temperature", b"21.5", "scalar", "sensors/{deviceId}/{field}"),
        ("kitchen/temperature", b"21.5 C", "scalar", "{deviceId}/{field}"),
        ("up", {"deviceId": "a", "temperature": 3}, "json", "up"),
        ("home/a/up", {"deviceId": "a", "temperature": 3}, "json", "home/{deviceId}/up"),
    ],
)
def test_family_and_pattern_are_found(topic: str, body: object, name: str, pattern: str) -> None:
    finding = only(survey({topic: body}))
    assert (finding.format, finding.pattern, finding.is_new) == (name, pattern, True)
    assert list(finding.devices.values()) != [{}]


def is_stored(file: Path) -> bool:
    """Whether a sample gives readings, in a family that `auto` chooses."""
    outcome = orjson.loads(file.read_bytes()).get("outcome", "stored")
    return outcome == "stored" and FormatName[file.parent.name.upper()].spec.recognizes is not None


@pytest.mark.parametrize(
    "file", [file for file in SAMPLES if is_stored(file)], ids=lambda file: f"{file.parent.name}/{file.stem}"
)
def test_sample_of_a_family_is_found_as_the_family(file: Path) -> None:
    sample, family = orjson.loads(file.read_bytes()), FormatName[file.parent.name.upper()]
    collected = Survey()
    for one in (*sample.get("earlier", ()), sample):
        collected.add(one["topic"], payload_of(one))
    finding = next(one for one in collected.findings(NOW_MS) if sample["topic"] in one.topics)
    assert finding.format in (family, FormatName.CBOR, FormatName.MSGPACK)  # a family within an encoding
    if "pattern" not in sample and finding.format == family:
        assert set(finding.devices) >= {record["deviceId"] for record in sample["records"]}


def test_zigbee2mqtt_below_another_base_topic_is_found_by_its_bridge() -> None:
    findings = survey({"home/z2m/bridge/state": {"state": "online"}, "home/z2m/a/b": {"co2": 640, "linkquality": 3}})
    assert [(one.pattern, one.reason) for one in findings] == [
        ("home/z2m/{deviceId...}", ""),
        ("", "about the Zigbee2MQTT bridge itself"),
    ]
