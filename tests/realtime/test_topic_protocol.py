"""`/ws` and `/api/v1/ws`, with independent clients."""

from __future__ import annotations

import asyncio
import logging
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from bson.objectid import ObjectId
from hypothesis import assume, given
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed, InvalidStatus

from bridge.app import Bridge
from bridge.core.decode import Decoder, Route
from bridge.core.devices.location import Location
from bridge.core.events import EntityEvent, SystemEvent
from bridge.core.message import DeviceStatus, Message, TopicEvent
from bridge.core.readings.measurements import AQI_SCALES, MEASUREMENTS_BY_NAME, VALUE_NAMES
from bridge.core.readings.reading import Reading
from bridge.core.topic import TopicPattern
from bridge.realtime.channel_protocol import ChannelCodec
from bridge.realtime.topic_protocol import NAMES, TopicCodec
from bridge.settings import AccessSettings, HttpSettings, RealtimeSettings
from bridge.sources.mqtt.client import mqtt_sender
from tests.access.parts import ACCESS
from tests.conftest import StartBridge
from tests.core.test_decode import NullOrigin
from tests.realtime.clients import Plain, publish_and_receive, publish_many
from tests.realtime.socketio.test_server import metric, temperatures
from tests.senders import patient
from tests.servers import until

Open = Callable[..., Any]
EPOCH_MS = 1_767_000_000_000
EPOCH = "2025-12-29T09:20:00.000Z"


@pytest.fixture
async def opened(start_bridge: StartBridge, broker_url: str, tmp_path: Path, access: AccessSettings) -> AsyncIterator[Open]:
    """Return a function that starts a bridge: `await opened(slow_seconds=1)`."""
    async with AsyncExitStack() as stack:

        async def start(http: HttpSettings | None = None, **realtime: Any) -> Bridge:
            url = f"sqlite:///{tmp_path}/bridge.db"
            settings = RealtimeSettings(**realtime)
            return await stack.enter_async_context(start_bridge(broker_url, url, http=http, realtime=settings, access=access))

        yield start


@pytest.fixture
async def bridge(opened: Open, broker_url: str) -> Bridge:
    """The devices a and d are known: a new device would publish an event of its own."""
    running: Bridge = await opened()
    for device in ("a", "d"):
        await publish(broker_url, f"sensors/{device}/data", temperature=0)
    await until(lambda: running.ledger.account("mqtt").stored == 2)
    return running


async def publish(broker_url: str, topic: str, **body: Any) -> None:
    async with mqtt_sender(patient(broker_url)) as sender:
        await sender.publish(topic, orjson.dumps(body))


async def ask(bridge: Bridge, method: str, path: str, data: bytes | None = None) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"http://127.0.0.1:{bridge.port}{path}", data=data) as answer,
    ):
        return answer.status, orjson.loads(await answer.read())


# --- /ws ---------------------------------------------------------------------------------------------------------------


async def test_measurement_is_sent_in_the_contract_shape(bridge: Bridge, broker_url: str) -> None:
    measured = {"temperature": 22.3, "humidity": 45, "tvoc": 0.2, "co2": 645, "pm25": 12, "timestamp": 1767000000}
    async with Plain.connected(bridge) as client:
        await publish(broker_url, "sensors/bureau1/data", **measured)
        message = await client.receive()
    cursor = message.pop("cursor")
    assert type(cursor) is int
    assert list(message.items()) == [
        ("type", "measurement"),
        ("timestamp", EPOCH),
        ("sensor_id", "bureau1"),
        ("enseigne", ""),
        ("salle", ""),
        ("values", {"CO2": 645, "PM25": 12, "TVOC": 0.2, "Temperature": 22.3, "Humidity": 45}),
        ("co2", 645),
        ("pm25", 12),
        ("tvoc", 0.2),
        ("temperature", 22.3),
        ("humidity", 45),
        ("global_score", 86),
    ]
    assert list(message["values"]) == ["CO2", "PM25", "TVOC", "Temperature", "Humidity"]


