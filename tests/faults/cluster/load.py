"""Readings by HTTP and MQTT, and commands to devices at different bridges."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

import aiohttp
import orjson
import pymongo
from bson.objectid import ObjectId

from tests.faults.readings import body_of, id_of
from tests.faults.stage import Publisher, running_task

_REQUESTS_PER_SECOND = 25.0
_POSTERS = 8
_PUBLISHERS = 4
_RETRY_SECONDS = 0.1
_NUMBERS = 1_000_000
"""Readings by HTTP in a run at most; those by MQTT have the numbers above."""
Database = pymongo.database.Database[dict[str, object]]
_LEAVING_SECONDS = 1.0
_NETWORK = (aiohttp.ClientError, OSError, TimeoutError)


class Load:
    """Readings at a rate while `flowing`. Whatever was begun is repeated until it is acknowledged."""

    def __init__(self, entrance: str, broker: tuple[str, int], *, rate: float, mqtt_share: float, run: int) -> None:
        """`rate` is in readings per second, of which `mqtt_share` (0 to 1) come by MQTT. Each `run` has its own readings."""
        self._url = f"{entrance}/api/v1/readings"
        self._http_rate, self._mqtt_rate = rate * (1 - mqtt_share), rate * mqtt_share
        self._per_request = max(round(self._http_rate / _REQUESTS_PER_SECOND), 1)
        self._next, self._next_mqtt = 2 * run * _NUMBERS, (2 * run + 1) * _NUMBERS
        self._publishers = [Publisher(broker[1], broker[0]) for _ in range(_PUBLISHERS)]
        self._is_flowing = True
        self._posting = 0
        self.posted: set[int] = set()
        self.statuses: Counter[int] = Counter()
        """Answers to requests; 0 for those without one."""

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for publisher in self._publishers:
                await stack.enter_async_context(publisher.running())
            for n in range(_POSTERS):
                await stack.enter_async_context(running_task(self._post(n), f"poster {n}"))
            if self._mqtt_rate:
                await stack.enter_async_context(running_task(self._publish(), "mqtt load"))
            yield

    def stop(self) -> None:
        """Begin nothing new."""
        self._is_flowing = False

    @property
    def next_numbers(self) -> tuple[int, int]:
        """The numbers of the next readings by HTTP and by MQTT."""
        return self._next, self._next_mqtt

    @property
    def waiting(self) -> int:
        """Requests and messages without an acknowledgement."""
        return self._posting + sum(publisher.waiting for publisher in self._publishers)

    @property
    def published(self) -> set[int]:
        """The numbers that the broker acknowledged."""
        return {number for publisher in self._publishers for number in publisher.acknowledged}

    @property
    def acknowledged(self) -> set[ObjectId]:
        """The ids of all readings that the bridges or the broker acknowledged."""
        return {id_of(number) for number in self.posted | self.published}

    @property
    def acknowledged_by_broker(self) -> set[ObjectId]:
        return {id_of(number) for number in self.published}

    async def _post(self, poster: int) -> None:
        interval = self._per_request * _POSTERS / self._http_rate
        await asyncio.sleep(interval * poster / _POSTERS)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as session:
            while True:
                begun = time.monotonic()
                if self._is_flowing:
                    numbers = range(self._next, self._next + self._per_request)
                    self._next = numbers.stop
                    with self._counted():
                        await self._until_stored(session, numbers)
                await asyncio.sleep(max(begun + interval - time.monotonic(), 0.005))

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._posting += 1
        try:
            yield
        finally:
            self._posting -= 1

    async def _until_stored(self, session: aiohttp.ClientSession, numbers: Sequence[int]) -> None:
        body = [{"deviceId": device, **orjson.loads(payload)} for device, payload in map(body_of, numbers)]
        while True:
            try:
                async with session.post(self._url, json=body) as response:
                    status = response.status
            except _NETWORK:
                status = 0
            self.statuses[status] += 1
            if status == HTTPStatus.CREATED:
                self.posted.update(numbers)
                return
            await asyncio.sleep(_RETRY_SECONDS)

    async def _publish(self) -> None:
        start, sent = time.monotonic(), 0
        while self._is_flowing:
            for _ in range(int((time.monotonic() - start) * self._mqtt_rate) + 1 - sent):
                number, self._next_mqtt = self._next_mqtt, self._next_mqtt + 1
                device, payload = body_of(number)
                self._publishers[number % _PUBLISHERS].publish(number, f"sensors/{device}/data".encode(), payload)
                sent += 1
            await asyncio.sleep(0.01)


@dataclass
class Visit:
    """A connection of a device, in seconds since the epoch. It ends when the device begins to disconnect."""

    url: str
    begun: float
    ended: float = math.inf

    def loses(self, sent: float, standstill_seconds: float) -> bool:
        """Whether what was sent at a time may be lost with this connection: it was ending, or it ended while its bridge stood
        still.
        """
        return self.begun <= sent < self.ended + _LEAVING_SECONDS and sent > self.ended - _LEAVING_SECONDS - standstill_seconds


class Commands:
    """Devices that move from bridge to bridge, and commands to them through the balancer."""

    def __init__(
        self, entrance: str, bridges: Sequence[str], prefix: str, devices: int = 6, interval_seconds: float = 0.4
    ) -> None:
        """`prefix` begins the ids of the commands."""
        self._prefix = prefix
        self._entrance = entrance
        self._bridges = bridges
        self._names = [f"servo{n}" for n in range(devices)]
        self._interval_seconds = interval_seconds
        self._connected: set[str] = set()
        self._is_flowing = True
        self.standstill_seconds = 0.0
        """For how long a bridge may stand still, and its devices leave meanwhile."""
        self._visits: dict[str, list[Visit]] = defaultdict(list)
        self.accepted: set[str] = set()
        self.received: Counter[str] = Counter()

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for n, name in enumerate(self._names):
                await stack.enter_async_context(running_task(self._device(n, name), name))
            await stack.enter_async_context(running_task(self._send(), "commands"))
            yield

    @property
    def twice(self) -> int:
        return sum(count > 1 for count in self.received.values())

    def stop(self) -> None:
        """Send nothing new. The devices go on, and receive what is queued for them."""
        self._is_flowing = False

    def states(self, database: Database) -> Counter[str]:
        """Return the states of the accepted commands that no device received.

        `leaving` are those that were sent to a device which was disconnecting: they are not repeated. `unknown` are not stored.
        """
        missing = self._missing(database)
        states = Counter("leaving" if self._was_leaving(one) else str(one["state"]) for one in missing)
        states["unknown"] += len(self.accepted - self.received.keys()) - len(missing)
        return states

    def _missing(self, database: Database) -> list[dict[str, object]]:
        query = {"command": "turn", "value": {"$in": sorted(self.accepted - self.received.keys())}}
        return list(database["commands"].find(query).sort("createdAt"))

    def _was_leaving(self, command: dict[str, object]) -> bool:
        if command["state"] != "sent":
            return False
        sent = _seconds(command["sentAt"])
        return any(visit.loses(sent, self.standstill_seconds) for visit in self._visits[str(command["device"])])

    def told(self, database: Database) -> list[str]:
        """Describe the accepted commands that no device received, with the connections of their devices at that time."""
        lines = []
        for one in self._missing(database):
            at = _seconds(one["sentAt"] or one["changedAt"])
            visits = [visit for visit in self._visits[str(one["device"])] if visit.begun - 10 < at < visit.ended + 10]
            waited = at - _seconds(one["createdAt"])
            lines.append(
                f"{one['value']} {one['state']} {one['error'] or ''} asked {waited:.2f} s before; "
                + ", ".join(f"{visit.url} from {visit.begun - at:+.2f} to {visit.ended - at:+.2f} s" for visit in visits)
            )
        return lines

    async def _device(self, number: int, name: str) -> None:
        rng = random.Random(number)
        while True:
            try:
                async with aiohttp.ClientSession() as session, asyncio.timeout(5) as deadline:
                    url = f"{rng.choice(self._bridges)}/ws/device"
                    async with session.ws_connect(url, timeout=aiohttp.ClientWSTimeout(ws_close=1)) as socket:
                        deadline.reschedule(asyncio.get_running_loop().time() + rng.uniform(4, 12))
                        await socket.send_json({"type": "auth", "name": name, "password": "x"})
                        await socket.send_json({"type": "telemetry", "temperature": 20, "timestamp": time.time()})
                        self._connected.add(name)
                        self._visits[name].append(visit := Visit(url, time.time()))
                        try:
                            async for message in socket:
                                await self._on_message(socket, message)
                        finally:
                            visit.ended = time.time()
            except _NETWORK:
                pass
            await asyncio.sleep(_RETRY_SECONDS)

    async def _on_message(self, socket: aiohttp.ClientWebSocketResponse, message: aiohttp.WSMessage) -> None:
        body = orjson.loads(message.data)
        if "command" in body:
            self.received[body["id"]] += 1
            await socket.send_json({"type": "ack", "id": body["id"], "ok": True})

    async def _send(self) -> None:
        rng = random.Random(7)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            for n in itertools.count():
                if self._connected and self._is_flowing:
                    await self._until_accepted(session, rng.choice(sorted(self._connected)), f"{self._prefix}-{n}")
                await asyncio.sleep(self._interval_seconds)

    async def _until_accepted(self, session: aiohttp.ClientSession, device: str, identity: str) -> None:
        body = {"command": "turn", "value": identity, "queue": True, "id": identity}
        while True:
            try:
                async with session.post(f"{self._entrance}/api/v1/devices/{device}/commands", json=body) as response:
                    status = response.status
            except _NETWORK:
                status = 0
            if status == HTTPStatus.ACCEPTED:
                self.accepted.add(identity)
            if status and status < HTTPStatus.INTERNAL_SERVER_ERROR:
                return
            await asyncio.sleep(_RETRY_SECONDS)


def _seconds(at: object) -> float:
    assert isinstance(at, datetime)
    return at.timestamp()
