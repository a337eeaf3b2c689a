"""The decoder: accepted readings, refused fields, rejected messages; decoding never raises."""

from __future__ import annotations

import json
import math
import unicodedata
from datetime import datetime
from random import Random
from typing import Any, get_args

import bson
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.core.decode import Decoder, MessageKind, Route, UnknownKeys
from bridge.core.devices.location import UNKNOWN_LOCATION, stated_location
from bridge.core.devices.profiles import DeviceProfile, Profiles
from bridge.core.message import (
    CommandAck,
    Decoded,
    DeviceStatus,
    Ignored,
    Message,
    Outcome,
    Rejection,
    RejectionReason,
    StaleRetained,
)
from bridge.core.payload import PAYLOAD_LIMIT_BYTES, quote
from bridge.core.readings.identity import is_device_id
from bridge.core.readings.measurements import MEASUREMENTS, MEASUREMENTS_BY_NAME, VALUE_NAMES, Flag
from bridge.core.readings.reading import Reading
from bridge.core.topic import TopicPattern
from bridge.stores.mongo.reading_documents import document_of
from bridge.stores.mongo.store import _rejected_document, _status_document
from tests.device_ids import ACCEPTED, REFUSED

NOW_MS = 1_767_000_000_000
OWN = "2025-12-29T09:19:59.500Z"
OWN_MS = NOW_MS - 500
DATA, STATUS, ANY = "sensors/a/data", "sensors/a/status", "readings"
ROUTES = (
    Route(TopicPattern.parse("sensors/{deviceId}/data")),
    Route(TopicPattern.parse("sensors/{deviceId}/status"), MessageKind.STATUS),
    Route(TopicPattern.parse("readings")),
    Route(TopicPattern.parse("states"), MessageKind.STATUS),
)


class NullOrigin:
    """An origin that ignores acknowledgements."""

    def acknowledge(self, message: Message, outcome: Outcome, meaning: Decoded | None = None) -> None: ...


def message(payload: bytes, topic: str = DATA, *, retained: bool = False) -> Message:
    return Message("mqtt", topic, payload, NOW_MS, NullOrigin(), retained=retained)


def decoded(decoder: Decoder, body: object) -> Reading:
    one = decoder.decode(message(orjson.dumps(body)))
    assert isinstance(one, Reading), one
    return one


def decode(body: object, topic: str = DATA, *, retained: bool = False) -> Decoded:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Decoder(ROUTES).decode(message(payload, topic, retained=retained))


def reading(body: object, topic: str = DATA, *, retained: bool = False) -> Reading:
    decoded = decode(body, topic, retained=retained)
    assert isinstance(decoded, Reading), decoded
    return decoded


def rejection(body: object, topic: str = DATA) -> Rejection:
    decoded = decode(body, topic)
    assert isinstance(decoded, Rejection), decoded
    assert_readable(decoded.reason)
    return decoded


def assert_readable(reason: str) -> None:
    assert 5 < len(reason) < 400
    assert reason.isprintable()  # so it is one line


# --- readings --------------------------------------------------------------------------------------------------------


def test_valid_reading_is_decoded_unchanged() -> None:
    one = reading({"temperature": 25.5, "humidity": 60, "flameDetected": False, "timestamp": OWN})
    assert one.device_id == "a"
    assert one.values == {"temperature": 25.5, "humidity": 60, "flameDetected": False}
    assert (one.timestamp_ms, one.received_ms) == (OWN_MS, NOW_MS)
    assert (one.quality, one.device_timestamp, one.retained, one.seq) == ({}, None, False, 0)


def test_integer_stays_an_integer() -> None:
    value = reading({"eco2": 400}).values["eco2"]
    assert type(value) is int


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_json_is_read_in_every_unicode_encoding(encoding: str) -> None:
    assert reading('{"temperature": 1}'.encode(encoding)).values == {"temperature": 1}


