"""The subclasses of python-socketio's and python-engineio's servers."""

from __future__ import annotations

from engineio.async_drivers import aiohttp as driver

from bridge.realtime.socketio.direct import EngineServer, SocketServer, WebSocket
from bridge.realtime.socketio.poll_queue import PollQueue


def test_server_uses_our_engine_queue_and_websocket_and_leaves_the_driver_unchanged() -> None:
    server = SocketServer(async_mode="aiohttp")
    assert type(server.eio) is EngineServer
    assert type(server.eio.create_queue()) is PollQueue
    assert server.eio._async["websocket"] is WebSocket
    assert driver._async["websocket"] is driver.WebSocket
