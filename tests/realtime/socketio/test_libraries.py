"""The check of the libraries' private names at start."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import engineio
import pytest
import socketio
from aiohttp.http_websocket import WebSocketWriter
from engineio.async_drivers import aiohttp as driver
from engineio.async_socket import AsyncSocket

from bridge.realtime.socketio.libraries import SUPPORTED, Libraries, UnsupportedLibrary, check_libraries
from tests.servers import REPO


async def changed(*_: object) -> None:
    """A method with another signature than expected."""


def with_changed(owner: type, name: str, replacement: object) -> type:
    """Return a copy of a class in which one name is replaced."""
    return type(owner.__name__, (owner,), {name: replacement})


def driver_with(**names: object) -> SimpleNamespace:
    """Return a copy of python-engineio's driver module with some names replaced."""
    return SimpleNamespace(**{"WebSocket": driver.WebSocket, "_async": driver._async} | names)


def test_installed_libraries_are_supported() -> None:
    check_libraries()


@pytest.mark.parametrize(
    ("part", "replacement", "library", "name"),
    [
        *(
            (part, with_changed(owner, attribute, replacement), library, name)
            for part, owner, attribute, library, name in (
                (
                    "socketio_server",
                    socketio.AsyncServer,
                    "_engineio_server_class",
                    "python-socketio",
                    "AsyncServer._engineio_server_class",
                ),
                ("socketio_manager", socketio.AsyncManager, "connect", "python-socketio", "AsyncManager.connect"),
                ("engineio_server", engineio.AsyncServer, "create_queue", "python-engineio", "AsyncServer.create_queue"),
                ("engineio_socket", AsyncSocket, "receive", "python-engineio", "AsyncSocket"),
                ("engineio_socket", AsyncSocket, "poll", "python-engineio", "AsyncSocket"),
                ("engineio_socket", AsyncSocket, "check_ping_timeout", "python-engineio", "AsyncSocket"),
                ("engineio_socket", AsyncSocket, "close", "python-engineio", "AsyncSocket"),
                ("websocket_writer", WebSocketWriter, "__init__", "aiohttp", "WebSocketWriter"),
            )
            for replacement in ((None,) if attribute == "create_queue" else (None, changed))
        ),
        ("engineio_socket", with_changed(AsyncSocket, "__init__", lambda *_: None), "python-engineio", "AsyncSocket"),
        ("engineio_socket", with_changed(AsyncSocket, "_websocket_handler", None), "python-engineio", "AsyncSocket"),
        ("engineio_driver", driver_with(_async={}), "python-engineio", "AsyncServer._async"),
        ("engineio_driver", driver_with(_async={"websocket": object}), "python-engineio", "AsyncServer._async"),
        *(
            ("engineio_driver", driver_with(WebSocket=websocket, _async={"websocket": websocket}), "python-engineio", name)
            for name in ("async_drivers.aiohttp.WebSocket",)
            for websocket in (
                with_changed(driver.WebSocket, "__init__", changed),
                with_changed(driver.WebSocket, "__call__", None),
            )
        ),
        ("websocket_response", object, "aiohttp", "WebSocketResponse"),
    ],
)
def test_changed_private_name_is_reported_with_version_and_supported_range(
    part: str, replacement: Any, library: str, name: str
) -> None:
    with pytest.raises(UnsupportedLibrary) as error:
        check_libraries(replace(Libraries(), **{part: replacement}))
    assert str(error.value) == (
        f"{library} {version(library)} is not supported: {name} changed; install {library}{SUPPORTED[library]}"
    )


def test_supported_ranges_are_those_of_the_package() -> None:
    requirements = tomllib.loads((REPO / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    assert {f"{library}{supported}" for library, supported in SUPPORTED.items()} <= set(requirements)