@pytest.mark.parametrize(
    ("key", "field"),
    [
        *((one.name, one.name) for one in MEASUREMENTS),
        *((one.name.upper(), one.name) for one in MEASUREMENTS),
        *((f"_{one.name}-", one.name) for one in MEASUREMENTS),
        ("temp", "temperature"),
        ("Temperatura", "temperature"),
        ("hum", "humidity"),
        ("HUMEDAD", "humidity"),
        ("co", "coPpm"),
        ("co_ppm", "coPpm"),
        ("CO-PPM", "coPpm"),
        ("ch4", "ch4Ppm"),
        ("lpg", "lpgPpm"),
        ("flame_detected", "flameDetected"),
        ("flame.intensity", "flameIntensity"),
        ("eCO2", "eco2"),
        ("CO2", "co2"),
        ("TVOC", "tvoc"),
        ("pm1", "pm1"),
        ("pm1_0", "pm1"),
        ("PM1.0", "pm1"),
        ("pm1-0", "pm1"),
        ("pm_1_0", "pm1"),
        ("pm_1", "pm1"),
        ("pm10", "pm10"),
        ("pm_10", "pm10"),
        ("PM10.0", "pm10"),
        ("pm10_0", "pm10"),
        ("pm2_5", "pm25"),
        ("PM2.5", "pm25"),
        ("PM25", "pm25"),
        ("pm_2_5", "pm25"),
    ],
)
def test_field_is_matched_by_name_and_alias_ignoring_case_and_punctuation(key: str, field: str) -> None:
    value = 1000 if field == "pressure" else 1
    assert reading({key: value}).values[field] == value


@pytest.mark.parametrize("key", ["deviceId", "device_id", "sensor_id", "sensorId", "DEVICE-ID", "deviceid", "Sensor.Id"])
def test_device_id_is_matched_by_each_of_its_names(key: str) -> None:
    assert reading({key: "bureau1", "co2": 645}, ANY).device_id == "bureau1"


def test_pm1_and_pm10_are_distinguished() -> None:
    assert reading({"pm1_0": 1, "pm10": 10, "pm2_5": 2.5}).values == {"pm1": 1, "pm25": 2.5, "pm10": 10}


def test_nested_form_equals_the_flat_form() -> None:
    values = {"CO2": 645, "PM25": 12, "TVOC": 120, "Temperature": 22.3, "Humidity": 45}
    nested = reading({"sensor_id": "bureau1", "timestamp": OWN, "values": values}, ANY)
    flat = reading({"deviceId": "bureau1", "timestamp": OWN_MS, **values}, ANY)
    assert nested.values == {"temperature": 22.3, "humidity": 45, "tvoc": 120, "co2": 645, "pm25": 12}
    assert nested.id == flat.id


@pytest.mark.parametrize("also", [{}, {"tvoc": 0.2}], ids=["alone", "beside its flat twin"])
def test_small_fraction_of_tvoc_in_values_shows_that_the_device_sends_milligrams(also: dict[str, float]) -> None:
    profiles = Profiles()
    decoder = Decoder(ROUTES, profiles=profiles)
    first = decoded(decoder, {"values": {"TVOC": 0.2}, **also})
    assert first.values["tvoc"] == pytest.approx(200 / 4.6)
    assert first.quality == {}
    assert profiles.units("a") == {"tvoc": "mg/m³"}
    assert profiles.changed == {"a"}, "to be stored before the reading is acknowledged"
    assert decoded(decoder, {"values": {"TVOC": 3}}).values["tvoc"] == pytest.approx(3000 / 4.6)
    assert decoded(decoder, {"tvoc": 0.3}).values["tvoc"] == pytest.approx(300 / 4.6)


@pytest.mark.parametrize(
    "body",
    [
        {"values": {"TVOC": 120}},
        {"values": {"TVOC": 5.5}},
        {"values": {"TVOC": 0}},
        {"values": {"tvoc": 0.2}},
        {"TVOC": 0.2},
        {"values": {"TVOC": 0.2, "TVOC_unit": "ppm"}},
        {"values": {"TVOC": "0.2 ppm"}},
    ],
)
def test_tvoc_is_in_its_stated_unit_or_in_ppb_unless_its_form_and_value_show_otherwise(body: dict[str, Any]) -> None:
    profiles = Profiles()
    decoded(Decoder(ROUTES, profiles=profiles), body)
    assert profiles.units("a") == {}


def test_unit_that_a_person_set_wins_over_what_the_form_shows() -> None:
    profiles = Profiles()
    profiles.put("a", DeviceProfile(units={"tvoc": "ppm"}))
    assert decoded(Decoder(ROUTES, profiles=profiles), {"values": {"TVOC": 0.2}}).values == {"tvoc": 200}
    assert profiles.units("a") == {"tvoc": "ppm"}


