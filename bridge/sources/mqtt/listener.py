"""Connections without a session that only listen: to look at topics, and to receive announcements."""

import asyncio
import time
from collections.abc import Callable, Iterable

import aiomqtt

from bridge.core.errors import BrokerUnavailable
from bridge.settings import MqttSettings
from bridge.sources.mqtt.client import connected_client, raise_if_cancelled, refusal_of

_WAITING_LIMIT = 10_000  # messages that may wait while others are looked at


async def listen(
    settings: MqttSettings, topic_filters: Iterable[str], seconds: float, on_message: Callable[[str, bytes, bool], None]
) -> None:
    """Receive everything that the filters match for some seconds, with QoS 0.

    `on_message` is given topic, payload and whether the message is retained. A connection that ends is made again; messages
    beyond `_WAITING_LIMIT` that wait are dropped. Raises `BrokerUnavailable` if the first connection fails or a subscription is
    refused.
    """
    deadline = time.monotonic() + seconds
    connected = False

    def deliver(message: aiomqtt.Message) -> None:
        nonlocal connected
        connected = True
        on_message(message.topic.value, bytes(message.payload), bool(message.retain))

    while (left := deadline - time.monotonic()) > 0:
        try:
            async with asyncio.timeout(left):
                await _receive(settings, topic_filters, 0, deliver)
        except TimeoutError:
            return
        except BrokerUnavailable:
            if not connected:
                raise
            await asyncio.sleep(min(settings.reconnect_cap_seconds, max(deadline - time.monotonic(), 0)))


async def follow(settings: MqttSettings, topic_filters: Iterable[str], on_message: Callable[[str, bytes], None]) -> None:
    """Receive everything that the filters match, with QoS 1, until the connection ends, which raises `BrokerUnavailable`."""
    await _receive(settings, topic_filters, 1, lambda message: on_message(message.topic.value, bytes(message.payload)))


async def _receive(
    settings: MqttSettings, topic_filters: Iterable[str], qos: int, deliver: Callable[[aiomqtt.Message], None]
) -> None:
    async with connected_client(settings, None, max_queued_incoming_messages=_WAITING_LIMIT) as client:
        for topic_filter in topic_filters:
            if refusal := refusal_of(await client.subscribe(topic_filter, qos=qos)):
                raise BrokerUnavailable(f"{settings.address}: the subscription to {topic_filter} is refused ({refusal})")
            raise_if_cancelled()
        async for message in client.messages:
            deliver(message)
