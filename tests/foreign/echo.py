"""A server that sends back what it is sent, on the bridge's Engine.IO and Socket.IO without the bridge's own rules.

It takes binary messages, attachments and a second namespace, which the bridge refuses.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from engineio.async_socket import AsyncSocket

from bridge.realtime.socketio import monitor, packets
from bridge.realtime.socketio.codec import Json
from bridge.realtime.socketio.direct import ClientManager, EngineServer, SocketServer
from bridge.realtime.socketio.monitor import ConnectionMonitor
from bridge.realtime.socketio.transport import DirectTransport

NAMESPACES = ("/", "/custom")
_WITH_ATTACHMENTS = ("5", "6")
_MALFORMED = (ValueError, TypeError, LookupError, AttributeError)
_CHECK_SECONDS = 0.02


class EchoServer:
    """Engine.IO at /engine.io/ and Socket.IO at /socket.io/."""

    def __init__(self, *, ping_interval: float, ping_timeout: float, join_seconds: float, limit_bytes: int) -> None:
        settings: dict[str, Any] = {
            "async_mode": "aiohttp",
            "cors_allowed_origins": [],
            "max_http_buffer_size": limit_bytes,
            "monitor_clients": False,
            "ping_interval": ping_interval,
            "ping_timeout": ping_timeout,
        }
        self._join_seconds = join_seconds
        self._joining: dict[str, tuple[str, Any]] = {}  # namespace and what the client has shown, by its id there
        self._joined: set[str] = set()  # connections
        self._to_end: list[AsyncSocket] = []
        self._engine = EngineServer(**settings, async_handlers=False)
        self._engine.on("message", self._engine.send)
        self._engine.on("disconnect", partial(self._on_end, self._engine))
        self._server = SocketServer(**settings, json=Json, client_manager=ClientManager(self._on_join))
        for namespace in NAMESPACES:
            self._server.on("connect", partial(self._on_connect, namespace), namespace=namespace)
            self._server.on("message", partial(self._on_message, namespace), namespace=namespace)
            self._server.on("message-with-ack", self._on_message_with_ack, namespace=namespace)
        eio: EngineServer = self._server.eio
        self._handlers = {name: eio.handlers[name] for name in ("connect", "message", "disconnect")}
        eio.on("connect", self._on_engine_connect)
        eio.on("message", self._on_engine_message)
        eio.on("disconnect", self._on_engine_disconnect)
        self._engines = (self._engine, eio)
        self.app = web.Application()
        self.app.router.add_route("*", "/engine.io/", partial(self._handle, self._engine))
        self.app.router.add_route("*", "/socket.io/", partial(self._handle, eio))

    @staticmethod
    async def _handle(engine: EngineServer, request: web.Request) -> web.StreamResponse:
        return await engine.refusal(request) or await engine.handle_request(request)

    @staticmethod
    async def _on_end(engine: EngineServer, sid: str, reason: str) -> None:
        monitor.close_connection(engine.sockets.get(sid), reason)

    # --- Socket.IO ---------------------------------------------------------------------------------------------------------

    async def _on_engine_connect(self, sid: str, environ: dict[str, Any]) -> Any:
        asyncio.get_running_loop().call_later(self._join_seconds, self._end_unless_joined, sid)
        return await self._handlers["connect"](sid, environ)

    async def _on_engine_message(self, sid: str, message: str | bytes) -> None:
        try:
            if isinstance(message, str) and not message.startswith(_WITH_ATTACHMENTS):
                packet = packets.parse(message)
                if packet.namespace not in NAMESPACES:
                    await self._server.eio.send(sid, packets.invalid_namespace(packet.namespace))
                    return
            await self._handlers["message"](sid, message)
        except _MALFORMED:
            self._end(sid)

    async def _on_engine_disconnect(self, sid: str, reason: str) -> None:
        self._joined.discard(sid)
        await self._handlers["disconnect"](sid, reason)
        await self._on_end(self._server.eio, sid, reason)

    def _end_unless_joined(self, sid: str) -> None:
        if sid not in self._joined:
            self._end(sid)

    def _end(self, sid: str) -> None:
        socket = self._server.eio.sockets.get(sid)
        if socket is not None:
            DirectTransport(socket, self._to_end.append).disconnect("ended")

    async def _on_connect(self, namespace: str, sid: str, _: object, auth: object = None) -> None:
        self._joining[sid] = namespace, auth or {}

    async def _on_join(self, sid: str) -> None:
        namespace, auth = self._joining.pop(sid)
        self._joined.add(self._server.manager.eio_sid_from_sid(sid, namespace))
        await self._server.emit("auth", auth, to=sid, namespace=namespace)

    async def _on_message(self, namespace: str, sid: str, *content: Any) -> None:
        await self._server.emit("message-back", content, to=sid, namespace=namespace)

    @staticmethod
    async def _on_message_with_ack(_: str, *content: Any) -> tuple[Any, ...]:
        return content

    # --- time --------------------------------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        monitors = [ConnectionMonitor(engine) for engine in self._engines]
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            for one in monitors:
                await one.check(asyncio.get_running_loop().time())
            while self._to_end:
                await monitor.end(self._to_end.pop())

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """The URL."""
        async with TestServer(self.app, host="127.0.0.1") as server, asyncio.TaskGroup() as tasks:
            ticking = tasks.create_task(self._tick())
            try:
                yield f"http://127.0.0.1:{server.port}"
            finally:
                ticking.cancel()
