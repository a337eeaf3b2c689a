"""One reading by every way in is one record of one shape, and reaches every kind of client; by two ways it is one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from typing import Any

import orjson
import pytest

from bridge.core.timestamp import iso
from tests.foreign.clients import Socket, python_socket
from tests.foreign.conftest import Stage
from tests.foreign.contract import a_cursor, a_time, an_id, assert_as_written
from tests.realtime.clients import Listener, listening
from tests.servers import until

VALUES = {"temperature": 22.3, "humidity": 45, "tvoc": 120, "co2": 645, "pm25": 12}
SHAPE = {"_id": an_id, **VALUES, "timestamp": a_time, "deviceId": "esp01", "receivedAt": a_time, "seq": a_cursor}
EPOCH_MS = 1_767_000_000_000


# --- ways in -----------------------------------------------------------------------------------------------------------


async def by_mqtt(stage: Stage, timestamp: str) -> None:
    await stage.publish("sensors/esp01/data", orjson.dumps(VALUES | {"timestamp": timestamp}).decode())


async def by_http(stage: Stage, timestamp: str) -> None:
    body = [{"deviceId": "esp01", **VALUES, "timestamp": timestamp}]
    assert (await stage.post("/api/v1/readings", orjson.dumps(body).decode())).status == 201


async def by_ingest(stage: Stage, timestamp: str) -> None:
    values = {"CO2": 645, "PM25": 12, "TVOC": 120, "Temperature": 22.3, "Humidity": 45}
    line = orjson.dumps({"sensor_id": "esp01", "values": values, "timestamp": timestamp}).decode() + "\n"
    answer = await stage.post("/api/ingest", line, "-H", "Content-Type: application/x-ndjson", "--data-binary", "@-")
    assert answer.status == 201


async def by_token(stage: Stage, timestamp: str) -> None:
    async with python_socket(stage.socket_url + "/ws/device") as socket:
        await socket.say({"type": "AUTH", "payload": {"token": "1234"}})
        assert await socket.hear() == {"type": "AUTH_OK"}
        telemetry = {"device_id": "esp01", **VALUES, "timestamp": timestamp}
        await waits_for_subscribe(stage, partial(socket.say, {"type": "TELEMETRY", "payload": telemetry}))


async def by_password(stage: Stage, timestamp: str) -> None:
    async with python_socket(stage.socket_url + "/ws/device") as socket:
        await socket.say({"type": "auth", "name": "esp01", "password": "1234"})
        await waits_for_subscribe(stage, partial(socket.say, {"type": "telemetry", **VALUES, "timestamp": timestamp}))


async def waits_for_subscribe(stage: Stage, send: Callable[[], Awaitable[None]]) -> None:
    """A socket answers nothing: the account tells that it was taken."""
    line = stage.bridge.ledger.account("device")
    before = line.stored + line.duplicate
    await send()
    await until(lambda: line.stored + line.duplicate == before + 1, what="telemetry taken")


Way = Callable[[Stage, str], Awaitable[None]]
WAYS: tuple[Way, ...] = (by_mqtt, by_http, by_ingest, by_token, by_password)


# --- ways out ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Everyone:
    """A client of every kind; each tells what it heard of as the times of measurement, in order."""

    websocket: Listener
    polling: Listener
    topics: Socket
    channels: Socket
    admin: Socket

    async def hear(self) -> dict[str, Any]:
        """The next reading as each of them has it."""
        for one in (self.websocket, self.polling):
            await until(partial(one.of, "sensorData"), what="sensorData")
        heard = {name: _pop(one) for name, one in (("websocket", self.websocket), ("polling", self.polling))}
        heard["topics"] = await self.topics.hear(type="measurement")
        heard["channels"] = await self.channels.hear(entity_type="reading")
        heard["admin"] = await self.admin.hear(type="TELEMETRY")
        return heard


def _pop(listener: Listener) -> Any:
    return listener.received.pop(next(n for n, (name, _) in enumerate(listener.received) if name == "sensorData"))[1]


@asynccontextmanager
async def everyone(stage: Stage) -> AsyncIterator[Everyone]:
    async with AsyncExitStack() as stack:
        websocket, polling = [
            await stack.enter_async_context(listening(stage.bridge, transports=[one])) for one in ("websocket", "polling")
        ]
        topics, channels, admin = [
            await stack.enter_async_context(python_socket(stage.socket_url + path))
            for path in ("/ws", "/api/v1/ws?channel=readings", "/ws/device")
        ]
        await channels.hear(type="connection")
        await admin.say({"type": "AUTH", "payload": {"token": "let me in"}})
        assert await admin.hear() == {"type": "AUTH_OK"}
        await stage.until("/websocket/status", connectedClients=5)
        yield Everyone(websocket, polling, topics, channels, admin)


# --- the promises ------------------------------------------------------------------------------------------------------


async def test_a_reading_by_each_way_is_a_record_of_one_shape_and_reaches_every_kind_of_client(stage: Stage) -> None:
    async with everyone(stage) as clients:
        for n, way in enumerate(WAYS):
            timestamp = iso(EPOCH_MS + n)
            await way(stage, timestamp)
            heard = await clients.hear()
            (record,) = (await stage.get("/api/v1/readings/latest"))["readings"]
            assert_as_written(record, SHAPE | {"timestamp": timestamp})
            public = {name: value for name, value in record.items() if name not in ("receivedAt", "seq")}
            for transport in ("websocket", "polling"):
                assert_as_written(heard[transport], {"timestamp": a_time, "data": public, "cursor": record["seq"]})
            measurement = {"sensor_id": "esp01", "timestamp": timestamp, **VALUES, "cursor": record["seq"]}
            assert_as_written(heard["topics"], measurement)
            assert_as_written(heard["channels"], {"event_type": "created", "entity_id": record["_id"], "data": public})
            assert heard["admin"]["payload"] == {"device_id": "esp01", **VALUES, "timestamp": timestamp}
    stored = list(stage.database["readings"].find())
    assert len(stored) == len(WAYS)
    assert {tuple((name, type(value)) for name, value in one.items()) for one in stored} == {
        tuple((name, type(value)) for name, value in stored[0].items())
    }, "the same fields in the same order, of the same types"


@pytest.mark.parametrize("at_once", [False, True], ids=["one after the other", "at once"])
async def test_the_same_reading_by_two_ways_is_one_record_and_one_broadcast(stage: Stage, *, at_once: bool) -> None:
    pairs = [(first, second) for first, second in permutations(WAYS, 2) if {first, second} != {by_token, by_password}]
    async with everyone(stage) as clients:
        for n, (first, second) in enumerate(pairs):
            timestamp = iso(EPOCH_MS + n)
            if at_once:
                await asyncio.gather(first(stage, timestamp), second(stage, timestamp))
            else:
                await first(stage, timestamp)
                await second(stage, timestamp)
            heard = await clients.hear()
            assert heard["topics"]["timestamp"] == timestamp, "the one before was heard once"
            assert {heard[name]["data"]["timestamp"] for name in ("websocket", "polling", "channels")} == {timestamp}
            assert heard["admin"]["payload"]["timestamp"] == timestamp

        def counted(*names: str) -> list[int]:
            return [sum(one[name] for one in stage.bridge.ledger.as_dict().values()) for name in names]

        await until(lambda: counted("received", "waiting") == [2 * len(pairs), 0], what="settled")
        assert counted("stored", "duplicate") == [len(pairs), len(pairs)]
        assert not clients.websocket.of("sensorData")
        assert not clients.polling.of("sensorData")
    assert stage.database["readings"].count_documents({}) == len(pairs)