@pytest.mark.parametrize("keys", [("enseigne", "salle"), ("Site", "ROOM")])
@pytest.mark.parametrize("form", ["flat", "to be interpreted"])
def test_location_in_a_message_is_kept_and_counts_as_taken(keys: tuple[str, str], form: str) -> None:
    site, room = keys
    measured: dict[str, object] = {"co2": 645} if form == "flat" else {"co2": {"value": 645, "unit": "ppm"}}
    one = reading({site: "Maison", room: " Bureau ", **measured})
    assert (one.extra, one.ignored) == ({site: "Maison", room: " Bureau "}, {})
    assert stated_location(one.extra) == ("Maison", "Bureau")


@pytest.mark.parametrize(
    ("body", "ignored"),
    [
        ({"salle": 5}, {"salle": "unknown key"}),
        ({"salle": "x" * 257}, {"salle": "a room has up to 256 printable characters"}),
        ({"enseigne": "a\u0000"}, {"enseigne": "a site has up to 256 printable characters"}),
        ({"wifi": {"site": "x"}}, {"wifi.site": "unknown key"}),
        ({"salle": " "}, {}),
    ],
)
def test_what_is_no_location_states_none(body: dict[str, object], ignored: dict[str, str]) -> None:
    one = reading({"co2": 645, **body})
    assert stated_location(one.extra) is UNKNOWN_LOCATION
    assert one.ignored == ignored


def test_values_other_than_an_object_are_not_taken() -> None:
    decoder = Decoder(ROUTES)
    assert isinstance(decoder.decode(message(b'{"values": [1, 2], "temperature": 1}')), Reading)
    assert set(decoder.unknown_keys) == {("a", "'values.0'"), ("a", "'values.1'")}


def test_exact_name_wins_over_an_alias_in_any_order() -> None:
    assert reading({"temp": 1, "temperature": 2}).values == {"temperature": 2}
    assert reading({"temperature": 2, "temp": 1}).values == {"temperature": 2}


def test_first_of_two_aliases_wins() -> None:
    assert reading({"temp": 1, "temperatura": 2}).values == {"temperature": 1}


def test_null_is_a_missing_field() -> None:
    one = reading({"temperature": None, "humidity": 40, "timestamp": None, "aqiScale": None})
    assert one.values == {"humidity": 40}
    assert one.quality == {}


def test_null_by_name_does_not_hide_a_value_by_alias() -> None:
    assert reading({"temperature": None, "temp": 5}).values == {"temperature": 5}


def test_zero_is_a_value_and_an_absent_field_is_not_written() -> None:
    public = reading({"tvoc": 0, "flameDetected": 0}).public()
    assert public["tvoc"] == 0
    assert public["flameDetected"] is False
    assert not (set(VALUE_NAMES) - {"tvoc", "flameDetected"}) & set(public)


def test_values_have_the_order_of_the_table() -> None:
    body = dict.fromkeys(reversed(list(MEASUREMENTS_BY_NAME)), 1)
    assert list(reading({**body, "pressure": 1000}).values) == [name for name in VALUE_NAMES if name != "aqiScale"]


# --- invalid fields ------------------------------------------------------------------------------------------------------


def test_invalid_field_is_refused_alone() -> None:
    one = reading({"temperature": "warm", "humidity": 60, "eco2": 70_000})
    assert one.values == {"humidity": 60}
    assert one.quality == {"temperature": "not a number", "eco2": "outside 0..65535"}


def test_unusual_field_is_accepted_and_flagged() -> None:
    one = reading({"eco2": 399, "temperature": 20})
    assert one.values["eco2"] == 399
    assert one.quality == {"eco2": "outside 400..65000"}


@pytest.mark.parametrize("sentinel", [-127, -1000, -999, 65536, 1e300, -(2**63), 2**64 - 1])
def test_error_value_of_a_sensor_refuses_the_field_not_the_message(sentinel: float) -> None:
    one = reading({"temperature": sentinel, "humidity": 40})
    assert one.values == {"humidity": 40}
    assert one.quality == {"temperature": "outside -90..200"}


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1" + "0" * 400, "-1" + "0" * 400, "1" + "0" * 5000]
)
def test_non_finite_number_refuses_the_field_not_the_message(number: str) -> None:
    one = reading(f'{{"temperature": {number}, "humidity": 40, "timestamp": "{OWN}"}}'.encode())
    assert one.values == {"humidity": 40}
    assert type(one.values["humidity"]) is int
    assert one.quality == {"temperature": "not a number"}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1" + "0" * 400])
