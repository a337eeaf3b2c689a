"""Readings, devices and commands, section by section of the wire contract, with curl and mosquitto's clients."""

from __future__ import annotations

import orjson
import pytest
from bson.objectid import ObjectId

from tests.conftest import StartBridge
from tests.foreign.clients import curl
from tests.foreign.conftest import Stage
from tests.foreign.contract import a_cursor, a_text, a_time, an_id, assert_as_written
from tests.servers import free_port, until

READING = '{"temperature": 25.5, "humidity": 41, "eco2": 640, "tvoc": 120, "timestamp": "2026-01-31T12:00:00Z"}'
POSTED = '{"deviceId": "hall", ' + READING.removeprefix("{")
RECORD = {
    "_id": an_id,
    "temperature": 25.5,
    "humidity": 41,
    "eco2": 640,
    "tvoc": 120,
    "timestamp": "2026-01-31T12:00:00.000Z",
    "deviceId": "hall",
    "receivedAt": a_time,
    "seq": a_cursor,
}
ACCOUNT = {"received": 1, "stored": 1, "duplicate": 0, "rejected": 0, "ignored": 0, "dropped": 0, "waiting": 0, "readings": 1}


# --- readings ----------------------------------------------------------------------------------------------------------


async def test_a_reading_by_mqtt_is_stored_and_answered_everywhere(stage: Stage) -> None:
    await stage.publish("sensors/hall/data", READING)
    await stage.until("/get_telemetry?device=hall", temperature=25.5)
    assert_as_written(await stage.get("/get_telemetry?device=hall"), RECORD)
    assert await stage.get("/get_telemetry?device=nobody") == {"error": "no data"}
    assert_as_written(await stage.get("/api/v1/readings/latest"), {"readings": [RECORD]})
    page = await stage.get("/api/v1/readings?device=hall&limit=1")
    assert_as_written(page, {"readings": [RECORD], "next": page["readings"][0]["seq"]})
    assert (await stage.get(f"/api/v1/readings?since={page['next']}")) == {"readings": [], "next": None}
    status = {"success": True, "connectedClients": 0, "websocketEnabled": True, "ledger": {"mqtt": ACCOUNT}}
    assert_as_written(await stage.get("/websocket/status"), status)
    (stored,) = stage.database["readings"].find()
    assert {name: type(value).__name__ for name, value in stored.items()} == {
        "_id": "ObjectId", "temperature": "float", "humidity": "int", "eco2": "int", "tvoc": "int",
        "timestamp": "datetime", "deviceId": "str", "receivedAt": "datetime", "seq": "Int64",
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/api/v1/readings", "/api/ingest"])
async def test_a_posted_reading_is_answered_with_its_id_when_it_is_stored(stage: Stage, path: str) -> None:
    answer = await stage.post(path, POSTED)
    assert answer.status == 201
    assert_as_written(answer.json, {"ids": [an_id]})
    assert stage.database["readings"].count_documents({"_id": ObjectId(answer.json["ids"][0])}) == 1
    assert_as_written((await stage.get("/websocket/status"))["ledger"], {"http": ACCOUNT})


async def test_lists_and_lines_are_taken_and_a_repeat_with_its_key_is_one_record(stage: Stage) -> None:
    listed = await stage.post("/api/v1/readings", f'[{POSTED}, {POSTED.replace("hall", "attic")}, {{"deviceId": "hall"}}]')
    assert (listed.status, [one["status"] for one in listed.json["results"]]) == (201, ["stored", "stored", "rejected"])
    lines = ("-H", "Content-Type: application/x-ndjson", "--data-binary", "@-")
    again = await stage.post("/api/ingest", f"{POSTED}\n{POSTED.replace('25.5', '26')}\n", *lines)
    assert [one["status"] for one in again.json["results"]] == ["duplicate", "stored"]
    keyed = ("-H", "Content-Type: application/json", "-H", "Idempotency-Key: hall-4711", "-d", '{"deviceId":"k","co2":500}')
    first, second = [await stage.post("/api/v1/readings", "", *keyed) for _ in range(2)]
    assert (first.status, first.json) == (second.status, second.json)
    assert stage.database["readings"].count_documents({"deviceId": "k"}) == 1


async def test_bad_fields_are_named_and_the_rest_lives(stage: Stage) -> None:
    await stage.publish("sensors/hall/data", '{"temperature": "warm", "eco2": 0, "Hum": 0, "sensor-id": "ignored", "odd": 1}')
    record = await stage.until("/get_telemetry?device=hall", humidity=0)
    quality = {"temperature": "not a number", "eco2": "outside 400..65000"}
    assert_as_written(record, {"humidity": 0, "eco2": 0, "quality": quality, "deviceId": "hall"})
    assert "temperature" not in record
    assert "odd" not in record


async def test_what_is_no_reading_is_refused_with_422_and_kept_in_the_quarantine(stage: Stage) -> None:
    answer = await stage.post("/api/v1/readings", '{"deviceId": "hall", "temperature": "hot", "humidity": 900}')
    assert (answer.status, answer.headers["content-type"]) == (422, "application/problem+json")
    fields = [{"field": "temperature", "message": "not a number"}, {"field": "humidity", "message": a_text}]
    assert_as_written(answer.json, {"type": a_text, "title": a_text, "status": 422, "detail": a_text, "errors": fields})
    await stage.publish("sensors/hall/data", "not JSON")
    rejected = stage.database["rejected"]
    await until(lambda: rejected.count_documents({}) == 2, what="both in the quarantine")
    (kept,) = rejected.find({"topic": "sensors/hall/data"})
    assert {name: type(kept[name]).__name__ for name in ("_id", "receivedAt", "source", "topic", "payload", "reason")} == {
        "_id": "ObjectId", "receivedAt": "datetime", "source": "str", "topic": "str", "payload": "bytes", "reason": "str",
    }  # fmt: skip
    shown = (await stage.get("/api/v1/rejected"))["messages"]
    assert shown[0]["payload"] == "not JSON"
    assert (await stage.post("/api/v1/rejected/retry", "")).status == 200


async def test_what_cannot_be_taken_is_refused_by_its_status(stage: Stage) -> None:
    large = await stage.post("/api/v1/readings", '{"deviceId": "hall", "x": "' + "y" * 1_100_000 + '"}')
    form = await stage.post("/api/v1/readings", "", "-d", "temperature=21.5")
    half = await stage.post("/api/v1/readings", '{"deviceId": "hall", ')
    for answer, status in ((large, 413), (form, 415), (half, 400)):
        assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
        assert_as_written(answer.json, {"type": a_text, "title": a_text, "status": status, "detail": a_text})
    assert stage.database["readings"].count_documents({}) == 0


async def test_while_the_store_is_away_a_post_is_answered_503_and_when_to_come_again(
    start_bridge: StartBridge, broker_url: str
) -> None:
    away = f"mongodb://127.0.0.1:{free_port()}/gone"
    async with start_bridge(broker_url, away, ready=False, timeout_seconds=0.5) as bridge:
        url = f"http://127.0.0.1:{bridge.port}"
        answer = await curl(f"{url}/api/v1/readings", "-H", "Content-Type: application/json", "-d", POSTED)
        assert (answer.status, answer.headers["content-type"]) == (503, "application/problem+json")
        assert int(answer.headers["retry-after"]) > 0
        ready = await curl(f"{url}/health/ready")
        assert ready.status == 503
        assert "store" in ready.json["failing"]
        assert (await curl(f"{url}/health/live")).status == 200


# --- devices and commands ----------------------------------------------------------------------------------------------


async def test_devices_are_registered_changed_and_forgotten_and_keep_what_they_were_given(stage: Stage) -> None:
    given = {"id": "s1", "name": "Büro", "site": "Maison", "room": "Bureau", "tipo": "MQ-135", "modelo": {"rev": 2}}
    made = await stage.post("/api/v1/devices", orjson.dumps(given).decode())
    assert made.status == 201
    assert_as_written(made.json, given)
    json = ("-H", "Content-Type: application/json")
    changed = await stage.post("/api/v1/sensors/s1", "", "-X", "PATCH", *json, "-d", '{"room": "Salle", "tipo": null}')
    del given["tipo"]
    assert_as_written(changed.json, given | {"room": "Salle"})
    assert "tipo" not in changed.json
    listed = {"devices": [{"id": "s1", "room": "Salle"}], "next": None}
    assert_as_written(await stage.get("/api/v1/devices?site=Maison"), listed)
    assert (await stage.post("/api/v1/devices/s1", "", "-X", "DELETE")).status == 204
    assert (await curl(f"{stage.url}/api/v1/devices/s1")).status == 404


async def test_a_command_goes_out_by_mqtt_and_the_device_confirms_it(stage: Stage) -> None:
    async with stage.subscribed("sensors/esp01/command") as device:
        await stage.publish("sensors/esp01/status", "online")
        await stage.until("/api/v1/devices/esp01", status="online", connection="mqtt")
        asked = await stage.post("/api/v1/devices/esp01/commands", '{"command": "servo1", "value": "90"}')
        assert asked.status == 202
        assert_as_written(asked.json, {"id": a_text, "state": "sent", "device": "esp01", "command": "servo1", "value": "90"})
        assert await device.hear(command="servo1") == {"command": "servo1", "value": "90", "id": asked.json["id"]}
        await stage.publish("sensors/esp01/command/ack", orjson.dumps({"id": asked.json["id"], "ok": True}).decode())
        await stage.until(f"/api/v1/devices/esp01/commands/{asked.json['id']}", state="confirmed")
        form = ("-d", "device_name=esp01", "-d", "command=servo1", "-d", "value=45")
        by_form = await stage.post("/send_command", "", *form)
        assert_as_written(by_form.json, {"id": a_text, "state": "sent"})
        assert await device.hear(command="servo1") == {"command": "servo1", "value": "45", "id": by_form.json["id"]}
    await stage.publish("sensors/esp01/status", '{"status": "offline"}')
    await stage.until("/api/v1/devices/esp01", status="offline")
    refused = await stage.post("/send_command", "", *form)
    assert (refused.status, refused.json["detail"]) == (409, "device offline")
    queued = '{"command": "servo1", "value": "90", "queue": true, "expires": 60}'
    assert (await stage.post("/api/v1/devices/esp01/commands", queued)).json["state"] == "queued"


async def test_the_description_of_the_api_is_served(stage: Stage) -> None:
    assert (await stage.get("/api/openapi.json"))["openapi"].startswith("3.1")
    metrics = await curl(f"{stage.url}/metrics")
    assert (metrics.status, b"# HELP" in metrics.body) == (200, True)
