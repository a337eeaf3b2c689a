"""Findings: what is shown of subscribed topics, new ones, and those without readings."""

from __future__ import annotations

import orjson

from bridge.core.decode import MessageKind
from bridge.core.discovery.survey import Survey
from bridge.core.formats.registry import FormatName
from tests.core.discovery.test_survey import only, route, survey
from tests.core.test_decode import NOW_MS


def test_topics_that_are_subscribed_are_marked_and_decoded_as_the_bridge_does() -> None:
    routes = (route("a/{deviceId}"), route("s/{deviceId}", kind=MessageKind.STATUS))
    findings = survey({"a/x": {"temperature": 3, "rpm": 1}, "s/x": b"online", "a/y": b"no"}, *routes)
    readings, status = findings
    assert (readings.is_subscribed, readings.devices, readings.not_taken) == (
        True,
        {"x": {"temperature": 3}},
        {"rpm": "unknown key"},
    )
    assert readings.reason.startswith("not JSON")
    assert (status.is_subscribed, status.is_new, status.family) == (True, False, "status")


def test_device_of_another_subscription_is_not_merged_with_a_new_one() -> None:
    findings = survey(
        {"home/kitchen/air": {"temperature": 3}, "home/bedroom/air": {"temperature": 4}}, route("home/kitchen/{deviceId}")
    )
    assert [sorted(one.devices) for one in findings] == [["bedroom/air"], ["air"]]


def test_families_on_topics_of_one_pattern_are_told_apart_by_each_message() -> None:
    tasmota = {"Time": "2026-11-28T10:00:00", "AM2301": {"Temperature": 3}, "TempUnit": "C"}
    finding = only(survey({"sensors/a/data": tasmota, "sensors/b/data": {"temperature": 4}}))
    assert (finding.format, finding.devices) == (FormatName.AUTO, {"a": {"temperature": 3}, "b": {"temperature": 4}})


def test_several_devices_on_one_topic_are_all_shown() -> None:
    collected = Survey()
    for number in range(5):
        collected.add("gateway", orjson.dumps({"deviceId": f"d{number}", "temperature": number}))
    assert len(only(collected.findings(NOW_MS)).devices) == 5


def test_lamps_and_texts_are_listed_with_the_reason() -> None:
    findings = survey({"zigbee2mqtt/lamp": {"state": "ON", "linkquality": 3}, "a/log": b"hello", "a/b/image": b"\xff\xd8\xff"})
    assert not any(one.is_new or one.is_subscribed for one in findings)
    assert all(one.reason for one in findings)


def test_pattern_says_how_many_topics_without_readings_it_matches_too() -> None:
    findings = survey({"kitchen/temperature": b"21", "kitchen/log": b"hello"})
    assert findings[0].also_matches == 1