def test_non_finite_timestamp_is_not_a_time(number: str) -> None:
    one = reading(f'{{"temperature": 20, "timestamp": {number}}}'.encode())
    assert (one.timestamp_ms, one.quality) == (NOW_MS, {"timestamp": "not a time"})


def test_clamped_field_is_flagged() -> None:
    one = reading({"humidity": 103.5})
    assert one.values == {"humidity": 100}
    assert one.quality["humidity"].startswith("outside 0..100")


@pytest.mark.parametrize(
    ("body", "values", "quality"),
    [
        ({"aqi": 3}, {"aqi": 3}, {}),
        ({"aqi": 0}, {"aqi": 0}, {"aqi": "outside 1..5"}),
        ({"aqi": 5}, {"aqi": 5}, {}),
        ({"aqi": 6}, {"aqi": 6}, {}),
        ({"aqi": 500}, {"aqi": 500}, {}),
        ({"aqi": 501}, {"aqi": 501}, {"aqi": "outside 0..500"}),
        ({"aqi": 3, "aqiScale": "epa"}, {"aqi": 3, "aqiScale": "epa"}, {}),
        ({"aqi": 80, "aqi_scale": " UBA "}, {"aqi": 80, "aqiScale": "uba"}, {"aqi": "outside 1..5"}),
        ({"aqi": 3, "aqiScale": "caqi"}, {"aqi": 3}, {"aqiScale": "not one of uba, epa"}),
        ({"aqi": 3, "aqiScale": ["uba"]}, {"aqi": 3}, {"aqiScale": "not one of uba, epa"}),
        ({"temperature": 1, "aqiScale": "uba"}, {"temperature": 1}, {}),
        ({"temperature": 1, "aqi": 1000, "aqiScale": "epa"}, {"temperature": 1}, {"aqi": "outside 0..999"}),
    ],
)
def test_index_is_checked_against_its_scale(
    body: dict[str, object], values: dict[str, object], quality: dict[str, str]
) -> None:
    one = reading(body)
    assert one.values == values
    assert one.quality == quality


# --- unknown keys ----------------------------------------------------------------------------------------------------


def test_unknown_key_is_named_and_counted_once_per_device() -> None:
    decoder = Decoder(ROUTES)
    for device in ("a", "b", "a"):
        one = decoder.decode(message(b'{"temperature": 1, "firmware": "1.2", "uptime": 60}', f"sensors/{device}/data"))
        assert isinstance(one, Reading)
        assert one.values == {"temperature": 1}
        assert one.quality == {}
        assert one.ignored == dict.fromkeys(("firmware", "uptime"), "unknown key")
        assert one.extra == {"firmware": "1.2", "uptime": 60}
    assert len(decoder.unknown_keys) == 4
    assert set(decoder.unknown_keys) == {("a", "'firmware'"), ("a", "'uptime'"), ("b", "'firmware'"), ("b", "'uptime'")}


def test_number_of_unknown_keys_is_bounded() -> None:
    unknown = UnknownKeys(limit=3)
    unknown.record("a", [f"key{n}" for n in range(10)])
    unknown.record("a", ["x" * 100_000])
    assert len(unknown) == 3


def test_long_unknown_key_is_cut_and_escaped() -> None:
    decoder = Decoder(ROUTES)
    decoder.decode(message(json.dumps({"temperature": 1, "é\n" * 5000: 2}).encode()))
    [(_, key)] = decoder.unknown_keys
    assert_readable(key)
    assert len(key) <= 64


def test_message_of_an_ignored_topic_is_not_read() -> None:
    wide, ignore = TopicPattern.parse("home/{deviceId...}"), (TopicPattern.parse("home/+/log"),)
    decoder = Decoder([Route(wide, ignore=ignore)])
    for _ in range(2):
        assert decoder.decode(message(b'{"temperature": 1}', "home/a/log")) == Ignored("messages of its topic are ignored")
        assert isinstance(decoder.decode(message(b'{"temperature": 1}', "home/a/b/log")), Reading)
    own = Decoder([Route(TopicPattern.parse("home/{deviceId}/log")), Route(wide, ignore=ignore)])
    assert isinstance(own.decode(message(b'{"temperature": 1}', "home/a/log")), Reading), "a subscription before it"


# --- devices ---------------------------------------------------------------------------------------------------------


def test_device_id_of_the_topic_wins_over_the_body() -> None:
    assert reading({"deviceId": "b", "temperature": 1}).device_id == "a"


def test_invalid_id_in_the_body_is_ignored_if_the_topic_has_one() -> None:
    assert reading({"deviceId": "no good\n", "temperature": 1}).device_id == "a"


