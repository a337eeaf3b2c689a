"""Start-up check of the private names of python-socketio, python-engineio and aiohttp that `direct.py` relies on."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import engineio
import socketio
from aiohttp.http_websocket import WebSocketWriter
from aiohttp.web import WebSocketResponse
from engineio.async_drivers import aiohttp as driver
from engineio.async_socket import AsyncSocket

from bridge.core.errors import BridgeError

SUPPORTED = {
    "aiohttp": ">=3.14.4,<3.15",
    "python-engineio": ">=4.13.2,<4.16",
    "python-socketio": ">=5.16.4,<5.19",
}
"""The ranges in pyproject.toml: up to the next minor release, which may change a private name."""


class UnsupportedLibrary(BridgeError):
    """An installed library has changed a private name that the bridge relies on."""


@dataclass(frozen=True, slots=True)
class Libraries:
    """The classes and modules to check: those installed, unless a test passes others."""

    socketio_server: Any = socketio.AsyncServer
    socketio_manager: Any = socketio.AsyncManager
    engineio_server: Any = engineio.AsyncServer
    engineio_socket: Any = AsyncSocket
    engineio_driver: Any = driver
    websocket_writer: Any = WebSocketWriter
    websocket_response: Any = WebSocketResponse


def check_libraries(libraries: Libraries = Libraries()) -> None:
    """Raises `UnsupportedLibrary` for the first private name that is missing or has another signature."""
    for library, name, holds in _expectations(libraries):
        try:
            changed = not holds()
        except (AttributeError, KeyError, TypeError, ValueError):
            changed = True
        if changed:
            raise UnsupportedLibrary(
                f"{library} {version(library)} is not supported: {name} changed; install {library}{SUPPORTED[library]}"
            )


def _expectations(libraries: Libraries) -> list[tuple[str, str, Callable[[], bool]]]:
    """Return library, name, and whether the name is as expected."""
    server, engine, socket, driver = (
        libraries.socketio_server, libraries.engineio_server, libraries.engineio_socket, libraries.engineio_driver,
    )  # fmt: skip
    return [
        (
            "python-socketio",
            "AsyncServer._engineio_server_class",
            lambda: _parameters(server._engineio_server_class) == ["self"],  # noqa: SLF001
        ),
        (
            "python-socketio",
            "AsyncManager.connect",
            lambda: _parameters(libraries.socketio_manager.connect) == ["self", "sid", "namespace"],
        ),
        ("python-engineio", "AsyncServer.create_queue", lambda: inspect.isfunction(engine.create_queue)),
        ("python-engineio", "AsyncServer._async", lambda: driver._async["websocket"] is driver.WebSocket),  # noqa: SLF001
        (
            "python-engineio",
            "async_drivers.aiohttp.WebSocket",
            lambda: (
                _parameters(driver.WebSocket.__init__) == ["self", "handler", "server"]
                and inspect.iscoroutinefunction(driver.WebSocket.__call__)
            ),
        ),
        (
            "python-engineio",
            "AsyncSocket",
            lambda: (
                {"queue", "connected", "upgrading", "upgraded", "closing", "closed", "last_ping"}
                <= vars(socket(_QueueFactory(), "sid")).keys()
                and _parameters(socket.poll) == _parameters(socket.check_ping_timeout) == ["self"]
                and _parameters(socket.receive) == ["self", "pkt"]
                and _parameters(socket.close) == ["self", "wait", "abort", "reason"]
                and inspect.iscoroutinefunction(socket._websocket_handler)  # noqa: SLF001
            ),
        ),
        (
            "aiohttp",
            "WebSocketWriter",
            lambda: {"transport", "compress", "notakeover"} <= set(_parameters(libraries.websocket_writer.__init__)),
        ),
        (
            "aiohttp",
            "WebSocketResponse",
            lambda: {"_writer", "_exception"} <= set(dir(libraries.websocket_response)),
        ),
    ]


def _parameters(function: Any) -> list[str]:  # noqa: ANN401
    return list(inspect.signature(function).parameters)


class _QueueFactory:
    """What `AsyncSocket` needs of a server when it is created."""

    def create_queue(self) -> None:
        return None
