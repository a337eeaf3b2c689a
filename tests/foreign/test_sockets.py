"""The plain WebSockets, section by section of the wire contract, with three clients that know nothing of us."""

from __future__ import annotations

import orjson
import pytest

from tests.foreign.clients import Open
from tests.foreign.conftest import Stage
from tests.foreign.contract import a_cursor, a_score, a_text, a_time, an_id, assert_as_written

INGESTED = """{"sensor_id": "bureau1", "enseigne": "Maison", "salle": "Bureau", "timestamp": "2026-01-31T12:00:00.000Z",
"values": {"CO2": 645, "PM25": 12, "TVOC": 0.2, "Temperature": 22.3, "Humidity": 45}}"""
MEASUREMENT = {
    "type": "measurement",
    "timestamp": "2026-01-31T12:00:00.000Z",
    "sensor_id": "bureau1",
    "enseigne": "Maison",
    "salle": "Bureau",
    "values": {"CO2": 645, "PM25": 12, "TVOC": 0.2, "Temperature": 22.3, "Humidity": 45},
    "co2": 645,
    "pm25": 12,
    "tvoc": 0.2,
    "temperature": 22.3,
    "humidity": 45,
    "global_score": a_score,
}
PUBLISHED = '{"co2": 645, "pm25": 12, "tvoc": 0.2, "temperature": 22.3, "humidity": 45, "timestamp": "2026-01-31T12:00:00Z"}'


# --- by topic: /ws -----------------------------------------------------------------------------------------------------


async def test_a_measurement_is_as_written_by_whichever_way_it_came(stage: Stage, opened: Open) -> None:
    registered = await stage.post("/api/v1/devices", '{"id": "bureau1", "site": "Maison", "room": "Bureau"}')
    assert registered.status == 201
    async with opened(stage.socket_url + "/ws") as socket:
        assert (await stage.post("/api/ingest", INGESTED)).status == 201
        message = await socket.hear(type="measurement")
        assert_as_written(message, MEASUREMENT)
        assert [name for name in message if name in MEASUREMENT] == list(MEASUREMENT)
        await stage.publish("sensors/bureau1/data", PUBLISHED.replace("12:00:00Z", "12:00:01Z"))
        again = await socket.hear(type="measurement")
        assert_as_written(again, MEASUREMENT | {"timestamp": "2026-01-31T12:00:01.000Z"})
        assert [name for name in again if name != "extra"] == [name for name in message if name != "extra"]


async def test_topics_are_taken_and_left_and_the_stats_count_them(stage: Stage, opened: Open) -> None:
    nobody = {"measurements": 0, "predictions": 0, "actions": 0, "alerts": 0, "modules": 0, "all": 0}
    async with opened(stage.socket_url + "/ws") as socket:
        stats = await stage.until("/ws/stats", active_connections=1)
        assert_as_written(stats, {"active_connections": 1, "subscriptions": nobody | {"all": 1}})
        await socket.say({"type": "ping"})
        assert await socket.hear() == {"type": "pong"}
        await socket.say({"type": "subscribe", "topics": ["measurements", "alerts"]})
        await socket.say({"type": "unsubscribe", "topics": ["all", "alerts"]})
        stats = await stage.until("/ws/stats", subscriptions=nobody | {"measurements": 1})
        await stage.post("/api/v1/events/alerts", '{"message": "not for us"}')
        await stage.publish("sensors/bureau1/data", PUBLISHED)
        heard = [await socket.hear() for _ in range(3)]
        assert [one["type"] for one in heard] == ["subscribed", "unsubscribed", "measurement"]


async def test_events_of_other_services_are_passed_on_as_they_are(stage: Stage, opened: Open) -> None:
    async with opened(stage.socket_url + "/ws") as socket:
        for topic, kind in (("predictions", "prediction"), ("actions", "action"), ("alerts", "alert")):
            said = {"sensor_id": "bureau1", "nested": {"value": 1.5, "list": [1, None, "é"]}}
            await stage.publish(f"events/{topic}", orjson.dumps(said | {"by": "MQTT"}).decode())
            assert_as_written(await socket.hear(), {"type": kind, "timestamp": a_time, **said, "by": "MQTT"})
            posted = await stage.post(f"/api/v1/events/{topic}", orjson.dumps(said | {"by": "HTTP"}).decode())
            assert posted.status == 202
            assert_as_written(await socket.hear(), {"type": kind, "timestamp": a_time, **said, "by": "HTTP"})