async def test_log_names_clients_broadcasts_and_pongs_of_the_websocket(
    bridge: Bridge, broker_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "bridge.realtime.topic_protocol")
    async with Plain.connected(bridge) as client:
        await publish(broker_url, "sensors/a/data", co2=645)
        await client.receive()
        await client.send(type="ping")
        await client.receive()
        await client.send(type="pong")
        await until(lambda: "pong received" in caplog.text)
    await until(lambda: "disconnected" in caplog.text)
    lines = [(one.levelname, one.getMessage()) for one in caplog.records if "WebSocket" in one.getMessage()]
    assert lines == [
        ("INFO", "WebSocket: client connected to /ws. Total: 1, Topics: ['all']"),
        ("DEBUG", "WebSocket: measurement of 'a' sent to 1 clients at /ws"),
        ("DEBUG", "WebSocket: ping received at /ws: pong sent"),
        ("DEBUG", "WebSocket: pong received at /ws"),
        ("INFO", "WebSocket: client disconnected from /ws. Total: 0"),
    ]


def test_measurement_contains_only_measured_fields_and_the_registered_location() -> None:
    codec = TopicCodec({"a": Location("Maison", "Bureau")}.get)
    reading = Reading(ObjectId(), "a", {"battery": 0, "flameDetected": False}, EPOCH_MS, EPOCH_MS, seq=7)
    assert orjson.loads(codec.encode(reading) or b"") == {
        "type": "measurement", "timestamp": EPOCH, "sensor_id": "a", "enseigne": "Maison", "salle": "Bureau",
        "values": {"FlameDetected": False, "Battery": 0}, "flamedetected": False, "battery": 0, "cursor": 7,
    }  # fmt: skip


def test_measurement_repeats_the_location_that_the_device_states() -> None:
    codec = TopicCodec({"a": Location("Maison", "Bureau")}.get)
    for extra, location in (({"enseigne": "École"}, ("École", "Bureau")), ({"salle": "B 2"}, ("Maison", "B 2")), ({}, None)):
        reading = Reading(ObjectId(), "a", {"co2": 645}, EPOCH_MS, EPOCH_MS, seq=7, extra=dict(extra))
        message = orjson.loads(codec.encode(reading) or b"")
        assert (message["enseigne"], message["salle"]) == (location or ("Maison", "Bureau"))
        assert message.get("extra", {}) == extra


@pytest.mark.parametrize("unit", ["mg/m³", "mg/m3"])
def test_tvoc_is_sent_in_milligrams_to_the_readers_of_a_device_that_sends_it_so(unit: str) -> None:
    codec = TopicCodec(lambda _: None, {"a": {"tvoc": unit}}.get)  # type: ignore[arg-type]
    reading = Reading(ObjectId(), "a.out", {"tvoc": 43.4782608696}, EPOCH_MS, EPOCH_MS, part_of="a")
    message = orjson.loads(codec.encode(reading) or b"")
    assert (message["values"], message["tvoc"], message["units"]) == ({"TVOC": 0.2}, 0.2, {"TVOC": "mg/m³"})
    assert message["global_score"] == 100


async def test_latest_measurements_are_those_that_the_socket_sent(bridge: Bridge, broker_url: str) -> None:
    async with Plain.connected(bridge) as client:
        for device, co2 in (("a", 500), ("d", 600), ("a", 645)):
            await publish(broker_url, f"sensors/{device}/data", co2=co2, enseigne="Maison")
        sent = [await client.receive("measurement") for _ in range(3)]
    assert (await ask(bridge, "GET", "/ws/latest"))[1] == {"measurements": sent[1:]}
    assert (await ask(bridge, "GET", f"/ws/latest?since={sent[1]['cursor']}"))[1] == {"measurements": sent[2:]}
    assert (await ask(bridge, "GET", f"/ws/latest?since={sent[2]['cursor']}"))[1] == {"measurements": []}


@pytest.mark.parametrize("query", ["since=-1", "since=x", f"since={2**53}", "after=1"])
async def test_latest_measurements_refuse_what_is_no_cursor(bridge: Bridge, query: str) -> None:
    status, problem = await ask(bridge, "GET", f"/ws/latest?{query}")
    assert (status, query.partition("=")[0] in str(problem)) == (400, True)


