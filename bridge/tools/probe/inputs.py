"""The inputs of a bridge: send readings as devices and gateways do, and receive commands."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

import orjson

from bridge.core.decode import MessageKind
from bridge.core.errors import BrokerUnavailable
from bridge.core.formats.registry import FormatName
from bridge.core.topic import TopicPattern
from bridge.settings import MqttSettings
from bridge.sources.mqtt.client import MqttSender, mqtt_sender
from bridge.tools.probe.readings import ProbeReading
from bridge.tools.probe.results import Failed, Skipped
from bridge.tools.probe.sockets import Json, Socket, cancelled_at_exit, connect
from bridge.tools.probe.target import ProbeTarget

MQTT, POST, INGEST, SOCKET = "MQTT", "POST /api/v1/readings", "POST /api/ingest", "/ws/device"


class Input(Protocol):
    """Accepts readings; `acknowledges` says whether it confirms them."""

    acknowledges: bool

    @property
    def advice(self) -> str:
        """Advice if readings do not arrive."""

    async def send(self, reading: ProbeReading) -> str | None:
        """Send a reading; return its `_id` if the acknowledgement has one. Raises `Failed`."""


@runtime_checkable
class CommandReceiver(Input, Protocol):
    commands: asyncio.Queue[Json]

    async def confirm(self, command_id: str) -> None:
        """Confirm a command. Raises `Failed`."""


@dataclass(frozen=True, slots=True)
class InputContext:
    """The options of the operator. `broker_required`: an unavailable broker is a failure instead of a reason to skip."""

    target: ProbeTarget
    device: str
    tasks: asyncio.TaskGroup
    mqtt: MqttSettings
    broker_required: bool = False
    token: str | None = None
    password: str | None = None


OpenInput = Callable[[InputContext], AbstractAsyncContextManager[Input]]
"""Connects. Raises `Failed` or `Skipped`."""


# --- HTTP --------------------------------------------------------------------------------------------------------------


class HttpInput:
    advice = "check the bridge's log"
    acknowledges = True

    def __init__(self, target: ProbeTarget, path: str, encode: Callable[[ProbeReading], Json]) -> None:
        self._target = target
        self._path = path
        self._encode = encode

    async def send(self, reading: ProbeReading) -> str | None:
        response = (await self._target.request("POST", self._path, self._encode(reading))).expect(201)
        ids = response.json.get("ids")
        if not isinstance(ids, list) or len(ids) != 1:
            raise Failed(f"{response.request}: the response has not exactly one id: {response.json}")
        return str(ids[0])


def encode_reading(reading: ProbeReading) -> Json:
    """Return the body of `POST /api/v1/readings`."""
    return {"deviceId": reading.device, **reading.values, "timestamp": reading.key}


_LEGACY_NAMES = {"temperature": "Temperature", "humidity": "Humidity", "tvoc": "TVOC", "co2": "CO2", "pm25": "PM25"}


def _encode_legacy(reading: ProbeReading) -> Json:
    values = {_LEGACY_NAMES[name]: value for name, value in reading.values.items()}
    return {"sensor_id": reading.device, "timestamp": reading.key, "values": values}


@asynccontextmanager
async def _open_http(context: InputContext, path: str, encode: Callable[[ProbeReading], Json]) -> AsyncIterator[Input]:
    yield HttpInput(context.target, path, encode)


# --- MQTT --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeviceTopics:
    readings: str
    commands: str
    acks: str | None

    @classmethod
    def of(cls, settings: MqttSettings, device: str) -> "DeviceTopics":
        """Derive the topics from the subscriptions. Raises `Skipped`."""
        readings, acks = _topic(settings, MessageKind.READINGS, device), _topic(settings, MessageKind.COMMAND_ACK, device)
        commands = settings.command_topic(device)
        if readings is None or commands is None:
            several = ", or sensors/{deviceId...}/data for an id of several levels" if "/" in device else ""
            raise Skipped(
                f"the settings have no subscription for JSON from one device, such as sensors/{{deviceId}}/data{several}"
            )
        return cls(readings, commands, acks)


def _topic(settings: MqttSettings, kind: MessageKind, device: str) -> str | None:
    """Return the topic for the first subscription whose only wildcard is the device."""
    for subscription in settings.subscriptions:
        pattern = TopicPattern.parse(subscription.pattern)
        is_json = subscription.kind is kind and subscription.format in (FormatName.AUTO, FormatName.JSON)
        if is_json and pattern.is_of_one_device and (topic := pattern.topic_of(device)) is not None:
            return topic
    return None


class MqttInput:
    acknowledges = True

    def __init__(self, sender: MqttSender, topics: DeviceTopics, address: str, timeout_seconds: float) -> None:
        """`sender` is subscribed to the topic of commands."""
        self._sender = sender
        self._topics = topics
        self._timeout_seconds = timeout_seconds
        self.advice = (
            f"check that the bridge subscribes to {topics.readings} at {address}: see mqtt.url and mqtt.subscriptions there"
        )
        self.commands: asyncio.Queue[Json] = asyncio.Queue()

    async def send(self, reading: ProbeReading) -> None:
        """Publish with QoS 1. The acknowledgement has no `_id`."""
        await self._publish(self._topics.readings, {**reading.values, "timestamp": reading.key})

    async def confirm(self, command_id: str) -> None:
        if self._topics.acks is None:
            raise Failed("no subscription has kind command_ack", "add one to mqtt.subscriptions")
        await self._publish(self._topics.acks, {"id": command_id, "ok": True})

    async def _publish(self, topic: str, body: object) -> None:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._sender.publish(topic, orjson.dumps(body))
        except (BrokerUnavailable, TimeoutError) as error:
            raise Failed(str(error) or f"the broker did not acknowledge within {self._timeout_seconds:g} s") from None

    async def listen(self) -> None:
        """Queue the received commands until the broker disconnects, which makes `send` fail."""
        with suppress(BrokerUnavailable):
            async for payload in self._sender.arrived():
                with suppress(orjson.JSONDecodeError):
                    self.commands.put_nowait(orjson.loads(payload))


@asynccontextmanager
async def _open_mqtt(context: InputContext) -> AsyncIterator[Input]:
    topics = DeviceTopics.of(context.mqtt, context.device)
    async with AsyncExitStack() as stack:
        try:
            sender = await stack.enter_async_context(mqtt_sender(context.mqtt))
            refusal = await sender.subscribe(topics.commands)
        except BrokerUnavailable as error:
            if context.broker_required:
                raise Failed(f"broker unavailable: {error.fault}", error.remedy or "start it, or correct --broker") from None
            raise Skipped(f"broker unavailable ({error}); give its address with --broker") from None
        if refusal:
            raise Failed(f"the broker refuses to subscribe to {topics.commands} ({refusal})", "permit it for this user")
        mqtt = MqttInput(sender, topics, context.mqtt.address, context.target.patience)
        await stack.enter_async_context(cancelled_at_exit(context.tasks.create_task(mqtt.listen(), name="probe MQTT")))
        yield mqtt


# --- WebSocket ---------------------------------------------------------------------------------------------------------


class SocketInput:
    """Sends readings over `/ws/device` in one of its two protocols."""

    acknowledges = False

    def __init__(self, socket: Socket, *, envelope: bool) -> None:
        """`socket` is authenticated; `envelope` selects the protocol with upper-case types and a payload."""
        self._socket = socket
        self._envelope = envelope
        self._error = ""
        self.commands: asyncio.Queue[Json] = asyncio.Queue()

    @property
    def advice(self) -> str:
        """The error that the bridge sent, if any."""
        return self._error or "check the bridge's log"

    async def send(self, reading: ProbeReading) -> None:
        """Send without an acknowledgement; a refusal arrives later."""
        await self._send("telemetry", {"device_id": reading.device, **reading.values, "timestamp": reading.key})

    async def confirm(self, command_id: str) -> None:
        await self._send("ack", {"id": command_id, "ok": True})

    async def _send(self, kind: str, body: Json) -> None:
        message = {"type": kind.upper(), "payload": body} if self._envelope else {"type": kind, **body}
        await self._socket.send(**message)

    async def listen(self) -> None:
        """Queue the received commands and keep the first error."""
        await self._socket.read(self._on_message, self._set_error)

    def _on_message(self, body: Json) -> None:
        if "command" in body:
            self.commands.put_nowait(body)
        elif error := _error_of(body):
            self._set_error(error)

    def _set_error(self, error: str) -> None:
        self._error = self._error or f"the bridge answered: {error}"


@asynccontextmanager
async def _open_socket(context: InputContext) -> AsyncIterator[Input]:
    async with AsyncExitStack() as stack:
        socket, envelope = await _authenticated(context, stack)
        device = SocketInput(socket, envelope=envelope)
        async with cancelled_at_exit(context.tasks.create_task(device.listen(), name="probe device")):
            yield device


async def _authenticated(context: InputContext, stack: AsyncExitStack) -> tuple[Socket, bool]:
    """An authenticated socket, and whether it uses the envelope protocol.

    Without credentials, a bridge that accepts any device may still want a name: where other devices have secrets.
    """

    async def connected() -> Socket:
        return await stack.enter_async_context(connect(context.target, SOCKET, authenticated=False))

    socket = await connected()
    if context.password is None:
        if await _has_authenticated_by_token(socket, context.token):
            return socket, True
        socket = await connected()
    password = context.password or secrets.token_hex(8)
    error = await _authenticate_by_password(socket, context.device, password)
    if error and context.password is None:
        raise Skipped("devices must authenticate; give --token or --device-token, or --device and --password")
    if error:
        raise Failed(f"{SOCKET} answers {error}", "--device and --password must be in the bridge's devices.credentials")
    return socket, False


async def _has_authenticated_by_token(socket: Socket, token: str | None) -> bool:
    """Authenticate in the envelope protocol. Raises `Failed` if a given token is refused."""
    await socket.send(type="AUTH", payload={"token": token or secrets.token_hex(8)})
    if (answer := await socket.receive()).get("type") == "AUTH_OK":
        return True
    if token is not None:
        raise Failed(f"{SOCKET} answers {answer}", "the token must be one of the bridge's devices.credentials")
    return False


async def _authenticate_by_password(socket: Socket, name: str, password: str) -> str:
    """Authenticate in the flat protocol, which sends no welcome: an unknown type tells success from refusal. The refusal."""
    await socket.send(type="auth", name=name, password=password)
    await socket.send(type="hello")
    error = _error_of(await socket.receive())
    return error if error in ("unauthorized", "auth_required") else ""


def _error_of(body: Json) -> str:
    payload = body.get("payload")
    error = payload.get("error") if isinstance(payload, dict) else body.get("error")
    return "" if error is None else str(error)


INPUTS: dict[str, OpenInput] = {
    MQTT: _open_mqtt,
    POST: partial(_open_http, path="/api/v1/readings", encode=encode_reading),
    INGEST: partial(_open_http, path="/api/ingest", encode=_encode_legacy),
    SOCKET: _open_socket,
}
"""By name. MQTT is tested first and the socket last, because commands go to a device's socket while it is open."""