# --- by channel: /api/v1/ws --------------------------------------------------------------------------------------------


def entity(kind: str, event: str, **more: object) -> dict[str, object]:
    common = {"type": "entity_event", "entity_type": kind, "event_type": event, "entity_id": a_text}
    return {**common, "data": {}, "timestamp": a_time, "metadata": {"action": a_text}, **more}


async def test_channels_greet_and_tell_of_sensors_readings_and_events(stage: Stage, opened: Open) -> None:
    path = stage.socket_url + "/api/v1/ws?channel={}&user_id=u"
    async with opened(path.format("sensors")) as sensors, opened(path.format("general")) as general:
        for socket, channel in ((sensors, "sensors"), (general, "general")):
            greeting = {"type": "connection", "status": "connected", "channel": channel, "timestamp": a_time}
            assert_as_written(await socket.hear(), greeting)
        await stage.post("/api/v1/sensors", '{"id": "s1", "tipo": "MQ-135", "modelo": {"rev": 2}}')
        created = entity("sensor", "created", entity_id="s1", metadata={"action": "create_sensor"})
        created["data"] = {"id": "s1", "tipo": "MQ-135", "modelo": {"rev": 2}}
        for socket in (sensors, general):
            assert_as_written(await socket.hear(), created)
        await stage.publish("sensors/s1/data", PUBLISHED)
        record = {"_id": an_id, "deviceId": "s1", "temperature": 22.3, "timestamp": "2026-01-31T12:00:00.000Z"}
        heard = await general.hear(entity_type="reading")
        assert_as_written(heard, entity("reading", "created", entity_id=heard["data"]["_id"], data=record))
        await stage.publish("events/alerts", '{"id": "a7", "level": "high"}')
        alert = entity("alert", "anomaly_detected", entity_id="a7", data={"level": "high"})
        assert_as_written(await general.hear(event_type="anomaly_detected"), alert)
        await stage.post("/api/v1/events/predictions", '{"model": "lstm"}')
        predicted = entity("prediction", "prediction_completed", entity_id="", data={"model": "lstm"})
        assert_as_written(await general.hear(event_type="prediction_completed"), predicted)
        assert (await curl_delete(stage, "/api/v1/sensors/s1")) == 204
        assert_as_written(await sensors.hear(event_type="deleted"), entity("sensor", "deleted", entity_id="s1"))


async def curl_delete(stage: Stage, path: str) -> int:
    return (await stage.post(path, "", "-X", "DELETE")).status


async def test_a_test_event_is_heard_on_its_channel_and_the_stats_say_by_whom(stage: Stage, opened: Open) -> None:
    async with opened(stage.socket_url + "/api/v1/ws?channel=readings&user_id=u") as socket:
        await socket.hear(type="connection")
        users = {"connections": 1, "users": [{"user_id": "u", "connected_at": a_time}]}
        assert_as_written(await stage.get("/api/v1/ws/stats"), {"total_channels": 1, "channels": {"readings": users}})
        assert_as_written(await stage.get("/api/v1/ws/stats/readings"), {"total_channels": 1, "channels": {"readings": users}})
        await stage.post("/api/v1/ws/test-event?channel=sensors&message=elsewhere", "")
        assert (await stage.post("/api/v1/ws/test-event?channel=readings&message=hello", "")).status == 200
        event = {"type": "system_event", "level": "info", "message": "hello", "data": {}, "timestamp": a_time}
        assert_as_written(await socket.hear(), event)


async def test_the_secure_channel_closes_with_4401_without_a_token(stage: Stage, opened: Open) -> None:
    for query in ("channel=general", "channel=general&token=wrong"):
        async with opened(f"{stage.socket_url}/api/v1/ws/secure?{query}") as socket:
            assert await socket.closed() == 4401


