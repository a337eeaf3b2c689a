"""The quarantine by HTTP, on a running bridge, and the telemetry route of older clients."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from bson.objectid import ObjectId

from bridge.core.message import Message, Rejection, RejectionReason
from bridge.settings import DevicesSettings, StoreSettings
from bridge.stores import open_store
from tests.api.test_ingest import Poster, posting, timed
from tests.conftest import StartBridge
from tests.fakes import RecordingOrigin
from tests.realtime.clients import Plain, listening
from tests.servers import until

NOW_MS = time.time_ns() // 1_000_000 - 60_000  # messages older than a month are removed from the quarantine


@pytest.fixture(params=["sqlite", "mongo"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/bridge.db" if request.param == "sqlite" else str(request.getfixturevalue("mongo_url"))


@pytest.fixture
async def poster(start_bridge: StartBridge, broker_url: str, store_url: str) -> AsyncIterator[Poster]:
    async with posting(start_bridge, broker_url, store_url) as one:
        yield one


async def reject(url: str, *messages: tuple[str, bytes, int]) -> None:
    """Put messages into the quarantine that are valid with the current settings."""
    async with open_store(StoreSettings.model_validate({"url": url})) as store:
        await store.prepare()
        await store.write(
            [],
            [
                Rejection(
                    ObjectId(),
                    Message("mqtt", topic, payload, received_ms, RecordingOrigin()),
                    RejectionReason.NO_ROUTE,
                    "was no_route",
                )
                for topic, payload, received_ms in messages
            ],
            [],
        )


async def retried(poster: Poster, query: str = "") -> tuple[int, Any]:
    async with poster.session.post(f"{poster.base}/api/v1/rejected/retry{query}") as answer:
        return answer.status, orjson.loads(await answer.read())


async def test_rejected_messages_are_listed_in_groups_and_one_by_one(poster: Poster, store_url: str) -> None:
    await poster.post([{"deviceId": "a", "temperature": "x"}, {"deviceId": "a", "temperature": "y"}, {"temperature": 1}])
    await reject(store_url, ("home/b", b"\xff{", NOW_MS))
    body = await poster.get("/api/v1/rejected")
    assert [(one["code"], one["field"], one["count"]) for one in body["groups"]] == [
        ("no_measurement", "temperature", 2),
        ("no_device_id", "deviceId", 1),
        ("no_route", None, 1),
    ]
    assert [(one["topic"], one["payload"]) for one in body["messages"]][-1] == ("home/b", None)
    assert body["messages"][-1]["payloadBase64"] == "/3s="
    assert body["messages"][0]["source"] == "http"
    assert len((await poster.get("/api/v1/rejected?code=no_measurement"))["messages"]) == 2
    assert len((await poster.get("/api/v1/rejected?device=b"))["messages"]) == 1
    assert len((await poster.get("/api/v1/rejected?topic=home/b"))["messages"]) == 1
    assert len((await poster.get("/api/v1/rejected?limit=1"))["messages"]) == 1


@pytest.mark.parametrize(("query", "field"), [("limit=0", "limit"), ("limit=201", "limit"), ("id=1", "id")])
async def test_invalid_parameter_is_named(poster: Poster, query: str, field: str) -> None:
    body = await poster.get(f"/api/v1/rejected?{query}")
    assert (body["status"], body["errors"][0]["field"]) == (400, field)


async def test_retry_stores_valid_messages_once_while_readings_arrive(poster: Poster, store_url: str) -> None:
    good = [(f"sensors/d{n}/data", orjson.dumps({"temperature": n % 50}), NOW_MS + n) for n in range(500)]
    await reject(store_url, *good, ("nowhere/x", b"{}", NOW_MS))

    async def post_more() -> None:
        for number in range(50):
            status, _, _ = await poster.post([timed(number * 10 + one, "live") for one in range(10)])
            assert status == 201

    async with asyncio.TaskGroup() as tasks:
        retrying = tasks.create_task(retried(poster))
        tasks.create_task(post_more())
    status, body = retrying.result()
    assert (status, body["stored"], body["duplicate"]) == (200, 500, 0)
    assert body["bad"] == [{"code": "no_route", "field": "", "count": 1}]
    readings = (await poster.get("/api/v1/readings?since=0&limit=10000"))["readings"]
    assert len(readings) == 1000
    assert len({one["seq"] for one in readings}) == 1000
    assert len({one["_id"] for one in readings}) == 1000
    assert (await retried(poster))[1] == {"stored": 0, "duplicate": 0, "outdated": 0, "bad": body["bad"]}


async def test_retry_publishes_readings_but_no_outdated_statuses_and_events(poster: Poster, store_url: str) -> None:
    old = NOW_MS - 600_000
    messages = [("sensors/a/data", orjson.dumps({"temperature": n}), old + n) for n in range(3)]
    await reject(store_url, *messages, ("sensors/a/status", b"online", old), ("events/alerts", b"{}", old))
    async with listening(poster.bridge) as listener, Plain.connected(poster.bridge) as topics:
        status, body = await retried(poster)
        assert (status, body["stored"], body["outdated"]) == (200, 3, 2)
        await until(lambda: len(listener.temperatures) == 3)
        assert sorted(listener.temperatures) == [0, 1, 2]
        assert {(await topics.receive())["type"] for _ in range(3)} == {"measurement"}
        assert await topics.call(type="ping") == {"type": "pong"}, "nothing else was sent before"
        assert (listener.of("deviceStatus"), listener.cursors) == ([], sorted(listener.cursors))
    assert "status" not in await poster.get("/api/v1/devices/a")
    line = (await poster.get("/websocket/status"))["ledger"]["quarantine"]
    assert line == {
        "received": 3,
        "stored": 3,
        "duplicate": 0,
        "rejected": 0,
        "ignored": 0,
        "dropped": 0,
        "waiting": 0,
        "readings": 3,
    }


async def test_retry_leaves_messages_of_unregistered_devices_where_registration_is_required(
    start_bridge: StartBridge, broker_url: str, store_url: str
) -> None:
    devices = DevicesSettings(registration="required")
    async with posting(start_bridge, broker_url, store_url, devices=devices) as poster:
        await reject(store_url, ("sensors/unregistered/data", b'{"temperature": 1}', NOW_MS))
        _, body = await retried(poster)
        assert (body["stored"], body["bad"]) == (0, [{"code": "not_registered", "field": "deviceId", "count": 1}])
        (left,) = (await poster.get("/api/v1/rejected"))["messages"]
        assert "registration is required" in left["reason"]


async def test_simultaneous_retries_are_refused(poster: Poster, store_url: str) -> None:
    await reject(store_url, *((f"sensors/d{n}/data", b'{"temperature": 1}', NOW_MS + n) for n in range(1000)))
    async with asyncio.TaskGroup() as tasks:
        both = [tasks.create_task(retried(poster)) for _ in range(2)]
    assert sorted(one.result()[0] for one in both) == [200, 409]


async def test_telemetry_route_returns_the_newest_reading_or_no_data(poster: Poster) -> None:
    await poster.post([timed(1), timed(3), timed(2), timed(4, "b")])
    assert (await poster.get("/get_telemetry?device=a"))["temperature"] == 3
    assert await poster.get("/get_telemetry?device=c") == {"error": "no data"}
    assert await poster.get("/get_telemetry") == {"error": "no data"}


async def cleared(poster: Poster, query: str) -> tuple[int, Any]:
    async with poster.session.delete(f"{poster.base}/api/v1/rejected{query}") as answer:
        return answer.status, orjson.loads(await answer.read())


async def test_rejected_messages_are_cleared_by_reason_source_or_in_all(poster: Poster, store_url: str) -> None:
    await poster.post([{"deviceId": "a", "temperature": "x"}, {"deviceId": "a", "colour": "y"}, {"temperature": 1}])
    await reject(store_url, ("home/b", b"{", NOW_MS), ("home/c", b"{", NOW_MS))
    for query in ("", "?all=true&code=no_route", "?all=false"):
        status, problem = await cleared(poster, query)
        assert status == 422, query
        assert "name what to remove" in problem["detail"]
    assert await cleared(poster, "?code=no_measurement&field=temperature") == (200, {"removed": 1})
    assert await cleared(poster, "?code=no_route&field=") == (200, {"removed": 2})
    one = (await poster.get("/api/v1/rejected"))["messages"][0]
    assert await cleared(poster, f"?id={one['_id']}") == (200, {"removed": 1})
    assert await cleared(poster, "?source=mqtt") == (200, {"removed": 0})
    assert await cleared(poster, "?all=true") == (200, {"removed": 1})
    assert (await poster.get("/api/v1/rejected"))["groups"] == []


async def test_one_rejected_message_is_retried_and_the_others_stay(poster: Poster, store_url: str) -> None:
    body = b'{"temperature": 21}'
    await reject(store_url, ("sensors/a/data", body, NOW_MS), ("sensors/b/data", body, NOW_MS))
    messages = (await poster.get("/api/v1/rejected"))["messages"]
    (one,) = [message for message in messages if message["topic"] == "sensors/b/data"]
    status, result = await retried(poster, f"?id={one['_id']}")
    assert (status, result["stored"]) == (200, 1)
    assert [message["topic"] for message in (await poster.get("/api/v1/rejected"))["messages"]] == ["sensors/a/data"]


async def test_proposals_say_what_would_read_a_message_and_which_subscription_took_it(poster: Poster, store_url: str) -> None:
    payload = b'{"readings": {"temp": 21.5, "rh_pct": 40}, "unit_no": 7}'
    await reject(store_url, ("plant/mixer/up", payload, NOW_MS), ("sensors/a/data", payload, NOW_MS))
    by_topic = {one["topic"]: one["_id"] for one in (await poster.get("/api/v1/rejected"))["messages"]}
    found = await poster.get(f"/api/v1/rejected/{by_topic['plant/mixer/up']}/proposals")
    best = found["proposals"][0]
    assert (best["best"], found["subscription"], found["source"]) == (True, None, "mqtt")
    assert best["setting"].startswith("{ pattern = ")
    assert best["readings"][0]["values"]["temperature"] == 21.5
    assert {one["format"] for one in found["unreadable"]} >= {"scalar"}
    added = {"pattern": best["pattern"], "format": best["format"], "fields": best["fields"]}
    status, _, _ = await poster.post(added, "/api/v1/subscriptions")
    assert status == 201
    found = await poster.get(f"/api/v1/rejected/{by_topic['sensors/a/data']}/proposals")
    assert found["subscription"] == {"id": None, "pattern": "sensors/{deviceId}/data"}
    async with poster.session.get(f"{poster.base}/api/v1/rejected/{ObjectId()}/proposals") as answer:
        assert answer.status == 404


async def test_retention_counts_what_is_held_and_names_the_settings(poster: Poster) -> None:
    await poster.post([timed(1), timed(2), {"temperature": 1}])
    found = await poster.get("/api/v1/retention")
    kinds = {one["kind"]: one for one in found["kinds"]}
    assert (kinds["readings"]["count"], kinds["rejected"]["count"]) == (2, 1)
    assert (kinds["readings"]["days"], kinds["rejected"]["days"], kinds["audit"]["limit"]) == (None, 30, 100_000)
    assert kinds["rejected"]["settings"] == ["store.rejected_days", "store.rejected_limit"]
    assert kinds["readings"]["oldest"].endswith("Z")
    assert found["sizeBytes"] > 0