SMALL = ("flameDetected", "battery", "aqi")
VALUES = st.fixed_dictionaries(
    {}, optional={name: st.integers(400, 500) for name in MEASUREMENTS_BY_NAME if name not in SMALL}
    | {"flameDetected": st.booleans(), "aqi": st.integers(1, 5), "aqiScale": st.sampled_from(sorted(AQI_SCALES))}
)  # fmt: skip


@given(VALUES)
def test_measurement_sent_back_to_the_bridge_is_decoded_to_the_same_values(values: dict[str, Any]) -> None:
    decoder = Decoder([Route(TopicPattern.parse("readings"))])
    payload = orjson.dumps({"deviceId": "a", **values})
    assume(isinstance(decoder.decode(Message("mqtt", "readings", payload, EPOCH_MS, NullOrigin())), Reading))
    reading = decoded(decoder, payload)
    again = decoded(decoder, TopicCodec(lambda _: None).encode(reading) or b"")
    assert again.values == reading.values
    assert again.device_id == "a"


def decoded(decoder: Decoder, payload: bytes) -> Reading:
    reading = decoder.decode(Message("mqtt", "readings", payload, EPOCH_MS, NullOrigin()))
    assert isinstance(reading, Reading), reading
    return reading


def test_every_field_has_a_unique_name() -> None:
    assert set(NAMES) == set(VALUE_NAMES)
    assert len({name.lower() for name in NAMES.values()}) == len(NAMES)
    assert list(NAMES.values())[:5] == ["CO2", "PM25", "TVOC", "Temperature", "Humidity"]


async def test_topic_subscriptions_are_acknowledged_and_applied(bridge: Bridge, broker_url: str) -> None:
    async with Plain.connected(bridge) as client, Plain.connected(bridge) as other:
        assert await client.call(type="ping") == {"type": "pong"}
        assert await client.call(type="subscribe", topics=["alerts", "predictions"]) == {
            "type": "subscribed",
            "topics": ["predictions", "alerts", "all"],
        }
        assert await client.call(type="unsubscribe", topics=["all", "predictions"]) == {
            "type": "unsubscribed",
            "topics": ["alerts"],
        }
        assert await ask(bridge, "GET", "/ws/stats") == (
            200,
            {
                "active_connections": 2,
                "subscriptions": {
                    "measurements": 0,
                    "predictions": 0,
                    "actions": 0,
                    "alerts": 1,
                    "modules": 0,
                    "all": 1,
                },
            },
        )
        await publish(broker_url, "sensors/a/data", temperature=20)
        await publish(broker_url, "events/predictions", value=1)
        await publish(broker_url, "events/alerts", message="too warm", id=7)
        received = await client.receive()
        assert list(received.items())[2:] == [("message", "too warm"), ("id", 7)]
        assert received["type"] == "alert"
        kinds = ("measurement", "prediction", "alert")
        assert [(await other.receive(*kinds))["type"] for _ in range(3)] == ["measurement", "prediction", "alert"]


@pytest.mark.parametrize("access", ACCESS)
@pytest.mark.parametrize(
    ("sent", "text"),
    [
        ("{", "the message is not JSON"),
        ("", "the message is not JSON"),
        ("[]", "the message is not a JSON object"),
        ("[" * 2000, "the message is not JSON"),
        ("{}", "type: must be subscribe, unsubscribe, ping or pong"),
        ('{"type": "publish"}', "type: must be"),
        ('{"type": ["ping"]}', "type: must be"),
        (
            '{"type": "subscribe"}',
            "topics: must be a list of measurements, predictions, actions, alerts, modules, anomalies, assessments, all",
        ),
        ('{"type": "subscribe", "topics": "all"}', "topics: must be a list"),
        ('{"type": "subscribe", "topics": ["weather"]}', "topics: must be a list"),
        ('{"type": "subscribe", "topics": [{}]}', "topics: must be a list"),
    ],
)
async def test_invalid_message_is_answered_with_the_allowed_values(bridge: Bridge, sent: str, text: str) -> None:
    async with Plain.connected(bridge) as client:
        await client.socket.send(sent)
        answer = await client.receive()
        assert list(answer) == ["type", "error"]
        assert answer["type"] == "error"
        assert text in answer["error"]
        assert await client.call(type="ping") == {"type": "pong"}


