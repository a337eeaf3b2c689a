"""Readings by HTTP, on a running bridge."""

from __future__ import annotations

import asyncio
import gzip
import io
import signal
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pymongo
import pytest
from bson.objectid import ObjectId

from bridge.api.ingest import ITEMS_LIMIT
from bridge.app import Bridge
from bridge.core.errors import IdempotencyKeyReused
from bridge.core.query import QuarantineQuery
from bridge.settings import HttpSettings
from bridge.sources.http.idempotency import IdempotencyKeys
from bridge.stores import open_store
from tests.cli.test_cli import running
from tests.conftest import StartBridge
from tests.servers import Mongod, free_port, until

TIMED = 1_767_000_000
JSON = {"Content-Type": "application/json"}
LINE = dict.fromkeys(("received", "stored", "duplicate", "rejected", "ignored", "dropped", "waiting", "readings"), 0)


class Poster:
    """An HTTP client that posts readings to a bridge."""

    def __init__(self, bridge: Bridge, session: aiohttp.ClientSession) -> None:
        self.bridge = bridge
        self.session = session

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.bridge.port}"

    async def post(self, body: Any, path: str = "/api/v1/readings", **headers: str) -> tuple[int, Any, Any]:
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        given = JSON | {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.post(f"{self.base}{path}", data=io.BytesIO(raw), headers=given) as answer:
            return answer.status, orjson.loads(await answer.read()), answer.headers

    async def get(self, path: str) -> Any:
        async with self.session.get(f"{self.base}{path}") as answer:
            return orjson.loads(await answer.read())

    @property
    def line(self) -> dict[str, int]:
        return self.bridge.ledger.account("http").as_dict()


@asynccontextmanager
async def posting(start: StartBridge, broker_url: str, store_url: str, **more: Any) -> AsyncIterator[Poster]:
    async with start(broker_url, store_url, **more) as bridge, aiohttp.ClientSession() as session:
        yield Poster(bridge, session)


@pytest.fixture
async def poster(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> AsyncIterator[Poster]:
    async with posting(start_bridge, broker_url, f"sqlite:///{tmp_path}/bridge.db") as one:
        yield one


def timed(number: int, device: str = "a", **more: Any) -> dict[str, Any]:
    return {"deviceId": device, "temperature": number % 50, "timestamp": TIMED + number, **more}


# --- responses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/v1/readings", "/api/ingest"])
async def test_stored_reading_is_answered_with_its_id(poster: Poster, path: str) -> None:
    status, body, _ = await poster.post(timed(1), path)
    assert status == 201
    (identity,) = body["ids"]
    assert body["results"] == [{"index": 0, "status": "stored", "_id": identity}]
    found = await poster.get("/api/v1/readings")
    assert [(one["_id"], one["deviceId"], one["temperature"]) for one in found["readings"]] == [(identity, "a", 1)]
    assert poster.line == {**LINE, "received": 1, "stored": 1, "readings": 1}


async def test_repeated_reading_is_a_duplicate_with_the_same_id(poster: Poster) -> None:
    _, first, _ = await poster.post(timed(1))
    status, again, _ = await poster.post([timed(1), timed(2)])
    assert status == 201
    assert [one["status"] for one in again["results"]] == ["duplicate", "stored"]
    assert again["ids"][0] == first["ids"][0]


async def test_nested_reading_of_other_services_is_stored(poster: Poster) -> None:
    body = {"sensor_id": "bureau1", "values": {"CO2": 645, "PM25": 12, "Temperature": 22.3}}
    status, _, _ = await poster.post(body, "/api/ingest")
    assert status == 201
    (found,) = (await poster.get("/api/v1/readings"))["readings"]
    assert (found["deviceId"], found["co2"], found["pm25"], found["temperature"]) == ("bureau1", 645, 12, 22.3)


async def test_invalid_line_of_ndjson_is_rejected_alone(poster: Poster) -> None:
    raw = orjson.dumps(timed(1)) + b"\r\n\n{oops\n" + orjson.dumps(timed(2))
    status, body, _ = await poster.post(raw, Content_Type="application/x-ndjson")
    assert status == 201
    assert [one["status"] for one in body["results"]] == ["stored", "rejected", "stored"]
    assert body["results"][1]["reason"].startswith("not JSON")


async def test_list_is_answered_by_item_and_invalid_items_are_quarantined(poster: Poster, tmp_path: Path) -> None:
    items = [timed(1, eco2=0), {"temperature": 1}, {"deviceId": "a", "temperature": -127}, 5, timed(2)]
    status, body, _ = await poster.post(items)
    assert status == 201
    results = body["results"]
    assert [one["status"] for one in results] == ["stored", "rejected", "rejected", "rejected", "stored"]
    assert results[0]["quality"] == {"eco2": "outside 400..65000"}
    assert results[1]["field"] == "deviceId"
    assert results[2]["quality"] == {"temperature": "outside -90..200"}
    assert results[3]["reason"] == "not a JSON object but a number"
    assert body["ids"] == [results[0]["_id"], results[4]["_id"]]
    assert (poster.line["received"], poster.line["stored"], poster.line["rejected"]) == (5, 2, 3)
    async with open_store(_store(tmp_path)) as store:
        quarantined = await store.quarantine.messages(QuarantineQuery())
    assert [(one.source, one.topic) for one in quarantined] == [("http", "$http/readings")] * 3
    assert sorted(one.payload for one in quarantined) == [b"5", b'{"deviceId":"a","temperature":-127}', b'{"temperature":1}']


def _store(folder: Path) -> Any:
    from bridge.settings import StoreSettings

    return StoreSettings.model_validate({"url": f"sqlite:///{folder}/bridge.db"})


async def test_request_without_a_valid_reading_names_each_invalid_field(poster: Poster) -> None:
    status, body, _ = await poster.post([{"deviceId": "a", "temperature": "hot", "humidity": 900}, {"deviceId": "a+b"}])
    assert (status, body["title"]) == (422, "Unprocessable Entity")
    assert [(one["index"], one["field"]) for one in body["errors"]] == [(0, "temperature"), (0, "humidity"), (1, "deviceId")]
    assert body["errors"][0]["message"] == "not a number"


async def test_nan_in_a_list_is_an_invalid_value_of_its_field(poster: Poster) -> None:
    status, body, _ = await poster.post(b'[{"deviceId": "a", "temperature": NaN, "humidity": 4, "timestamp": 1767000000}]')
    assert (status, body["results"][0]["quality"]) == (201, {"temperature": "not a number"})


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b"[]", 400),
        (b"[" * 300 + b"]" * 300, 400),
        (b"[" * 100_000, 400),
        (b"7", 422),
        (b"null", 422),
        (b'["\\ud800"]', 422),
        (b"[" + b"1," * ITEMS_LIMIT + b"1]", 413),
        (b" " * (1024 * 1024 + 1), 413),
        (b'{"deviceId": "a", "temperature": 1, "x": "' + b"x" * 70_000 + b'"}', 422),
    ],
)
async def test_invalid_body_is_a_problem_and_never_a_server_error(poster: Poster, raw: bytes, status: int) -> None:
    answered, body, headers = await poster.post(raw)
    assert (answered, body["status"]) == (status, status), body
    assert headers["Content-Type"].startswith("application/problem+json")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_unsupported_media_type_is_refused(poster: Poster, kind: str) -> None:
    status, body, _ = await poster.post(timed(1), Content_Type=kind)
    assert status == 415
    assert "application/x-ndjson" in body["detail"]


