"""The HTTP API of a running bridge."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bridge.api import new_application
from bridge.app import Bridge
from bridge.core.readings.measurements import MEASUREMENTS
from bridge.settings import HttpSettings
from bridge.sources.mqtt.client import mqtt_sender
from tests.conftest import StartBridge
from tests.senders import patient
from tests.servers import free_port, until


class Client:
    """An HTTP client of a bridge, and a publisher at its broker."""

    def __init__(self, bridge: Bridge, session: aiohttp.ClientSession, broker_url: str) -> None:
        self.bridge = bridge
        self.session = session
        self._broker_url = broker_url

    async def get(self, path: str, **more: Any) -> tuple[int, Any]:
        async with self.session.get(f"http://127.0.0.1:{self.bridge.port}{path}", **more) as answer:
            return answer.status, orjson.loads(await answer.read())

    async def publish(self, *bodies: dict[str, Any], device: str = "a") -> None:
        before = self.bridge.ledger.account("mqtt").received
        async with mqtt_sender(patient(self._broker_url)) as sender:
            for body in bodies:
                await sender.publish(f"sensors/{device}/data", orjson.dumps(body))
        await until(lambda: self.bridge.ledger.account("mqtt").received >= before + len(bodies))
        await until(lambda: not self.bridge.ledger.account("mqtt").waiting)


@pytest.fixture
async def client(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> AsyncIterator[Client]:
    async with (
        start_bridge(
            broker_url, f"sqlite:///{tmp_path}/bridge.db", http=HttpSettings(port=0, cors_origins=("https://a.example",))
        ) as bridge,
        aiohttp.ClientSession() as session,
    ):
        yield Client(bridge, session, broker_url)


async def test_status_has_its_keys_and_the_ledger(client: Client) -> None:
    await client.publish({"temperature": 1}, {"nothing": 1})
    status, body = await client.get("/websocket/status")
    assert status == 200
    line = {"received": 2, "stored": 1, "duplicate": 0, "rejected": 1, "ignored": 0, "dropped": 0, "waiting": 0, "readings": 1}
    assert body == {"success": True, "connectedClients": 0, "websocketEnabled": True, "ledger": {"mqtt": line}}


async def test_health_is_200_when_every_component_works(client: Client) -> None:
    for path in ("/health/live", "/health/ready", "/health"):
        status, body = await client.get(path)
        assert (status, body["status"]) == (200, "ok")


async def test_readings_are_paged_by_cursor(client: Client) -> None:
    await client.publish(*({"temperature": n, "timestamp": 1_767_000_000 + n} for n in range(7)))
    _, first = await client.get("/api/v1/readings?since=0&limit=3")
    assert [one["temperature"] for one in first["readings"]] == [0, 1, 2]
    _, second = await client.get(f"/api/v1/readings?since={first['next']}&limit=4")
    assert [one["temperature"] for one in second["readings"]] == [3, 4, 5, 6]
    _, last = await client.get(f"/api/v1/readings?since={second['next']}&limit=4")
    assert last == {"readings": [], "next": None}
    _, newest = await client.get("/api/v1/readings?limit=2")
    assert [one["temperature"] for one in newest["readings"]] == [5, 6]
    _, span = await client.get("/api/v1/readings?from=1767000002&to=2025-12-29T09:20:05Z")
    assert [one["temperature"] for one in span["readings"]] == [2, 3, 4]


async def test_reading_has_the_keys_of_the_contract_in_order(client: Client) -> None:
    await client.publish({"hum": 41, "temp": 21.5, "eco2": 0, "timestamp": "2026-01-01T00:00:00Z"})
    _, body = await client.get("/api/v1/readings?device=a")
    (record,) = body["readings"]
    assert list(record) == ["_id", "temperature", "humidity", "eco2", "timestamp", "deviceId", "receivedAt", "seq", "quality"]
    assert record["timestamp"] == "2026-01-01T00:00:00.000Z"
    assert record["quality"] == {"eco2": "outside 400..65000"}
    _, slim = await client.get("/api/v1/readings?device=a&fields=humidity")
    assert list(slim["readings"][0]) == ["_id", "humidity", "timestamp", "deviceId", "receivedAt", "seq"]


async def test_values_that_are_no_measurement_are_stored_and_sent_as_extra(client: Client) -> None:
    await client.publish({"temperature": 21.5, "uptime": 5, "wifi": {"ssid": "home"}, "timestamp": "2026-01-01T00:00:00Z"})
    extra = {"uptime": 5, "wifi.ssid": "home"}
    for path in ("/api/v1/readings?device=a", "/api/v1/readings?since=0", "/api/v1/readings/latest"):
        _, body = await client.get(path)
        assert [record["extra"] for record in body["readings"]] == [extra]
    _, slim = await client.get("/api/v1/readings?device=a&fields=extra")
    assert list(slim["readings"][0]) == ["_id", "timestamp", "deviceId", "receivedAt", "seq", "extra"]


async def test_buckets_are_min_mean_max_and_count(client: Client) -> None:
    await client.publish(*({"temperature": n, "timestamp": 1_767_000_000 + n} for n in (0, 10, 20, 60)))
    _, body = await client.get("/api/v1/readings?every=1m&fields=temperature&from=1767000000")
    assert [(one["count"], one["temperature"]) for one in body["readings"]] == [
        (3, {"min": 0, "mean": 10, "max": 20, "count": 3}),
        (1, {"min": 60, "mean": 60, "max": 60, "count": 1}),
    ]


async def test_automatic_width_is_round_and_part_of_the_answer(client: Client) -> None:
    await client.publish(*({"temperature": n, "timestamp": 1_767_000_000 + n * 3600} for n in range(48)))
    span = "device=a&fields=temperature&from=1767000000&to=1767172800"
    for query, every, limit in (("points=100", "30m", 100), ("points=3", "1d", 3), ("every=auto", "10m", 500)):
        status, body = await client.get(f"/api/v1/readings?{span}&{query}")
        assert (status, body["every"], body["next"]) == (200, every, None)
        assert 0 < len(body["readings"]) <= limit
        assert sum(one["count"] for one in body["readings"]) == 48
    assert await client.get("/api/v1/readings?device=nobody&points=9") == (200, {"readings": [], "next": None, "every": "1s"})


async def test_too_many_points_are_refused_with_alternatives(client: Client) -> None:
    await client.publish({"temperature": 1, "timestamp": 1_767_000_000}, {"temperature": 2, "timestamp": 1_767_172_800})
    status, body = await client.get("/api/v1/readings?device=a&every=1m")
    assert (status, body["title"]) == (422, "Unprocessable Entity")
    assert "every=1m gives 2881 points per device, more than the 2000 allowed: use a shorter time, every=2m" in body["detail"]
    assert (await client.get("/api/v1/readings?device=a&every=2m"))[0] == 200
    assert (await client.get("/api/v1/readings?device=a&every=1m&from=1767172000"))[0] == 200, "limited to the readings"


async def test_latest_has_one_reading_per_device(client: Client) -> None:
    await client.publish({"temperature": 1}, {"temperature": 2})
    await client.publish({"temperature": 3}, device="b")
    _, body = await client.get("/api/v1/readings/latest")
    assert [(one["deviceId"], one["temperature"]) for one in body["readings"]] == [("a", 2), ("b", 3)]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"), ("limit=10001", "limit"), ("limit=x", "limit"), ("since=-1", "since"),
        ("since=9007199254740992", "since"), ("from=yesterday", "from"), ("every=1y", "every"), ("every=0s", "every"),
        ("points=0", "points"), ("points=2001", "points"), ("points=9&every=1m", ""),
        ("fields=temperature,secret", "fields"), ("fields=", "fields"), ("device_id=a", "device_id"),
    ],
)  # fmt: skip
async def test_invalid_parameter_is_named(client: Client, query: str, field: str) -> None:
    status, body = await client.get(f"/api/v1/readings?{query}")
    assert (status, body["status"], body["title"]) == (400, 400, "Bad Request")
    assert [one["field"] for one in body["errors"]] == [field]


async def test_errors_are_problems(client: Client) -> None:
    base = f"http://127.0.0.1:{client.bridge.port}"
    async with client.session.get(f"{base}/nowhere") as answer:
        assert (answer.status, answer.content_type) == (404, "application/problem+json")
        assert orjson.loads(await answer.read())["detail"] == "no resource at /nowhere"
    async with client.session.delete(f"{base}/api/v1/readings") as answer:
        assert (answer.status, answer.content_type) == (405, "application/problem+json")
        assert "GET" in answer.headers["Allow"]


async def test_malformed_origin_is_no_server_error(client: Client) -> None:
    assert (await client.get("/health/live", headers={"Origin": "http://["}))[0] == 200
    async with client.session.get(
        f"http://127.0.0.1:{client.bridge.port}/socket.io/?EIO=4&transport=polling", headers={"Origin": "http://["}
    ) as answer:
        assert answer.status == 400


async def test_client_cannot_inject_a_line_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(_: web.Request) -> web.Response:
        raise LookupError

    app = new_application(HttpSettings(), required=False)
    app.router.add_get("/{any}", fails)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        async with session.get(f"{server.make_url('/')}x%0A2026-01-01 INFO bridge.access: eve has logged in") as answer:
            assert answer.status == 500
    (record,) = [one for one in caplog.records if one.name.startswith("bridge")]
    assert len(record.getMessage().splitlines()) == 1


async def test_measurement_table_is_served(client: Client) -> None:
    _, body = await client.get("/api/v1/measurements")
    assert [one["name"] for one in body] == [one.name for one in MEASUREMENTS]
    assert body[0] == {"name": "temperature", "label": "Temperature", "unit": "°C", "shownUnit": "°C", "low": -40, "high": 85}


async def test_metrics_export_the_ledger(client: Client) -> None:
    await client.publish({"temperature": 1}, {"temperature": 1, "colour": "red"})
    async with client.session.get(f"http://127.0.0.1:{client.bridge.port}/metrics") as answer:
        text = await answer.text()
    assert 'bridge_messages_received_total{source="mqtt"} 2.0' in text
    assert 'bridge_messages_settled_total{outcome="stored",source="mqtt"} 2.0' in text
    assert 'bridge_part_up{part="store"} 1.0' in text
    assert "bridge_unknown_keys_total 1.0" in text
    assert "bridge_broker_dropped_total 0.0" in text


async def test_metrics_export_the_writes_of_readings_and_the_delay_of_the_event_loop(client: Client) -> None:
    await client.publish({"temperature": 1})

    async def text() -> str:
        async with client.session.get(f"http://127.0.0.1:{client.bridge.port}/metrics") as answer:
            return await answer.text()

    assert 'bridge_write_readings_bucket{le="0.0"} 0.0\nbridge_write_readings_bucket{le="1.0"} 1.0' in await text()
    assert "bridge_write_seconds_count 1.0\n" in await text()
    assert "bridge_write_pending_seconds 0.0\n" in await text()
    assert 'bridge_clients_cut_total{reason="slow"} 0.0' in await text()

    async def is_measured() -> bool:
        return 'bridge_event_loop_delay_seconds_bucket{le="+Inf"} 0.0' not in await text()

    await until(is_measured, what="a measurement of the event loop")


async def test_cors_headers_follow_the_settings(client: Client) -> None:
    url = f"http://127.0.0.1:{client.bridge.port}/websocket/status"
    async with client.session.get(url, headers={"Origin": "https://a.example"}) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
    async with client.session.get(url, headers={"Origin": "https://b.example"}) as answer:
        assert "Access-Control-Allow-Origin" not in answer.headers
    preflight = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    async with client.session.options(url, headers=preflight) as answer:
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (204, "https://a.example")


async def test_dashboard_and_client_script_are_served(client: Client) -> None:
    base = f"http://127.0.0.1:{client.bridge.port}"
    async with client.session.get(base) as answer:
        page = await answer.text()
        assert (answer.status, answer.content_type) == (200, "text/html")
    for path in [part.split('"')[0] for part in page.split('="/')[1:]]:
        async with client.session.get(f"{base}/{path}") as answer:
            assert answer.status == 200, path
    async with client.session.get(f"{base}/socket.io/socket.io.js") as answer:
        assert answer.status == 200
        assert "javascript" in answer.content_type
        assert "Socket.IO v4" in (await answer.text())[:200]


async def test_bridge_started_before_broker_and_store_reports_them_and_waits(start_bridge: StartBridge, tmp_path: Path) -> None:
    from tests.servers import Mongod, Mosquitto

    broker, database = Mosquitto(tmp_path / "mosquitto"), Mongod(tmp_path / "mongo")
    store_url = database.url.replace("/?", "/sensors?")
    started = datetime.now(UTC) - timedelta(milliseconds=1)  # times of the bridge are whole milliseconds
    async with (
        start_bridge(broker.url, store_url, ready=False, timeout_seconds=3) as bridge,
        aiohttp.ClientSession() as session,
    ):
        client = Client(bridge, session, broker.url)

        async def failing() -> list[str]:
            status, body = await client.get("/health/ready")
            assert status == (503 if body["failing"] else 200)
            return [name for name in body["failing"] if body["parts"][name]["reason"] != "starting"]

        try:
            assert (await client.get("/health/live"))[0] == 200
            await until(lambda: "ServerSelectionTimeoutError" in bridge.health.parts["store"].reason)
            assert "store" in await failing()
            status, body = await client.get("/api/v1/readings/latest")
            assert (status, body["title"]) == (503, "Service Unavailable")
            database.start()
            await until(lambda: bridge.health.parts["store"].up)
            await until(lambda: broker.url in bridge.health.parts["mqtt"].reason)
            assert await failing() == ["mqtt"]
            status, body = await client.get("/health/ready?ignore=mqtt")
            assert (status, body["failing"], body["parts"]["mqtt"]["status"]) == (200, [], "failing")
            since = datetime.fromisoformat(body["parts"]["mqtt"]["since"])
            assert started <= since <= datetime.now(UTC)
            assert "since" not in body["parts"]["store"]
            status, body = await client.get("/health/ready?ignore=broker")
            assert (status, body["detail"].partition(": must be ")[0]) == (422, "ignore: 'broker' is not a part")
            broker.start()
            await until(lambda: bridge.health.ready)
            assert await failing() == []
            await client.publish({"temperature": 4})
            _, body = await client.get("/api/v1/readings/latest")
            assert [one["temperature"] for one in body["readings"]] == [4]
        finally:
            broker.kill()
            database.kill()


async def test_port_in_use_is_one_clear_error(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/bridge.db"
    port = free_port()
    async with start_bridge(broker_url, store, http=HttpSettings(port=port)):
        with pytest.raises(ExceptionGroup) as raised:
            async with start_bridge(broker_url, store, http=HttpSettings(port=port)):
                pass
    (error,) = raised.value.exceptions
    assert str(error) == f"port {port} on 127.0.0.1 is in use: choose another with http.port (BRIDGE_HTTP__PORT)"