def test_invalid_id_in_the_topic_is_not_replaced_by_the_body() -> None:
    assert rejection({"deviceId": "b", "temperature": 1}, "sensors/no good /data").code is RejectionReason.NO_DEVICE_ID


@pytest.mark.parametrize("name", [".", ".."])
def test_step_of_a_url_is_not_a_device_id_in_a_topic(name: str) -> None:
    one = rejection({"deviceId": "b", "temperature": 1}, f"sensors/{name}/data")
    assert one.code is RejectionReason.NO_DEVICE_ID
    assert f"has the level {name!r}" in one.reason


def test_integer_is_a_valid_device_id() -> None:
    assert reading({"device_id": 17, "temperature": 1}, ANY).device_id == "17"


@pytest.mark.parametrize("device_id", ACCEPTED)
def test_id_of_any_script_is_taken_from_body_and_topic(device_id: str) -> None:
    assert reading({"deviceId": device_id, "temperature": 1}, ANY).device_id == device_id
    if "/" not in device_id:
        assert reading({"temperature": 1}, f"sensors/{device_id}/data").device_id == device_id


@pytest.mark.parametrize(("device_id", "fault"), [*REFUSED, ("a\ud800", "contains U+D800 Cs")])
def test_refused_device_id_is_rejected_with_its_fault(device_id: str, fault: str) -> None:
    one = rejection({"temperature": 1, "deviceId": device_id}, ANY)
    assert one.code is RejectionReason.NO_DEVICE_ID
    assert f", which {fault}; allowed are 1 to 128 printable characters" in one.reason


SEVERAL = (
    Route(TopicPattern.parse("home/{deviceId...}/data")),
    Route(TopicPattern.parse("home/{deviceId...}/status"), MessageKind.STATUS),
    Route(TopicPattern.parse("home/{deviceId...}/command/ack"), MessageKind.COMMAND_ACK),
)


@pytest.mark.parametrize("device_id", [name for name in ACCEPTED if len(name) < 120])
def test_id_of_several_levels_is_taken_from_the_topic(device_id: str) -> None:
    decoder = Decoder(SEVERAL)
    for topic, payload in (("data", b'{"temperature": 1}'), ("status", b"online"), ("command/ack", b'{"id": "1", "ok": true}')):
        decoded = decoder.decode(message(payload, f"home/floor1/{device_id}/{topic}"))
        assert isinstance(decoded, Reading | DeviceStatus | CommandAck)
        assert decoded.device_id == f"floor1/{device_id}"


@pytest.mark.parametrize("name", ["a//b", "a/../b", "/a", "a/", "..", "a/ "])
def test_levels_that_no_url_may_have_are_refused_in_a_topic(name: str) -> None:
    decoded = Decoder(SEVERAL).decode(message(b'{"temperature": 1}', f"home/{name}/data"))
    assert isinstance(decoded, Rejection)
    assert decoded.code is RejectionReason.NO_DEVICE_ID


@pytest.mark.parametrize("topic", ["home", "home/data", "home/a/command", "home/a/b/other"])
def test_topic_that_only_the_filter_of_several_levels_matches_is_ignored(topic: str) -> None:
    assert isinstance(Decoder(SEVERAL).decode(message(b'{"temperature": 1}', topic)), Ignored)


def test_topic_that_no_filter_matches_is_rejected() -> None:
    decoded = Decoder(SEVERAL).decode(message(b'{"temperature": 1}', "away/a/data"))
    assert isinstance(decoded, Rejection)
    assert decoded.code is RejectionReason.NO_ROUTE


def test_spelling_of_topic_or_body_does_not_make_two_devices() -> None:
    spellings = [unicodedata.normalize(form, "Küche") for form in ("NFC", "NFD")]
    assert {reading({"temperature": 1}, f"sensors/{text}/data").device_id for text in spellings} == {"Küche"}
    records = [reading({"temperature": 1, "deviceId": text, "timestamp": NOW_MS}, ANY) for text in spellings]
    assert {(record.device_id, record.id) for record in records} == {("Küche", records[0].id)}


@pytest.mark.parametrize(
    "device",
    [None, "", ".", "..", "a+b", "x" * 129, "a\u200b", 1.5, True, ["a"], {"id": "a"}, 10**200, 10**4000],
    ids=lambda one: repr(one)[:9],
)
def test_message_without_a_valid_device_id_is_rejected(device: object) -> None:
    one = rejection({"temperature": 1, "deviceId": device}, ANY)
    assert one.code is RejectionReason.NO_DEVICE_ID
    assert one.field == "deviceId"
    assert "1 to 128 printable characters" in one.reason