@pytest.mark.parametrize("access", ACCESS)
async def test_binary_message_closes_the_connection_with_a_reason(bridge: Bridge) -> None:
    async with Plain.connected(bridge) as client:
        await client.socket.send(b"\0")
        with pytest.raises(ConnectionClosed) as closed:
            await client.socket.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1003, "binary messages are not supported, only text")
    assert await metric(bridge, 'bridge_clients_cut_total{reason="binary"}') == 1


@pytest.mark.parametrize("access", ACCESS)
async def test_client_that_exceeds_the_message_rate_is_disconnected_with_a_reason(opened: Open) -> None:
    bridge = await opened(message_rate=1, message_burst=5)
    async with Plain.connected(bridge) as client:
        for _ in range(20):
            await client.send(type="pong")
        with pytest.raises(ConnectionClosed) as closed:
            await client.socket.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "rate")
    assert await metric(bridge, 'bridge_clients_cut_total{reason="rate"}') == 1


async def test_every_client_receives_all_1000_readings_in_order(bridge: Bridge, broker_url: str) -> None:
    async with AsyncExitStack() as stack:
        paths = ["/ws", "/api/v1/ws", "/api/v1/ws?channel=readings"] * 3
        clients = [await stack.enter_async_context(Plain.connected(bridge, path)) for path in paths]
        await publish_many(broker_url, 1000)
        for client, path in zip(clients, paths, strict=True):
            received: list[float] = []
            while len(received) < 1000:
                message = await client.receive("measurement", "entity_event")
                if path == "/ws" or message["entity_type"] == "reading":
                    received.append((message if path == "/ws" else message["data"])["temperature"])
            assert received == temperatures(1000)


@pytest.mark.parametrize("access", ACCESS)
async def test_slow_client_and_the_others_miss_nothing(opened: Open, broker_url: str) -> None:
    bridge = await opened(client_buffer_bytes=64 * 1024, slow_seconds=300)
    async with Plain.stalled(bridge) as slow, Plain.connected(bridge, max_queue=None) as quick:
        await publish_many(broker_url, 20_000)
        expected = [(await quick.receive("measurement"))["cursor"] for _ in range(20_000)]
        assert [(await slow.receive("measurement", "gap")).get("cursor") for _ in range(20_000)] == expected
        assert await slow.call(type="ping") == {"type": "pong"}


async def test_client_that_is_too_far_behind_receives_a_gap(opened: Open, broker_url: str) -> None:
    bridge = await opened(client_buffer_bytes=64 * 1024, recent_records=1000, catch_up_records=0, slow_seconds=300)
    async with Plain.stalled(bridge) as slow, Plain.connected(bridge, max_queue=None) as quick:
        messages = await publish_and_receive(broker_url, quick, 20_000, "measurement", "gap")
        assert [message.get("temperature") for message in messages] == temperatures(20_000)
        received = []
        while (message := await slow.receive("measurement", "gap"))["type"] == "measurement":
            received.append(message["cursor"])
        assert list(message) == ["type", "from", "to", "missed"]
        assert message["from"] == received[-1]
        assert received == sorted(set(received))
        assert 0 < message["missed"] <= 20_000 - len(received)


async def test_client_without_pong_is_disconnected_and_one_with_pong_stays(opened: Open) -> None:
    bridge = await opened(ping_interval_seconds=1, ping_timeout_seconds=4)
    async with Plain.connected(bridge) as client, aiohttp.ClientSession() as session:
        url = f"ws://127.0.0.1:{bridge.port}/ws"
        async with session.ws_connect(url, autoping=False) as mute:
            assert (await mute.receive(10)).type is aiohttp.WSMsgType.PING
            last = await mute.receive(10)
            while last.type is aiohttp.WSMsgType.PING:
                last = await mute.receive(10)
            assert (last.type, last.data, last.extra) == (aiohttp.WSMsgType.CLOSE, 1008, "ping")
        assert await client.call(type="ping") == {"type": "pong"}
    assert await metric(bridge, 'bridge_clients_cut_total{reason="ping"}') == 1


