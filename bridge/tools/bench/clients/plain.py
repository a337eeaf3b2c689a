"""Clients of the plain WebSockets, by topic and by channel; they cost as little as those of Socket.IO."""

import re

from bridge.tools.bench.clients.subscriber import Subscriber

_CONNECTED = re.compile(rb'(\{"type":"connection".*?\})')


class TopicSubscriber(Subscriber):
    """Receives every measurement of `/ws`."""

    PATH = "/ws"
    MARK = b'{"type":"measurement"'
    PING, PONG = b"\x89\x00", b"\x8a\x80\0\0\0\0"  # RFC 6455, the pong masked with zeros
    SELECTS_DEVICES = False

    async def _join(self) -> None:
        await self._upgrade()
        self._responses = None


class ChannelSubscriber(TopicSubscriber):
    PATH = "/api/v1/ws?channel=readings"
    MARK = b'"entity_type":"reading"'

    async def _join(self) -> None:
        await self._upgrade()
        await self._wait_for(_CONNECTED)
        self._responses = None
