"""The check of the libraries' private names at start."""

from __future__ import annotations

import tomllib
from importlib.metadata import version
from typing import Any

import pytest

from bridge.core.errors import UnsupportedLibrary
from bridge.realtime.socketio.libraries import INSTALLED, SUPPORTED, check_libraries
from tests.servers import REPO

DRIVER = "engineio.async_drivers.aiohttp"


def changed(*_: object) -> None:
    """A method with another signature than expected."""


def with_changed(owner: str, attribute: str, replacement: object) -> dict[str, Any]:
    """Return the installed names, where one class has been replaced by a copy with a changed attribute."""
    copy = type(owner, (INSTALLED[owner],), {attribute: replacement})
    names = {**INSTALLED, owner: copy}
    return {**names, f"{DRIVER}._async": {"websocket": names[f"{DRIVER}.WebSocket"]}}


def test_installed_libraries_are_supported() -> None:
    check_libraries()


@pytest.mark.parametrize("replacement", [None, changed])
@pytest.mark.parametrize(
    ("library", "owner", "attribute"),
    [
        ("python-socketio", "socketio.AsyncServer", "_engineio_server_class"),
        ("python-socketio", "socketio.AsyncManager", "connect"),
        ("python-engineio", "engineio.AsyncServer", "create_queue"),
        ("python-engineio", "engineio.AsyncSocket", "__init__"),
        ("python-engineio", "engineio.AsyncSocket", "receive"),
        ("python-engineio", "engineio.AsyncSocket", "poll"),
        ("python-engineio", "engineio.AsyncSocket", "check_ping_timeout"),
        ("python-engineio", "engineio.AsyncSocket", "close"),
        ("python-engineio", "engineio.AsyncSocket", "_websocket_handler"),
        ("python-engineio", f"{DRIVER}.WebSocket", "__init__"),
        ("python-engineio", f"{DRIVER}.WebSocket", "__call__"),
        ("aiohttp", "aiohttp.WebSocketWriter", "__init__"),
    ],
)
def test_changed_private_name_is_reported_with_version_and_supported_range(
    library: str, owner: str, attribute: str, replacement: object
) -> None:
    with pytest.raises(UnsupportedLibrary) as error:
        check_libraries(with_changed(owner, attribute, replacement))
    assert str(error.value) == (
        f"{library} {version(library)} is not supported: {owner}.{attribute} changed; install {library}{SUPPORTED[library]}"
    )


@pytest.mark.parametrize(
    ("name", "replacement"),
    [
        (f"{DRIVER}._async", {}),
        (f"{DRIVER}._async", {"websocket": object}),
        ("aiohttp.WebSocketResponse", object),
        ("aiohttp.RequestHandler", object),
    ],
)
def test_replaced_driver_or_response_is_reported(name: str, replacement: object) -> None:
    with pytest.raises(UnsupportedLibrary, match=name):
        check_libraries({**INSTALLED, name: replacement})


def test_supported_ranges_are_those_of_the_package() -> None:
    requirements = tomllib.loads((REPO / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    assert {f"{library}{supported}" for library, supported in SUPPORTED.items()} <= set(requirements)
