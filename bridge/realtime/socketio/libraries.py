"""Start-up check of the private names of python-socketio, python-engineio and aiohttp that `direct.py` relies on, and
`bridge/api/middleware/malformed.py`.
"""

import inspect
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import engineio
import socketio
from aiohttp.http_websocket import WebSocketWriter
from aiohttp.web import RequestHandler, WebSocketResponse
from engineio.async_drivers import aiohttp as driver
from engineio.async_socket import AsyncSocket

from bridge.core.errors import UnsupportedLibrary

SUPPORTED = {
    "aiohttp": ">=3.14.5,<3.15",
    "python-engineio": ">=4.15.1,<4.16",
    "python-socketio": ">=5.18.1,<5.19",
}
"""The ranges in pyproject.toml: up to the next minor release, which may change a private name."""

INSTALLED: Mapping[str, Any] = {
    "socketio.AsyncServer": socketio.AsyncServer,
    "socketio.AsyncManager": socketio.AsyncManager,
    "engineio.AsyncServer": engineio.AsyncServer,
    "engineio.AsyncSocket": AsyncSocket,
    "engineio.async_drivers.aiohttp.WebSocket": driver.WebSocket,
    "engineio.async_drivers.aiohttp._async": driver._async,  # noqa: SLF001
    "aiohttp.WebSocketWriter": WebSocketWriter,
    "aiohttp.WebSocketResponse": WebSocketResponse,
    "aiohttp.RequestHandler": RequestHandler,
}
_SIGNATURES = {
    ("socketio.AsyncServer", "_engineio_server_class"): ["self"],
    ("socketio.AsyncManager", "connect"): ["self", "sid", "namespace"],
    ("engineio.AsyncServer", "create_queue"): ["self", "args", "kwargs"],
    ("engineio.AsyncSocket", "poll"): ["self"],
    ("engineio.AsyncSocket", "check_ping_timeout"): ["self"],
    ("engineio.AsyncSocket", "receive"): ["self", "pkt"],
    ("engineio.AsyncSocket", "close"): ["self", "wait", "abort", "reason"],
    ("engineio.AsyncSocket", "_websocket_handler"): ["self", "ws"],
    ("engineio.async_drivers.aiohttp.WebSocket", "__init__"): ["self", "handler", "server"],
    ("engineio.async_drivers.aiohttp.WebSocket", "__call__"): ["self", "environ"],
}
_SOCKET_ATTRIBUTES = {"queue", "connected", "upgrading", "upgraded", "closing", "closed", "last_ping"}


class _QueueFactory:
    """The part of a server that `AsyncSocket` needs when it is created."""

    def create_queue(self) -> None:
        return None


def check_libraries(names: Mapping[str, Any] = INSTALLED) -> None:
    """Raises `UnsupportedLibrary` for the first private name that is missing or has another signature."""
    for (owner, function), parameters in _SIGNATURES.items():
        _check(f"{owner}.{function}", lambda: _parameters(getattr(names[owner], function)) == parameters)  # noqa: B023 - called at once
    _check(
        "engineio.AsyncSocket.__init__",
        lambda: vars(names["engineio.AsyncSocket"](_QueueFactory(), "sid")).keys() >= _SOCKET_ATTRIBUTES,
    )
    _check(
        "engineio.async_drivers.aiohttp._async",
        lambda: (
            names["engineio.async_drivers.aiohttp._async"]["websocket"] is names["engineio.async_drivers.aiohttp.WebSocket"]
        ),
    )
    _check(
        "aiohttp.WebSocketWriter.__init__",
        lambda: {"transport", "compress", "notakeover"} <= set(_parameters(names["aiohttp.WebSocketWriter"].__init__)),
    )
    _check("aiohttp.WebSocketResponse", lambda: {"_writer", "_exception"} <= set(dir(names["aiohttp.WebSocketResponse"])))
    _check("aiohttp.RequestHandler", lambda: {"_messages", "handle_error"} <= set(dir(names["aiohttp.RequestHandler"])))


def _check(name: str, holds: Callable[[], bool]) -> None:
    try:
        changed = not holds()
    except (AttributeError, KeyError, TypeError, ValueError):
        changed = True
    if changed:
        package = name.partition(".")[0]
        library = package if package in SUPPORTED else f"python-{package}"
        raise UnsupportedLibrary(
            f"{library} {version(library)} is not supported: {name} changed; install {library}{SUPPORTED[library]}"
        )


def _parameters(function: Any) -> list[str]:  # noqa: ANN401
    return list(inspect.signature(function).parameters)