# --- timestamps -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "fault"),
    [
        ("2019-12-31T23:59:59.999Z", "before 2020-01-01"),
        (1, "before 2020-01-01"),
        (NOW_MS + 300_001, "more than 5 minutes ahead"),
        ("yesterday", "not a time"),
        (-5, "not a time"),
    ],
)
def test_implausible_timestamp_is_stored_as_device_timestamp(own: str | int, fault: str) -> None:
    one = reading({"temperature": 1, "timestamp": own})
    assert one.timestamp_ms == NOW_MS
    assert one.device_timestamp == own
    assert one.quality == {"timestamp": fault}


@pytest.mark.parametrize("own_ms", [1_577_836_800_000, NOW_MS + 300_000])
def test_timestamp_at_a_limit_is_accepted(own_ms: int) -> None:
    one = reading({"temperature": 1, "timestamp": own_ms})
    assert (one.timestamp_ms, one.device_timestamp, one.quality) == (own_ms, None, {})


def test_retained_reading_with_a_timestamp_is_marked_retained() -> None:
    one = reading({"temperature": 1, "timestamp": OWN}, retained=True)
    assert one.retained is True
    assert one.public()["retained"] is True


@pytest.mark.parametrize("own", [None, "soon", 5])
def test_retained_reading_without_a_timestamp_is_stale(own: object) -> None:
    assert decode({"temperature": 1, "timestamp": own}, retained=True) == StaleRetained()


# --- identity --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        {"temperature": 25.0, "humidity": 40, "timestamp": OWN},
        {"humidity": 40, "timestamp": OWN, "temperature": 25},
        {"temp": 25, "hum": 40, "timestamp": OWN},
        {"temperature": "25", "humidity": " 40.0 ", "timestamp": OWN},
        {"temperature": 25, "humidity": 40, "timestamp": OWN_MS},
        {"temperature": 25, "humidity": 40, "timestamp": OWN_MS / 1000},
        {"temperature": 25, "humidity": 40, "timestamp": "2025-12-29T10:19:59.500+01:00"},
        {"temperature": 25, "humidity": 40, "timestamp": OWN, "firmware": "2", "co2": None},
        {"values": {"Temperature": 25, "Humidity": 40}, "timestamp": OWN},
        {"deviceId": "a", "temperature": 25, "humidity": 40, "timestamp": OWN},
    ],
)
def test_same_reading_in_another_notation_is_the_same_record(other: dict[str, object]) -> None:
    assert reading(other).id == reading({"temperature": 25, "humidity": 40, "timestamp": OWN}).id


def test_reading_from_two_topics_is_one_record() -> None:
    by_topic = reading({"temperature": 25, "timestamp": OWN})
    by_body = reading({"temperature": 25, "timestamp": OWN, "sensor_id": "a"}, ANY)
    assert by_topic.id == by_body.id


def test_redelivered_reading_of_a_fast_clock_is_the_same_record() -> None:
    body = json.dumps({"temperature": 25, "timestamp": NOW_MS + 400_000}).encode()
    first, later = message(body), message(body)
    later.received_ms += 10_000
    one, other = Decoder(ROUTES).decode(first), Decoder(ROUTES).decode(later)
    assert isinstance(one, Reading)
    assert isinstance(other, Reading)
    assert one.id == other.id


def test_reading_without_a_timestamp_is_always_a_new_record() -> None:
    assert reading({"temperature": 25}).id != reading({"temperature": 25}).id


# --- rejected messages -----------------------------------------------------------------------------------------