async def test_connection_beyond_the_limit_is_refused_before_the_upgrade(opened: Open) -> None:
    bridge = await opened(max_clients=2)
    async with Plain.connected(bridge), Plain.connected(bridge, "/api/v1/ws"):
        with pytest.raises(InvalidStatus) as refused:
            async with Plain.connected(bridge):
                pass
        answer = refused.value.response
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "5"
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert orjson.loads(answer.body or b"")["detail"] == "too many clients: the bridge serves at most 2"
    await until_free(bridge)


async def until_free(bridge: Bridge) -> None:
    """Wait until a connection is accepted again."""

    async def free() -> bool:
        try:
            async with Plain.connected(bridge):
                return True
        except InvalidStatus:
            return False

    async with asyncio.timeout(30):
        while not await free():
            await asyncio.sleep(0.02)


async def test_other_origin_may_connect_only_if_the_settings_allow_it(opened: Open) -> None:
    bridge = await opened(http=HttpSettings(port=0, cors_origins=("https://a.example",)))
    for origin in (None, "https://a.example", f"http://127.0.0.1:{bridge.port}", "file://"):
        async with Plain.connected(bridge, origin=origin) as client:
            assert await client.call(type="ping") == {"type": "pong"}
    with pytest.raises(InvalidStatus) as refused:
        async with Plain.connected(bridge, origin="https://b.example"):
            pass
    assert refused.value.response.status_code == 403


async def test_compressed_messages_are_sent_and_received_if_the_settings_allow_it(opened: Open, broker_url: str) -> None:
    bridge = await opened(compression=True)
    async with Plain.connected(bridge, compression="deflate") as client:
        assert "permessage-deflate" in client.socket.response.headers["Sec-WebSocket-Extensions"]  # type: ignore[union-attr]
        for _ in range(2):
            assert await client.call(type="subscribe", topics=["all"] * 50) == {"type": "subscribed", "topics": ["all"]}
        await publish_many(broker_url, 100)
        assert [(await client.receive("measurement"))["temperature"] for _ in range(100)] == temperatures(100)