# --- devices: /ws/device -----------------------------------------------------------------------------------------------


async def test_a_device_with_a_token_sends_telemetry_and_an_admin_hears_it(stage: Stage, opened: Open) -> None:
    url = stage.socket_url + "/ws/device"
    async with opened(url) as device, opened(url) as admin:
        await device.say({"type": "AUTH", "payload": {"token": "abc123"}})
        await admin.say({"type": "AUTH", "payload": {"token": "let me in"}})
        for socket in (device, admin):
            assert await socket.hear() == {"type": "AUTH_OK"}
        measured = {"device_id": "device001", "temperature": 25.5, "humidity": 60, "battery": 87}
        await device.say({"type": "TELEMETRY", "payload": measured})
        assert_as_written(await admin.hear(), {"type": "TELEMETRY", "payload": measured})
        await admin.say({"type": "SUBSCRIBE", "payload": {"device_id": "esp01"}})
        await admin.say({"type": "SUBSCRIBE", "payload": {}})
        assert (await admin.hear())["type"] == "ERROR", "the one before it was taken"
        await device.say({"type": "TELEMETRY", "payload": measured | {"temperature": 26}})
        await stage.until("/get_telemetry?device=device001", type="TELEMETRY", payload=measured | {"temperature": 26})
        await stage.publish("sensors/esp01/data", '{"temperature": 1}')
        heard = await admin.hear()
        assert_as_written(heard, {"type": "TELEMETRY", "payload": {"device_id": "esp01", "temperature": 1}})


async def test_a_device_with_name_and_password_has_a_state_and_obeys(stage: Stage, opened: Open) -> None:
    async with opened(stage.socket_url + "/ws/device") as device:
        await device.say({"type": "auth", "name": "esp01", "password": "1234"})
        await device.say({"type": "telemetry", "status": "работает", "servo1": 90, "button1": "released"})
        state = {"status": "работает", "servo1": 90, "button1": "released"}
        shown = await stage.until("/api/v1/devices/esp01", state=state)
        assert (shown["status"], shown["connection"]) == ("online", "socket")
        asked = await stage.post("/api/v1/devices/esp01/commands", '{"command": "servo1", "value": "90"}')
        assert_as_written(asked.json, {"id": a_text, "device": "esp01", "command": "servo1", "value": "90", "state": "sent"})
        assert await device.hear() == {"command": "servo1", "value": "90", "id": asked.json["id"]}
        await device.say({"type": "ack", "id": asked.json["id"], "ok": True})
        await stage.until(f"/api/v1/devices/esp01/commands/{asked.json['id']}", state="confirmed")
        form = ("-d", "device_name=esp01", "-d", "command=reboot")
        sent = await stage.post("/send_command", "", *form)
        assert sent.status == 202
        assert await device.hear() == {"command": "reboot", "id": sent.json["id"]}
    await stage.until("/api/v1/devices/esp01", status="offline")
    refused = await stage.post("/api/v1/devices/esp01/commands", '{"command": "servo1", "value": "90"}')
    assert (refused.status, refused.json["detail"]) == (409, "device offline")


@pytest.mark.parametrize(
    ("first", "answer"),
    [
        ({"type": "AUTH", "payload": {"token": "no"}}, {"type": "AUTH_ERROR", "payload": {"error": "Invalid token"}}),
        ({"type": "auth", "name": "esp01", "password": "no"}, {"error": "unauthorized"}),
        ({"type": "telemetry", "temperature": 20}, {"error": "auth_required"}),
    ],
    ids=["token", "password", "neither"],
)
async def test_who_is_not_let_in_is_told_and_closed(stage: Stage, opened: Open, first: object, answer: object) -> None:
    async with opened(stage.socket_url + "/ws/device") as socket:
        await socket.say(first)
        assert await socket.hear() == answer
        assert await socket.closed() == 1008


def test_a_cursor_is_a_number_that_javascript_holds() -> None:
    assert a_cursor(1767000000000000)
    assert not a_cursor(2**53)
    assert not a_cursor(1.5)