INVALID: list[tuple[object, RejectionReason]] = [
    (b"", RejectionReason.NOT_JSON),
    (b" \n", RejectionReason.NOT_JSON),
    (b"online", RejectionReason.NOT_JSON),
    (b'{"temperature": 1', RejectionReason.NOT_JSON),
    (b'{"temperature": 1}}', RejectionReason.NOT_JSON),
    (b"\xff\xfe\x00\x01", RejectionReason.NOT_JSON),
    (b"\x00" * 100, RejectionReason.NOT_JSON),
    ("{'temperature': 'grün'}".encode(), RejectionReason.NOT_JSON),
    (b"[" * 60_000, RejectionReason.NOT_JSON),
    (b'{"a":' * 10_000, RejectionReason.NOT_JSON),
    (b"[]", RejectionReason.NOT_OBJECT),
    (b"21.5", RejectionReason.NOT_OBJECT),
    (b'"warm"', RejectionReason.NOT_OBJECT),
    (b"true", RejectionReason.NOT_OBJECT),
    (b"null", RejectionReason.NOT_OBJECT),
    (b"NaN", RejectionReason.NOT_OBJECT),
    (b"1" * 5000, RejectionReason.NOT_OBJECT),
    (b" " * (PAYLOAD_LIMIT_BYTES + 1), RejectionReason.TOO_LARGE),
    ({}, RejectionReason.NO_MEASUREMENT),
    ({"timestamp": OWN}, RejectionReason.NO_MEASUREMENT),
    ({"temperature": None}, RejectionReason.NO_MEASUREMENT),
    ({"temperature": "ä" * 1000}, RejectionReason.NO_MEASUREMENT),
    (dict.fromkeys(MEASUREMENTS_BY_NAME, "bad"), RejectionReason.NO_MEASUREMENT),
    ({f"{'é' * 50}{n}\n": 1 for n in range(150)}, RejectionReason.NO_MEASUREMENT),
    ({"values": {}}, RejectionReason.NO_MEASUREMENT),
    ({"aqiScale": "uba"}, RejectionReason.NO_MEASUREMENT),
]


@pytest.mark.parametrize(("body", "code"), INVALID, ids=lambda one: repr(one)[:30])
def test_invalid_message_is_rejected_with_a_readable_reason(body: object, code: RejectionReason) -> None:
    assert rejection(body).code is code


def test_message_of_exactly_the_size_limit_is_decoded() -> None:
    body = b'{"temperature": 1}'
    assert isinstance(decode(body.ljust(PAYLOAD_LIMIT_BYTES)), Reading)
    assert rejection(body.ljust(PAYLOAD_LIMIT_BYTES + 1)).code is RejectionReason.TOO_LARGE


def test_size_limit_is_64_kib() -> None:
    assert PAYLOAD_LIMIT_BYTES == 64 * 1024


def test_rejection_has_the_field_and_the_message() -> None:
    sent = message(b'{"temperature": "warm"}')
    one = Decoder(ROUTES).decode(sent)
    assert isinstance(one, Rejection)
    assert one.message is sent
    assert one.field == "temperature"
    assert one.reason == "no valid measurement: temperature is not a number"


def test_rejection_lists_the_first_invalid_fields_and_counts_the_rest() -> None:
    assert rejection(dict.fromkeys(MEASUREMENTS_BY_NAME, "bad")).reason.endswith(f" and {len(MEASUREMENTS_BY_NAME) - 5} more")


def test_message_on_an_unmatched_topic_is_rejected() -> None:
    assert rejection({"temperature": 1}, "elsewhere/é\n" + "x" * 5000).code is RejectionReason.NO_ROUTE


def test_each_rejection_has_a_new_id() -> None:
    assert rejection(b"x").id != rejection(b"x").id


@pytest.mark.parametrize("depth", [500, 990, 1000, 1020, 1100, 9000])
@pytest.mark.parametrize("brackets", [(b"[", b"]"), (b'{"a":', b"}")], ids=["lists", "objects"])
def test_deeply_nested_value_is_rejected(brackets: tuple[bytes, bytes], depth: int) -> None:
    nested = brackets[0] * depth + b"1" + brackets[1] * depth
    for body, topic in ((b'{"deviceId":%s}', ANY), (b'{"temperature":%s}', DATA), (b'{"status":%s}', STATUS)):
        rejection(body % nested, topic)


# --- arbitrary input --------------------------------------------------------------------------------------------------

KEYS = st.one_of(
    st.sampled_from([*VALUE_NAMES, "temp", "PM1_0", "values", "timestamp", "deviceId", "status", "flame_detected"]),
    st.text(max_size=20),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.integers(-(10**500), 10**500), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=6)),
    max_leaves=20,
)
PLAUSIBLE = st.one_of(
    st.floats(-200, 200), st.integers(-10, 70_000), st.sampled_from(["21.5", "ON", OWN, NOW_MS, 5, "x", None, True, -127])
)
OBJECTS = st.dictionaries(KEYS, st.one_of(PLAUSIBLE, JSON), max_size=10)
TOPICS = st.sampled_from([DATA, STATUS, ANY, "states", "elsewhere", "sensors/ü/data", "sensors/ü\u200b/data"])


