"""Clients on the plain WebSockets, by topic and by channel, as cheap as those of Socket.IO."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bridge.tools.bench.clients.subscriber import Subscriber

_CONNECTED = re.compile(rb'(\{"type":"connection".*?\})')


class TopicSubscriber(Subscriber):
    """Hears all of `/ws`."""

    PATH = "/ws"
    MARK = b'{"type":"measurement"'
    PING, PONG = b"\x89\x00", b"\x8a\x80\0\0\0\0"  # of RFC 6455, the pong masked with zeros
    CHOOSES = False

    async def _join(self) -> None:
        await self._upgrade()
        self._talk = None


class ChannelSubscriber(TopicSubscriber):
    """Hears the channel `readings`."""

    PATH = "/api/v1/ws?channel=readings"
    MARK = b'"entity_type":"reading"'

    async def _join(self) -> None:
        await self._upgrade()
        await self._heard(_CONNECTED)
        self._talk = None


WAYS: Mapping[str, type[Subscriber]] = {
    "socketio": Subscriber,
    "topics": TopicSubscriber,
    "channels": ChannelSubscriber,
}
"""How clients hear, by the names that `Load.way` may have."""
