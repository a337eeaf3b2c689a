"""Every way in: readings sent as any device or gateway would send them, and commands taken."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import orjson

from bridge.core.decode import MessageKind
from bridge.core.errors import BrokerUnavailable
from bridge.core.formats.registry import FormatName
from bridge.core.topic import TopicPattern
from bridge.settings import MqttSettings
from bridge.sources.mqtt.client import MqttSender, mqtt_sender
from bridge.tools.probe.findings import Failed, Skipped
from bridge.tools.probe.samples import ProbeReading
from bridge.tools.probe.sockets import Json, Socket, connected, under_way
from bridge.tools.probe.target import ProbeTarget

MQTT, POST, INGEST, SOCKET = "MQTT", "POST /api/v1/readings", "POST /api/ingest", "/ws/device"


class WayIn(Protocol):
    """Takes readings, and `acknowledges` them or not."""

    acknowledges: bool

    @property
    def advice(self) -> str:
        """What to do when they do not arrive."""
        ...

    async def send(self, sample: ProbeReading) -> str | None:
        """Return when it is acknowledged, with the `_id` where the answer has one; raises `Failed`."""
        ...


@runtime_checkable
class CommandTaker(WayIn, Protocol):
    """Takes commands too."""

    commands: asyncio.Queue[Json]

    async def confirm(self, command_id: str) -> None:
        """It was done; raises `Failed`."""
        ...


@dataclass(frozen=True, slots=True)
class ProbeContext:
    """What the operator has given. `broker_named` is: a broker that is away is a failure, and no reason to skip it."""

    target: ProbeTarget
    device: str
    tasks: asyncio.TaskGroup
    mqtt: MqttSettings
    broker_named: bool = False
    token: str | None = None
    password: str | None = None


Opener = Callable[[ProbeContext], AbstractAsyncContextManager[WayIn]]
"""Connects; raises `Failed` or `Skipped`."""


# --- HTTP --------------------------------------------------------------------------------------------------------------


class HttpWay:
    """By `POST`, each reading in the shape of its path."""

    advice = "look at the bridge's log"
    acknowledges = True

    def __init__(self, target: ProbeTarget, path: str, shape: Callable[[ProbeReading], Json]) -> None:
        """`shape` makes the body."""
        self._target = target
        self._path = path
        self._shape = shape

    async def send(self, sample: ProbeReading) -> str | None:
        """As every way in."""
        answer = (await self._target.ask("POST", self._path, self._shape(sample))).expect(201)
        ids = answer.json.get("ids")
        if not isinstance(ids, list) or len(ids) != 1:
            raise Failed(f"{answer.path} answers 201 without the one id: {answer.json}")
        return str(ids[0])


def plain(sample: ProbeReading) -> Json:
    """The names of the contract."""
    return {"deviceId": sample.device, **sample.values, "timestamp": sample.key}


_SHOUTED = {"temperature": "Temperature", "humidity": "Humidity", "tvoc": "TVOC", "co2": "CO2", "pm25": "PM25"}


def _legacy(sample: ProbeReading) -> Json:
    values = {_SHOUTED[name]: value for name, value in sample.values.items()}
    return {"sensor_id": sample.device, "timestamp": sample.key, "values": values}


@asynccontextmanager
async def _by_post(given: ProbeContext) -> AsyncIterator[WayIn]:
    yield HttpWay(given.target, "/api/v1/readings", plain)


@asynccontextmanager
async def _by_ingest(given: ProbeContext) -> AsyncIterator[WayIn]:
    yield HttpWay(given.target, "/api/ingest", _legacy)


# --- MQTT --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeviceTopics:
    """Of one device."""

    readings: str
    commands: str
    acks: str | None

    @classmethod
    def of(cls, settings: MqttSettings, device: str) -> DeviceTopics:
        """As the subscriptions have them; raises `Skipped`."""
        readings, acks = _topic(settings, MessageKind.READINGS, device), _topic(settings, MessageKind.COMMAND_ACK, device)
        if readings is None:
            raise Skipped("no subscription of the settings is for JSON from one device, like sensors/{deviceId}/data")
        return cls(readings, settings.command_topic(device), acks)


def _topic(settings: MqttSettings, kind: MessageKind, device: str) -> str | None:
    """The first of the subscriptions that has no other wildcard."""
    for one in settings.subscriptions:
        pattern = TopicPattern.parse(one.pattern)
        levels = [device if name == "deviceId" else level for name, level in zip(pattern.names, pattern.levels, strict=True)]
        if one.kind is kind and one.format is FormatName.JSON and device in levels and not {"+", "#"} & set(levels):
            return "/".join(levels)
    return None


class MqttWay:
    """By a broker."""

    acknowledges = True

    def __init__(self, sender: MqttSender, topics: DeviceTopics, address: str, patience: float) -> None:
        """The sender hears the topic of commands."""
        self._sender = sender
        self._topics = topics
        self._patience = patience
        self.advice = f"does the bridge read {topics.readings} from {address}? see mqtt.url and mqtt.subscriptions there"
        self.commands: asyncio.Queue[Json] = asyncio.Queue()

    async def send(self, sample: ProbeReading) -> None:
        """QoS 1: the broker has it. It names no `_id`."""
        values = {**sample.values, "timestamp": sample.key}
        await self._publish(self._topics.readings, values)

    async def confirm(self, command_id: str) -> None:
        """As every one who takes commands."""
        if self._topics.acks is None:
            raise Failed("no subscription is for confirmations", "mqtt.subscriptions: add one of kind command_ack")
        await self._publish(self._topics.acks, {"id": command_id, "ok": True})

    async def _publish(self, topic: str, body: object) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await self._sender.publish(topic, orjson.dumps(body))
        except (BrokerUnavailable, TimeoutError) as error:
            raise Failed(str(error) or f"the broker did not acknowledge within {self._patience:g} s") from None

    async def listen(self) -> None:
        """Keep the commands that come, until the broker leaves; sending tells of that."""
        with suppress(BrokerUnavailable):
            async for payload in self._sender.arrived():
                with suppress(orjson.JSONDecodeError):
                    self.commands.put_nowait(orjson.loads(payload))


@asynccontextmanager
async def _by_mqtt(given: ProbeContext) -> AsyncIterator[WayIn]:
    topics = DeviceTopics.of(given.mqtt, given.device)
    async with AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(mqtt_sender(given.mqtt))
            await client.subscribe(topics.commands)
        except BrokerUnavailable as error:
            if given.broker_named:
                raise Failed(f"no broker: {error}", "start it, or correct --broker") from None
            raise Skipped(f"no broker ({error}); name it with --broker") from None
        way = MqttWay(client, topics, given.mqtt.address, given.target.patience)
        await stack.enter_async_context(under_way(given.tasks.create_task(way.listen(), name="probe MQTT")))
        yield way


# --- WebSocket ---------------------------------------------------------------------------------------------------------


class SocketWay:
    """By `/ws/device`, in either dialect."""

    acknowledges = False

    def __init__(self, socket: Socket, *, upper: bool) -> None:
        """Let in; `upper` is the dialect with types in capitals."""
        self._socket = socket
        self._upper = upper
        self._refusal = ""
        self.commands: asyncio.Queue[Json] = asyncio.Queue()

    @property
    def advice(self) -> str:
        """What the bridge has said of it."""
        return self._refusal or "look at the bridge's log"

    async def send(self, sample: ProbeReading) -> None:
        """Nothing is acknowledged here; what is refused is known later."""
        await self._say("telemetry", {"device_id": sample.device, **sample.values, "timestamp": sample.key})

    async def confirm(self, command_id: str) -> None:
        """As every one who takes commands."""
        await self._say("ack", {"id": command_id, "ok": True})

    async def _say(self, kind: str, body: Json) -> None:
        message = {"type": kind.upper(), "payload": body} if self._upper else {"type": kind, **body}
        await self._socket.send(**message)

    async def listen(self) -> None:
        """Keep the commands that come, and what is refused."""
        await self._socket.read(self._hear, self._end)

    def _hear(self, body: Json) -> None:
        if "command" in body:
            self.commands.put_nowait(body)
        elif error := _error(body):
            self._end(error)

    def _end(self, why: str) -> None:
        self._refusal = self._refusal or f"the bridge says: {why}"


@asynccontextmanager
async def _by_socket(given: ProbeContext) -> AsyncIterator[WayIn]:
    async with connected(given.target, SOCKET, showing=False) as socket:
        if given.password is not None:
            await _enter_by_password(socket, given.device, given.password)
        else:
            await _enter_by_token(socket, given.token)
        way = SocketWay(socket, upper=given.password is None)
        async with under_way(given.tasks.create_task(way.listen(), name="probe device")):
            yield way


async def _enter_by_token(socket: Socket, token: str | None) -> None:
    await socket.send(type="AUTH", payload={"token": token or secrets.token_hex(8)})
    if (answer := await socket.answer()).get("type") == "AUTH_OK":
        return
    if token is None:
        raise Skipped("not open to everyone; give --token or --device-token, or --device and --password")
    raise Failed(f"{SOCKET} answers {answer}", "the token must be one of the bridge's devices.credentials")


async def _enter_by_password(socket: Socket, name: str, password: str) -> None:
    """This dialect has no welcome. But one who is let in is told that a type is unknown; others, that they are not."""
    await socket.send(type="auth", name=name, password=password)
    await socket.send(type="hello")
    error = _error(await socket.answer())
    if error in ("unauthorized", "auth_required"):
        raise Failed(f"{SOCKET} answers {error}", "--device and --password must stand in the bridge's devices.credentials")


def _error(body: Json) -> str:
    payload = body.get("payload")
    error = payload.get("error") if isinstance(payload, dict) else body.get("error")
    return "" if error is None else str(error)


WAYS_IN: dict[str, Opener] = {MQTT: _by_mqtt, POST: _by_post, INGEST: _by_ingest, SOCKET: _by_socket}
"""By name. MQTT is tried before the socket is open, and the socket last: a device's commands go to its socket if it has one."""