def assert_well_formed(decoded: Decoded) -> None:
    """Assert what the rest of the bridge relies on."""
    assert isinstance(decoded, get_args(Decoded))
    match decoded:
        case Reading():
            assert_in_order_and_in_range(decoded)
            orjson.dumps(decoded.public())
            bson.encode(document_of(decoded))
        case Rejection():
            assert_readable(decoded.reason)
            bson.encode(_rejected_document(decoded))
        case DeviceStatus():
            assert is_device_id(decoded.device_id)
            assert decoded.status.isprintable()
            bson.encode(_status_document(decoded))
        case StaleRetained():
            pass


def assert_in_order_and_in_range(one: Reading) -> None:
    assert is_device_id(one.device_id)
    assert one.values
    assert list(one.values) == sorted(one.values, key=VALUE_NAMES.index)
    for name, value in one.values.items():
        if name == "aqiScale":
            assert value in ("uba", "epa")
        elif isinstance(MEASUREMENTS_BY_NAME[name], Flag):
            assert isinstance(value, bool)
        else:
            low, high = MEASUREMENTS_BY_NAME[name].refuse
            assert type(value) in (int, float)
            assert low <= float(value) <= high
    assert 1_577_836_800_000 <= one.timestamp_ms <= NOW_MS + 300_000


@given(st.binary(max_size=200), TOPICS, st.booleans())
@example(b'{"temperature": 1%s}' % (b"0" * 400), DATA, False)
@example(b'{"timestamp": 1%s, "temperature": 1}' % (b"0" * 400), DATA, True)
@example(b'{"status": %s%s}' % (b"[" * 1000, b"]" * 1000), STATUS, False)
def test_decoding_any_bytes_never_raises(payload: bytes, topic: str, retained: bool) -> None:
    assert_well_formed(decode(payload, topic, retained=retained))


@given(JSON, TOPICS, st.booleans())
def test_decoding_any_json_never_raises(body: object, topic: str, retained: bool) -> None:
    assert_well_formed(decode(body, topic, retained=retained))


@given(OBJECTS, TOPICS, st.booleans())
def test_decoding_any_object_never_raises(body: dict[str, Any], topic: str, retained: bool) -> None:
    assert_well_formed(decode(body, topic, retained=retained))


def valid_values() -> st.SearchStrategy[dict[str, float | bool]]:
    """Measurements within their usual ranges, in any order."""
    usual: dict[str, st.SearchStrategy[float | bool]] = {}
    for one in MEASUREMENTS:
        low, high = one.unflagged_range if not isinstance(one, Flag) else (0, 1)
        numbers = st.one_of(st.integers(int(low), int(high)), st.floats(low, high))
        usual[one.name] = st.booleans() if isinstance(one, Flag) else numbers
    usual["aqi"] = st.integers(1, 500)
    names = st.lists(st.sampled_from(list(usual)), min_size=1, unique=True)
    return names.flatmap(lambda chosen: st.fixed_dictionaries({name: usual[name] for name in chosen}))


@given(valid_values(), st.integers(1_577_836_800_000, NOW_MS + 300_000))
def test_valid_reading_survives_decoding_and_bson(values: dict[str, float | bool], own_ms: int) -> None:
    one = reading({"timestamp": own_ms, **values})
    assert one.values == values
    assert one.quality == {}
    assert one.timestamp_ms == own_ms
    assert_well_formed(one)
    document: dict[str, Any] = bson.decode(bson.encode(document_of(one)), bson.CodecOptions(tz_aware=True))
    assert {name: document[name] for name in one.values} == values
    assert isinstance(document["timestamp"], datetime)
    assert math.floor(document["timestamp"].timestamp() * 1000 + 0.5) == own_ms


@given(valid_values(), st.randoms(use_true_random=False))
def test_key_order_does_not_change_the_record(values: dict[str, float | bool], random: Random) -> None:
    shuffled = list(values.items())
    random.shuffle(shuffled)
    assert reading({"timestamp": OWN, **dict(shuffled)}).id == reading({"timestamp": OWN, **values}).id


@given(st.one_of(st.text(), st.binary(), st.integers(-(10**20), 10**20), st.floats(), JSON))
def test_quoted_text_is_one_short_line_of_ascii(value: object) -> None:
    text = quote(value)
    assert len(text) <= 64
    assert text.isascii()
    assert text.isprintable()