async def test_uncompressed_body_with_content_encoding_is_refused(poster: Poster) -> None:
    status, _, _ = await poster.post(b"no gzip at all", Content_Encoding="gzip")
    assert status == 400


async def test_compressed_body_is_limited_by_its_decompressed_size(poster: Poster) -> None:
    status, _, _ = await poster.post(gzip.compress(orjson.dumps([timed(1)])), Content_Encoding="gzip")
    assert status == 201
    status, _, _ = await poster.post(gzip.compress(b" " * 50_000_000), Content_Encoding="gzip")
    assert status == 413


async def test_body_that_does_not_arrive_in_time_is_answered_408(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    http = HttpSettings(port=0, post_seconds=0.2)
    async with posting(start_bridge, broker_url, f"sqlite:///{tmp_path}/bridge.db", http=http) as poster:
        reader, writer = await asyncio.open_connection("127.0.0.1", poster.bridge.port)
        head = "POST /api/ingest HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n["
        writer.write(head.encode())
        assert b" 408 " in await asyncio.wait_for(reader.readline(), 30)
        writer.close()


# --- Idempotency-Key -------------------------------------------------------------------------------------------------


async def test_repeated_key_and_body_get_the_same_answer_and_are_stored_once(poster: Poster) -> None:
    body = [{"deviceId": "a", "temperature": 1}, {"deviceId": "a", "temperature": 1}, {}]
    _, first, _ = await poster.post(body, Idempotency_Key="k1")
    status, again, _ = await poster.post(body, Idempotency_Key="k1")
    assert (status, again) == (201, first)
    assert len(set(first["ids"])) == 2, "equal readings of one request are distinct"
    assert len((await poster.get("/api/v1/readings"))["readings"]) == 2
    assert poster.line["received"] == 3


async def test_repeated_key_with_another_body_is_refused(poster: Poster) -> None:
    await poster.post(timed(1), Idempotency_Key="k1")
    status, body, _ = await poster.post(timed(2), Idempotency_Key="k1")
    assert (status, "another body" in body["detail"]) == (422, True)
    status, _, _ = await poster.post(timed(2), Idempotency_Key="k2")
    assert status == 201


async def test_simultaneous_requests_with_one_key_are_one_request(poster: Poster) -> None:
    body = {"deviceId": "a", "temperature": 1}
    answers = await asyncio.gather(*(poster.post(body, Idempotency_Key="k1") for _ in range(20)))
    assert {(status, orjson.dumps(told)) for status, told, _ in answers} == {(201, orjson.dumps(answers[0][1]))}
    assert poster.line["received"] == 1


@pytest.mark.parametrize("key", ["two words", "é", "x" * 256, ""])
async def test_invalid_key_is_refused(poster: Poster, key: str) -> None:
    status, _, _ = await poster.post(timed(1), Idempotency_Key=key)
    assert status == 400


async def test_repeated_key_after_a_restart_gives_duplicates_without_timestamps(
    start_bridge: StartBridge, broker_url: str, mongo_url: str
) -> None:
    body = [{"deviceId": "a", "temperature": 1}, {"deviceId": "a", "temperature": 1}]
    async with posting(start_bridge, broker_url, mongo_url) as poster:
        _, first, _ = await poster.post(body, Idempotency_Key="k1")
    async with posting(start_bridge, broker_url, mongo_url) as poster:
        status, again, _ = await poster.post(body, Idempotency_Key="k1")
    assert (status, again["ids"]) == (201, first["ids"])
    assert [one["status"] for one in again["results"]] == ["duplicate", "duplicate"]


def test_keys_expire_and_are_evicted_beyond_the_limits() -> None:
    keys: IdempotencyKeys[bytes] = IdempotencyKeys(seconds=10, keys_limit=3, items_limit=6)
    keys.add("a", b"1", b"x", now=0)
    assert keys.find("a", b"1", now=9.9) == b"x"
    with pytest.raises(IdempotencyKeyReused):
        keys.find("a", b"2", now=9.9)
    assert keys.find("a", b"2", now=10) is None
    for name in "bcde":
        keys.add(name, b"1", b"xx", now=20)
    assert [keys.find(name, b"1", now=20) for name in "bcde"] == [None, b"xx", b"xx", b"xx"]
    keys.add("f", b"1", b"xxxxxxxxx", now=20)
    assert [keys.find(name, b"1", now=20) for name in "def"] == [None, None, b"xxxxxxxxx"]
    assert keys.evicted == 4


# --- failures --------------------------------------------------------------------------------------------------------


async def test_posts_are_answered_503_without_the_store_and_waiting_readings_are_stored_later(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    database = Mongod(tmp_path / "mongo")
    database.start()
    url = database.url.replace("/?", "/sensors?")
    http = HttpSettings(port=0, post_seconds=1)
    try:
        async with posting(start_bridge, broker_url, url, http=http, timeout_seconds=4) as poster:
            await poster.post(timed(0))
            database.freeze()
            status, body, headers = await poster.post({"deviceId": "a", "temperature": 3}, Idempotency_Key="k")
            assert (status, headers["Retry-After"]) == (503, "5")
            assert "may be stored later" in body["detail"]
            await until(lambda: not poster.bridge.health.parts["store"].up)
            status, body, headers = await poster.post(timed(2))
            assert (status, headers["Retry-After"]) == (503, "5")
            assert "nothing was stored" in body["detail"]
            database.thaw()
            await until(lambda: poster.bridge.health.parts["store"].up)
            await until(lambda: not poster.line["waiting"])
            status, body, _ = await poster.post({"deviceId": "a", "temperature": 3}, Idempotency_Key="k")
            assert (status, body["results"][0]["status"]) == (201, "stored")
            assert poster.line == {**LINE, "received": 2, "stored": 2, "readings": 2}
    finally:
        database.kill()


async def test_waiting_requests_and_readings_are_limited(start_bridge: StartBridge, broker_url: str, tmp_path: Path) -> None:
    database = Mongod(tmp_path / "mongo")
    database.start()
    url = database.url.replace("/?", "/sensors?")
    http = HttpSettings(port=0, post_limit=2, posted_readings_limit=10_000)
    try:
        async with posting(start_bridge, broker_url, url, http=http, timeout_seconds=20) as poster:
            await poster.post(timed(0))
            database.freeze()
            large = [timed(number) for number in range(1, 9_001)]
            async with asyncio.TaskGroup() as tasks:
                first = tasks.create_task(poster.post(large))
                await until(lambda: poster.line["waiting"] == 9_000)
                status, body, _ = await poster.post(large)
                assert (status, "9000 readings wait" in body["detail"]) == (503, True)
                second = tasks.create_task(poster.post(timed(9_500)))
                await until(lambda: poster.line["waiting"] == 9_001)
                status, body, _ = await poster.post(timed(1))
                assert (status, "2 concurrent requests" in body["detail"]) == (503, True)
                database.thaw()
            assert (first.result()[0], second.result()[0]) == (201, 201)
            async with poster.session.get(f"{poster.base}/metrics") as answer:
                text = await answer.text()
            assert 'bridge_posts_refused_total{reason="requests"} 1.0' in text
            assert 'bridge_posts_refused_total{reason="readings"} 1.0' in text
            assert poster.line["stored"] == 9_002
    finally:
        database.kill()


async def test_reading_of_a_client_that_disconnects_is_stored(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    database = Mongod(tmp_path / "mongo")
    database.start()
    url = database.url.replace("/?", "/sensors?")
    try:
        async with posting(start_bridge, broker_url, url, timeout_seconds=20) as poster:
            await poster.post(timed(0))
            database.freeze()
            leaving = asyncio.ensure_future(poster.post(timed(1)))
            await until(lambda: poster.line["waiting"] == 1)
            leaving.cancel()
            await asyncio.wait((leaving,))
            database.thaw()
            await until(lambda: poster.line["stored"] == 2)
    finally:
        database.kill()


async def test_stopping_bridge_answers_accepted_requests_and_refuses_others(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    database = Mongod(tmp_path / "mongo")
    database.start()
    url = database.url.replace("/?", "/sensors?")
    try:
        # Half of the stop is for requests: with the default of four seconds, a busy machine takes longer to thaw the database.
        async with posting(start_bridge, broker_url, url, timeout_seconds=20, stop_seconds=120) as poster:
            await poster.post(timed(0))
            database.freeze()
            async with asyncio.TaskGroup() as tasks:
                waiting = tasks.create_task(poster.post(timed(1)))
                await until(lambda: poster.line["waiting"] == 1)
                poster.bridge.stop()

                status, body, _ = await poster.post(timed(2))
                assert (status, "stopping" in body["detail"]) == (503, True)
                database.thaw()
            assert waiting.result()[0] == 201
    finally:
        database.kill()


async def test_bridge_stopped_without_its_store_answers_that_the_outcome_is_unknown(
    start_bridge: StartBridge, broker_url: str, tmp_path: Path
) -> None:
    database = Mongod(tmp_path / "mongo")
    database.start()
    url = database.url.replace("/?", "/sensors?")
    try:
        async with posting(start_bridge, broker_url, url, timeout_seconds=20) as poster:
            await poster.post(timed(0))
            database.freeze()
            waiting = asyncio.ensure_future(poster.post(timed(1)))
            await until(lambda: poster.line["waiting"] == 1)
            poster.bridge.stop()
            status, body, _ = await waiting
            assert (status, "may be stored later" in body["detail"]) == (503, True)
            database.thaw()
    finally:
        database.kill()


# --- kill ------------------------------------------------------------------------------------------------------------


async def test_every_answered_reading_is_in_the_store_after_a_kill(mongo_url: str, tmp_path: Path) -> None:
    port = free_port()
    environ = {
        "BRIDGE_STORE__URL": mongo_url,
        "BRIDGE_MQTT__URL": f"mqtt://127.0.0.1:{free_port()}",
        "BRIDGE_HTTP__PORT": str(port),
    }
    answered: set[ObjectId] = set()
    sent = 0

    async def stream(session: aiohttp.ClientSession, name: str) -> None:
        nonlocal sent
        number = 0
        while True:
            items = [timed(number + one, f"{name}-{one}") for one in range(20)]
            number, sent = number + 20, sent + 20
            try:
                async with session.post(f"http://127.0.0.1:{port}/api/ingest", json=items) as answer:
                    if answer.status == 201:
                        answered.update(ObjectId(one) for one in orjson.loads(await answer.read())["ids"])
            except aiohttp.ClientError:
                return

    for round_number in range(3):
        async with running(tmp_path, "run", **environ) as command, aiohttp.ClientSession() as session:
            await until(lambda: _accepts(session, port), what="the store")
            before = len(answered)
            name = f"{round_number}-{uuid.uuid4().hex[:6]}"
            async with asyncio.TaskGroup() as tasks:
                for lane in range(4):
                    tasks.create_task(stream(session, f"{name}-{lane}"))
                await until(lambda before=before: len(answered) > before + 1000)
                command.signal(signal.SIGKILL)
            await command.end()
    assert len(answered) > 3000
    with pymongo.MongoClient[dict[str, Any]](mongo_url) as client:
        there = {one["_id"] for one in client.get_default_database()["readings"].find({}, {"_id": 1})}
    assert answered <= there
    assert len(there) <= sent


async def _accepts(session: aiohttp.ClientSession, port: int) -> bool:
    try:
        async with session.post(f"http://127.0.0.1:{port}/api/ingest", json=timed(1, "first")) as answer:
            return answer.status == 201
    except aiohttp.ClientError:
        return False
