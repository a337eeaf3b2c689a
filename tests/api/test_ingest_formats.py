"""Messages of every format by HTTP, on a running bridge."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiomqtt
import orjson
import pytest

from bridge.core.formats.registry import FormatName
from tests.access.parts import guarded
from tests.api.test_ingest import Poster, posting
from tests.conftest import StartBridge
from tests.core.formats.test_payloads import FOLDER, payload_of
from tests.servers import until

FAMILIES = sorted(folder.name for folder in FOLDER.iterdir() if folder.is_dir())
BY_BRIDGE = {"_id", "receivedAt", "seq"}
AIRROHR = {
    "esp8266id": "4711",
    "sensordatavalues": [
        {"value_type": "SDS_P2", "value": "4.5"},
        {"value_type": "BME280_temperature", "value": "8.4"},
        {"value_type": "DS18B20_temperature", "value": "2.5"},
        {"value_type": "samples", "value": "5043215"},
    ],
}
AIRGRADIENT = {"serialno": "84fce612a0b4", "rco2": 612, "atmp": 22.9, "boot": 3, "timestamp": "2026-11-01T10:00:00Z"}
JOIN = {"end_device_ids": {"device_id": "hall"}, "join_accept": {}}
FORM = {"PASSKEY": "0123456789ABCDEF", "dateutc": "2026-11-01 10:00:00", "tempinf": "69.8"}


@pytest.fixture
async def poster(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> AsyncIterator[Poster]:
    async with posting(start_bridge, broker_url, f"sqlite:///{tmp_path}/bridge.db") as one:
        yield one


async def stored(poster: Poster) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await poster.get("/api/v1/readings?limit=1000"))["readings"]
    return found


# --- the same records as by MQTT -------------------------------------------------------------------------------------


def pattern_of(family: str, sample: dict[str, Any]) -> str:
    pattern: str = sample.get("pattern", FormatName(family).spec.usual_pattern)  # type: ignore[arg-type]
    return pattern


def comparable(records: Sequence[dict[str, Any]]) -> list[bytes]:
    """Records without what depends on the moment of receipt, each as sorted JSON, in order."""
    found = []
    for record in records:
        known = {key: value for key, value in record.items() if key not in BY_BRIDGE}
        issue = known.get("quality", {}).pop("timestamp", None)
        if record["timestamp"] == record["receivedAt"] or issue is not None:
            del known["timestamp"]
        else:
            known["_id"] = record["_id"]
        found.append(orjson.dumps({key: value for key, value in known.items() if value != {}}, option=orjson.OPT_SORT_KEYS))
    return sorted(found)


def messages_of(samples: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [message for sample in samples for message in (*sample.get("earlier", ()), sample)]


@pytest.mark.parametrize("family", FAMILIES)
async def test_every_sample_gives_the_same_records_as_by_mqtt(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path, family: str
) -> None:
    samples = [orjson.loads(file.read_bytes()) for file in sorted((FOLDER / family).glob("*.json"))]
    patterns = sorted({pattern_of(family, sample) for sample in samples}, key=lambda text: text.count("{"))
    mqtt = {"subscriptions": [{"pattern": pattern, "format": family} for pattern in patterns]}
    host, port = re.findall(r"//([^:/]+):(\d+)", broker_url)[0]

    async with posting(start_bridge, broker_url, f"sqlite:///{tmp_path}/mqtt.db", mqtt=mqtt) as poster:
        account = poster.bridge.ledger.account("mqtt")
        async with aiomqtt.Client(host, int(port)) as client:
            for number, message in enumerate(messages_of(samples), start=1):
                await client.publish(message["topic"], payload_of(message), qos=1)
                await until(lambda number=number: account.received == number and not account.waiting)
        by_mqtt, counted = await stored(poster), account.as_dict()

    statuses = {}
    async with posting(start_bridge, broker_url, f"sqlite:///{tmp_path}/http.db", mqtt=mqtt) as poster:
        for message in messages_of(samples):
            path = f"/api/v1/ingest/{family}?{urlencode({'topic': message['topic']})}"
            status, body, _ = await poster.post(payload_of(message), path)
            if "about" in message:
                statuses[message["about"]] = status, body
        by_http, line = await stored(poster), poster.line

    assert comparable(by_http) == comparable(by_mqtt)
    assert line == counted
    if not any("earlier" in sample for sample in samples):  # else what earlier samples said counts for later ones
        for sample in samples:
            status, body = statuses[sample["about"]]
            assert status == {"stored": 201, "ignored": 200, "rejected": 422}[sample.get("outcome", "stored")], body
            if status == 201:
                listed = body["results"][0].get("readings", body["results"])
                assert sorted(path for one in listed for path in one.get("ignored", ())) == sorted(sample.get("ignored", ()))


# --- results ---------------------------------------------------------------------------------------------------------


async def test_reading_is_answered_with_its_id_and_the_keys_not_taken(poster: Poster) -> None:
    status, body, _ = await poster.post(AIRGRADIENT, "/api/v1/ingest/airgradient")
    (found,) = await stored(poster)
    assert (status, found["deviceId"], found["co2"]) == (201, "84fce612a0b4", 612)
    assert body["ids"] == [found["_id"]]
    assert body["results"] == [{"index": 0, "status": "stored", "_id": found["_id"], "ignored": {"boot": "unknown key"}}]
    status, again, _ = await poster.post(AIRGRADIENT, "/api/v1/ingest/auto")
    assert (status, again["ids"], again["results"][0]["status"]) == (201, body["ids"], "duplicate")


async def test_each_reading_of_a_message_is_answered_with_its_id(poster: Poster) -> None:
    status, body, _ = await poster.post(AIRROHR, "/api/v1/ingest/sensorcommunity")
    by_device = {one["deviceId"]: one["_id"] for one in await stored(poster)}
    (result,) = body["results"]
    assert (status, set(by_device)) == (201, {"4711", "4711.DS18B20"})
    assert {one["deviceId"]: (one["_id"], one["status"]) for one in result["readings"]} == {
        device: (identity, "stored") for device, identity in by_device.items()
    }
    assert sorted(body["ids"]) == sorted(by_device.values())
    assert "sensordatavalues.[value_type=samples].value" in result["readings"][0]["ignored"]


async def test_message_without_a_reading_is_answered_200_and_counted_as_ignored(poster: Poster) -> None:
    status, body, _ = await poster.post(JOIN, "/api/v1/ingest/ttn")
    assert (status, body["ids"]) == (200, [])
    assert body["results"] == [{"index": 0, "status": "ignored", "reason": "join_accept, no uplink"}]
    assert (poster.line["ignored"], poster.line["rejected"]) == (1, 0)


async def test_rejected_message_is_answered_422_and_can_be_retried(poster: Poster) -> None:
    status, body, _ = await poster.post({"rco2": -5, "atmp": "?"}, "/api/v1/ingest/airgradient?device=hall")
    assert (status, {one["field"] for one in body["errors"]}) == (422, {"temperature", "co2"})
    rejected = (await poster.get("/api/v1/rejected"))["messages"]
    assert [one["topic"] for one in rejected] == ["$http/ingest/airgradient/device/hall"]
    status, body, _ = await poster.post(b"", "/api/v1/rejected/retry")
    assert (status, body["bad"][0]["code"]) == (200, "no_measurement"), body


async def test_own_readings_name_the_keys_that_were_not_taken(poster: Poster) -> None:
    _, body, _ = await poster.post({"deviceId": "hall", "temperature": 21, "boot": 3})
    assert body["results"][0]["ignored"] == {"boot": "unknown key"}


# --- requests --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "payload", "kind", "device"),
    [
        ("ecowitt", urlencode(FORM).encode(), "application/x-www-form-urlencoded", "ecowitt-"),
        ("ecowitt?device=garden", urlencode(FORM).encode(), "application/x-www-form-urlencoded", "garden"),
        ("auto", urlencode(FORM).encode(), "application/x-www-form-urlencoded", "ecowitt-"),
        ("scalar?topic=sensors/hall/temperature", b"21.5", "text/plain", "hall"),
        ("esphome?topic=hall/sensor/room_temperature/state", b"21.5", "", "hall.room"),
        ("auto?topic=hall/sensor/temperature/state", b"21.5", "text/plain", "hall"),
        ("auto?topic=airgradient/readings/84fce612a0b4", orjson.dumps(AIRGRADIENT), "application/json", "84fce612a0b4"),
        ("json?device=hall", b'{"temperature": 21.5}', "application/json", "hall"),
        ("auto?topic=any/topic/at/all", b'{"deviceId": "hall", "temperature": 21.5}', "application/json", "hall"),
    ],
)
async def test_body_of_any_type_is_one_message(poster: Poster, path: str, payload: bytes, kind: str, device: str) -> None:
    status, body, _ = await poster.post(payload, f"/api/v1/ingest/{path}", Content_Type=kind)
    assert status == 201, body
    (found,) = await stored(poster)
    assert found["deviceId"].startswith(device)


async def test_lines_are_messages_of_their_own(poster: Poster) -> None:
    raw = b"\n".join((orjson.dumps(AIRGRADIENT), orjson.dumps(JOIN), b"{oops", b""))
    status, body, _ = await poster.post(raw, "/api/v1/ingest/auto", Content_Type="application/x-ndjson")
    assert status == 201
    assert [one["status"] for one in body["results"]] == ["stored", "ignored", "rejected"]


async def test_body_may_be_compressed(poster: Poster) -> None:
    raw = gzip.compress(orjson.dumps(AIRGRADIENT))
    status, _, _ = await poster.post(raw, "/api/v1/ingest/airgradient", Content_Encoding="gzip")
    assert status == 201


async def test_repeated_key_is_stored_once_and_only_for_the_same_topic(poster: Poster) -> None:
    reading = {"temperature": 21.5}
    _, first, _ = await poster.post(reading, "/api/v1/ingest/json?device=hall", Idempotency_Key="k1")
    status, again, _ = await poster.post(reading, "/api/v1/ingest/json?device=hall", Idempotency_Key="k1")
    assert (status, again) == (201, first)
    status, body, _ = await poster.post(reading, "/api/v1/ingest/json?device=attic", Idempotency_Key="k1")
    assert (status, "another body" in body["detail"]) == (422, True)


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("carrier-pigeon", 404, "use one of auto, json"),
        ("scalar", 400, "add ?topic=, as in sensors/{deviceId}/{field}"),
        ("tasmota", 400, "add ?device="),
        ("mapping", 400, "add ?topic="),
        ("mapping?topic=a/b", 400, "no subscription has this format"),
        ("scalar?topic=rooms/hall", 400, "is none of format scalar: sensors/{deviceId}/{field}"),
        ("json?topic=a/%23", 400, "without + and #"),
        ("json?topic=", 400, "1 to 256"),
        (f"json?topic={'a' * 257}", 400, "1 to 256"),
        ("json?topic=a%00b", 400, "printable"),
        ("json?device=a%2F", 400, "level"),
        ("json?device=", 400, "is empty"),
        ("json?device=a&topic=b", 400, "exclude each other"),
    ],
)
async def test_wrong_request_says_what_is_allowed(poster: Poster, path: str, status: int, text: str) -> None:
    answered, body, _ = await poster.post({"temperature": 1}, f"/api/v1/ingest/{path}")
    assert (answered, text in body["detail"]) == (status, True), body


async def test_multipart_and_empty_bodies_are_refused(poster: Poster) -> None:
    status, _, _ = await poster.post(b"--x--", "/api/v1/ingest/json", Content_Type="multipart/form-data; boundary=x")
    assert status == 415
    status, _, _ = await poster.post(b"", "/api/v1/ingest/json")
    assert status == 400
    status, body, _ = await poster.post(b"1" * 70_000, "/api/v1/ingest/scalar?topic=sensors/a/co2")
    assert (status, "more than the 65536 allowed" in body["detail"]) == (422, True)


async def test_mapping_is_read_by_the_subscription_of_its_topic(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    subscriptions = [{"pattern": "app/{deviceId}/up", "format": "mapping", "fields": {"co2": "gas.co2"}}]
    url = f"sqlite:///{tmp_path}/bridge.db"
    async with posting(start_bridge, broker_url, url, mqtt={"subscriptions": subscriptions}) as poster:
        for name in ("mapping", "auto"):
            status, _, _ = await poster.post({"gas": {"co2": 612}}, f"/api/v1/ingest/{name}?topic=app/hall/up")
            assert status == 201
        assert [(one["deviceId"], one["co2"]) for one in await stored(poster)] == [("hall", 612)] * 2


# --- rights ----------------------------------------------------------------------------------------------------------


async def test_device_may_post_for_itself_in_any_form_and_for_no_other(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    async with guarded(start_bridge, broker_url, f"sqlite:///{tmp_path}/bridge.db") as bridge:
        mine = {"serialno": "hall", "rco2": 612, "atmp": 22.9, "channels": {"1": {"pm02": 4}}}
        other = mine | {"serialno": "stove"}
        status, _ = await bridge.as_("hall", "POST", "/api/v1/ingest/airgradient", mine)
        assert status == 201
        for path, body in (
            ("ingest/airgradient", other),
            ("ingest/auto", [mine, other]),
            ("ingest/airgradient?device=stove", mine),
            ("ingest/auto?topic=airgradient/readings/stove", mine),
            ("readings", other | {"deviceId": "hall"}),
            ("readings", [other]),
        ):
            status, _ = await bridge.as_("hall", "POST", f"/api/v1/{path}", body)
            assert status == 403, path