async def test_clients_are_notified_when_the_bridge_stops(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> None:
    async with start_bridge(broker_url, f"sqlite:///{tmp_path}/bridge.db") as running, Plain.connected(running) as client:
        running.stop()
        assert (await client.receive())["message"] == "the bridge is stopping"
        with pytest.raises(ConnectionClosed) as closed:
            await client.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001


# --- channels ----------------------------------------------------------------------------------------------------------


async def test_channel_confirms_the_connection_and_sends_stored_readings(bridge: Bridge, broker_url: str) -> None:
    async with AsyncExitStack() as stack:
        clients = {
            channel: await stack.enter_async_context(Plain.connected(bridge, f"/api/v1/ws?channel={channel}&user_id=u"))
            for channel in ("general", "readings", "sensors")
        }
        for channel, client in clients.items():
            greeting = await client.receive()
            assert list(greeting) == ["type", "status", "channel", "timestamp"]
            assert (greeting["type"], greeting["status"], greeting["channel"]) == ("connection", "connected", channel)
        await publish(broker_url, "sensors/a/data", temperature=20.5, timestamp=1767000000)
        for channel in ("general", "readings"):
            event = await clients[channel].receive()
            assert list(event) == ["type", "entity_type", "event_type", "entity_id", "data", "timestamp", "metadata"]
            assert (event["type"], event["entity_type"], event["event_type"]) == ("entity_event", "reading", "created")
            assert event["entity_id"] == event["data"]["_id"]
            assert event["data"]["temperature"] == 20.5
            assert event["metadata"] == {"action": "create_reading"}
            assert event["timestamp"].endswith("Z")
        await publish(broker_url, "sensors/a/status", status="offline")
        event = await clients["sensors"].receive()
        assert (event["entity_type"], event["event_type"], event["entity_id"]) == ("sensor", "updated", "a")
        assert event["data"]["status"] == "offline"
        status, stats = await ask(bridge, "GET", "/api/v1/ws/stats")
        assert (status, stats["total_channels"], list(stats["channels"])) == (200, 3, ["general", "sensors", "readings"])
        (user,) = stats["channels"]["general"]["users"]
        assert list(user) == ["user_id", "connected_at"]
        assert (user["user_id"], stats["channels"]["general"]["connections"]) == ("u", 1)
        status, stats = await ask(bridge, "GET", "/api/v1/ws/stats/sensors")
        assert (stats["total_channels"], list(stats["channels"])) == (1, ["sensors"])
        assert (await ask(bridge, "GET", "/api/v1/ws/stats/locations"))[1]["channels"]["locations"] == {
            "connections": 0,
            "users": [],
        }
        assert (await ask(bridge, "GET", "/api/v1/ws/stats/weather"))[0] == 404


async def test_test_event_is_sent_to_its_channel_and_to_general_only(bridge: Bridge) -> None:
    async with (
        Plain.connected(bridge, "/api/v1/ws") as general,
        Plain.connected(bridge, "/api/v1/ws?channel=sensors") as sensors,
        Plain.connected(bridge, "/api/v1/ws?channel=readings") as readings,
        Plain.connected(bridge) as topics,
    ):
        for client in (general, sensors, readings):
            await client.receive("connection")
        status, _ = await ask(bridge, "POST", "/api/v1/ws/test-event?channel=sensors&message=hello")
        assert status == 200
        for client in (general, sensors):
            event = await client.receive()
            assert list(event) == ["type", "level", "message", "data", "timestamp"]
            assert (event["type"], event["level"], event["message"]) == ("system_event", "info", "hello")
            assert isinstance(event["data"], dict)
        for client in (readings, topics):
            assert await client.call(type="ping") == {"type": "pong"}, "no event before the pong"
    assert (await ask(bridge, "POST", "/api/v1/ws/test-event?channel=weather"))[0] == 404
    assert (await ask(bridge, "POST", f"/api/v1/ws/test-event?message={'a' * 1001}"))[0] == 400


async def test_unknown_channel_is_not_found_and_secure_channel_requires_a_token(bridge: Bridge) -> None:
    for query, status in (("channel=weather", 404), (f"user_id={'u' * 129}", 400)):
        with pytest.raises(InvalidStatus) as refused:
            async with Plain.connected(bridge, f"/api/v1/ws?{query}"):
                pass
        assert refused.value.response.status_code == status
        assert query.partition("=")[0] in orjson.loads(refused.value.response.body or b"")["detail"]
    async with Plain.connected(bridge, "/api/v1/ws/secure?channel=sensors&token=guess") as client:
        with pytest.raises(ConnectionClosed) as closed:
            await client.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401
    status, body = await ask(bridge, "GET", "/api/v1/ws")
    assert (status, body["title"]) == (426, "Upgrade Required")


def test_entity_and_topic_events_have_the_contract_shape_on_channels() -> None:
    codec = ChannelCodec()
    created = EntityEvent("sensor", "created", "a", {"name": "A"}, {"action": "create_sensor"})
    body = orjson.loads(codec.encode(created) or b"")
    assert {name: body[name] for name in body if name != "timestamp"} == {
        "type": "entity_event", "entity_type": "sensor", "event_type": "created", "entity_id": "a", "data": {"name": "A"},
        "metadata": {"action": "create_sensor"},
    }  # fmt: skip
    for topic, kinds in {
        "predictions": ("prediction", "prediction_completed"),
        "alerts": ("alert", "anomaly_detected"),
        "modules": ("module", "updated"),
        "actions": ("action", "created"),
    }.items():
        body = orjson.loads(codec.encode(TopicEvent(topic, {"id": 5, "x": [1]}, EPOCH_MS)) or b"")
        assert (body["entity_type"], body["event_type"], body["entity_id"]) == (*kinds, 5)
        assert body["data"] == {"timestamp": EPOCH, "id": 5, "x": [1]}


def test_device_status_is_sent_as_module_on_ws() -> None:
    codec = TopicCodec(lambda _: None)
    assert orjson.loads(codec.encode(DeviceStatus("a", "online", EPOCH_MS)) or b"") == {
        "type": "module", "timestamp": EPOCH, "sensor_id": "a", "enseigne": "", "salle": "", "status": "online",
    }  # fmt: skip
    assert codec.encode(EntityEvent("sensor", "deleted", "a")) is None
    assert codec.encode(SystemEvent("info", "for a channel", channel="sensors")) is None


# --- events of other services ------------------------------------------------------------------------------------------


async def test_event_received_by_http_is_passed_on_unchanged(bridge: Bridge) -> None:
    async with Plain.connected(bridge) as topics, Plain.connected(bridge, "/api/v1/ws?channel=predictions") as channel:
        await channel.receive("connection")
        body = {"model": "lstm", "forecast": [1, 2.5, None], "nested": {"a": "ü"}}
        status, answer = await ask(bridge, "POST", "/api/v1/events/predictions", orjson.dumps(body))
        assert (status, answer["topic"]) == (202, "predictions")
        received = await topics.receive()
        assert received == {"type": "prediction", "timestamp": answer["timestamp"], **body}
        assert (await channel.receive())["data"] == {"timestamp": answer["timestamp"], **body}
    ledger = (await ask(bridge, "GET", "/websocket/status"))[1]["ledger"]["http"]
    assert (ledger["received"], ledger["stored"], ledger["waiting"]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("topic", "payload", "status", "text"),
    [
        ("weather", b"{}", 404, "predictions, actions, alerts, modules"),
        ("alerts", b"", 422, "not JSON"),
        ("alerts", b"[1]", 422, "not a JSON object but a list"),
        ("alerts", b'{"a": NaN}', 422, "not JSON"),
        ("alerts", b'{"a": "\\ud800"}', 422, "not JSON"),
        ("alerts", b'{"a":' * 300 + b"1" + b"}" * 300, 422, "deeper than 200 levels"),
        ("alerts", b'{"a": "' + b"a" * 65536 + b'"}', 413, ""),
    ],
)
async def test_invalid_event_is_refused_with_the_reason(
    bridge: Bridge, topic: str, payload: bytes, status: int, text: str
) -> None:
    answered, body = await ask(bridge, "POST", f"/api/v1/events/{topic}", payload)
    assert answered == status
    assert text in body["detail"]
    if status == 422:
        assert (await ask(bridge, "GET", "/websocket/status"))[1]["ledger"]["http"]["rejected"] == 1


async def test_curl_can_send_an_alert_and_a_test_event(bridge: Bridge) -> None:
    async with Plain.connected(bridge, "/api/v1/ws?channel=anomalies") as client:
        await client.receive("connection")
        for path, data in (("events/alerts", '{"level": "high"}'), ("ws/test-event?channel=anomalies&message=hello", "")):
            url = f"http://127.0.0.1:{bridge.port}/api/v1/{path}"
            curl = await asyncio.create_subprocess_exec("curl", "-sSf", "-m", "10", url, "-d", data, stdout=subprocess.DEVNULL)
            assert await curl.wait() == 0
        assert (await client.receive())["data"]["level"] == "high"
        assert (await client.receive())["message"] == "hello"


async def test_invalid_event_by_mqtt_is_rejected_and_a_deeply_nested_one_is_sent(bridge: Bridge, broker_url: str) -> None:
    async with Plain.connected(bridge) as client, mqtt_sender(patient(broker_url)) as sender:
        await sender.publish("events/alerts", b"not JSON")
        await sender.publish("events/weather", b"{}")
        await sender.publish("events/alerts", b'{"a":' * 199 + b"1" + b"}" * 199)
        await client.receive("alert")
    ledger = (await ask(bridge, "GET", "/websocket/status"))[1]["ledger"]["mqtt"]
    assert (ledger["rejected"], ledger["stored"]) == (2, 2 + 1), "two readings of the fixture"
