"""How the bridge and its commands connect to a broker: aiomqtt's client by our settings, and what needs no session.

The source itself, with its session, is `mqtt.py`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import aiomqtt

from bridge.core.errors import BrokerUnavailable
from bridge.settings import MqttSettings

SENDER_WINDOW = 500
"""How many messages a sender may have under way at once."""

# Small packets go out at once. With Nagle's algorithm a PUBACK can wait 40 ms for the other side's delayed TCP ACK.
SEND_AT_ONCE = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)
_PROTOCOLS = {"5": aiomqtt.ProtocolVersion.V5, "3.1.1": aiomqtt.ProtocolVersion.V311}


def made_client(settings: MqttSettings, client_id: str | None, **session: Any) -> aiomqtt.Client:  # noqa: ANN401
    """Not connected yet; `session` is aiomqtt's. Raises `BrokerUnavailable` for TLS files that cannot be read."""
    username, password = settings.login
    try:
        tls_context = settings.tls_context
    except OSError as error:
        raise BrokerUnavailable(f"TLS files of mqtt.tls: {error}") from error
    return aiomqtt.Client(
        settings.host,
        settings.port,
        username=username,
        password=password,
        identifier=client_id,
        protocol=_PROTOCOLS[settings.protocol],
        keepalive=settings.keepalive_seconds,
        timeout=settings.timeout_seconds,
        tls_context=tls_context,
        socket_options=SEND_AT_ONCE,
        logger=logging.getLogger("bridge.sources.mqtt.client"),
        **session,
    )


async def connected(client: aiomqtt.Client, settings: MqttSettings) -> None:
    """Connect. Cancelled in the middle, aiomqtt would leave its socket open: then connect first, and leave.

    The deadline is one of its own, and short: aiomqtt does not notice when the other side hangs up before the CONNACK.
    """
    client.timeout = client._client.connect_timeout = settings.connect_timeout_seconds  # noqa: SLF001
    connecting = asyncio.ensure_future(client.__aenter__())
    try:
        await asyncio.shield(connecting)
    except asyncio.CancelledError:
        with suppress(aiomqtt.MqttError, OSError, ValueError):
            await connecting
            await client.__aexit__(None, None, None)
        raise
    client.timeout = settings.timeout_seconds


def stop_if_cancelled() -> None:
    """Python 3.11's `asyncio.wait_for`, which aiomqtt uses, forgets a cancellation that comes together with the answer; and its
    `TaskGroup` one that comes together with the error of a task.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


@asynccontextmanager
async def mqtt_sender(settings: MqttSettings, client_id: str | None = None) -> AsyncIterator[MqttSender]:
    """A connection to publish on, without a session; raises `BrokerUnavailable`."""
    client = made_client(settings, client_id, max_inflight_messages=SENDER_WINDOW)
    client.pending_calls_threshold = SENDER_WINDOW
    try:
        await connected(client, settings)
        try:
            yield MqttSender(client, settings.address)
        finally:
            await client.__aexit__(None, None, None)
    except (aiomqtt.MqttError, OSError) as error:
        raise BrokerUnavailable(f"{settings.address}: {error}") from error


class MqttSender:
    """Publishes, and hears what it asks for. Everything raises `BrokerUnavailable`."""

    def __init__(self, client: aiomqtt.Client, address: str) -> None:
        """`client` is connected; `address` is for people."""
        self._client = client
        self._address = address

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Return when the broker has it (QoS 1)."""
        with self._translated():
            await self._client.publish(topic, payload, qos, retain)

    async def subscribe(self, topic: str) -> None:
        """Return when the broker will deliver (QoS 1)."""
        with self._translated():
            await self._client.subscribe(topic, qos=1)

    async def arrived(self) -> AsyncIterator[bytes]:
        """The payloads that come, until the broker leaves."""
        with self._translated():
            async for message in self._client.messages:
                yield message.payload

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (aiomqtt.MqttError, OSError) as error:
            raise BrokerUnavailable(f"{self._address}: {error}") from error


async def first_message(settings: MqttSettings, topic: str, seconds: float) -> tuple[str, bytes] | None:
    """Topic and payload of the first message on a topic filter, without a session, or None; raises `BrokerUnavailable`."""
    client = made_client(settings, None)
    try:
        await connected(client, settings)
        try:
            await client.subscribe(topic)
            async with asyncio.timeout(seconds):
                arrived = await anext(aiter(client.messages))
            return arrived.topic.value, arrived.payload
        finally:
            await client.__aexit__(None, None, None)
    except TimeoutError:
        return None
    except (aiomqtt.MqttError, OSError) as error:
        raise BrokerUnavailable(f"{settings.address}: {error}") from error
