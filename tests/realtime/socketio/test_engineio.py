"""Validation of Engine.IO requests and packets."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from bridge.realtime.socketio.engineio import (
    CLOSE,
    MESSAGE,
    PING,
    RequestError,
    parse_packet,
    request_error,
    request_parameters,
    wants_websocket,
)


@dataclass(frozen=True, slots=True)
class Client:
    """The state of a connection."""

    connected: bool = True
    upgraded: bool = False


POLLING, UPGRADED, OPENING = Client(), Client(upgraded=True), Client(connected=False)
OPEN = "EIO=4&transport=polling"
WITH_SID = f"{OPEN}&sid=a"


@pytest.mark.parametrize(
    ("query", "method", "client", "upgrade", "error"),
    [
        (OPEN, "GET", None, False, None),
        (f"{OPEN}&sid=", "GET", None, False, None),
        ("EIO=4&transport=websocket", "GET", None, True, None),
        (WITH_SID, "GET", POLLING, False, None),
        (WITH_SID, "POST", POLLING, False, None),
        ("EIO=4&transport=websocket&sid=a", "GET", POLLING, True, None),
        ("EIO=4&transport=websocket&sid=a", "GET", UPGRADED, True, None),
        ("EIO=4", "GET", None, False, RequestError.TRANSPORT),
        ("EIO=4&transport=pigeon&sid=a", "GET", None, False, RequestError.TRANSPORT),
        (WITH_SID, "GET", None, False, RequestError.SID),
        ("EIO=3&transport=websocket&sid=a", "GET", None, False, RequestError.SID),
        (OPEN, "POST", None, False, RequestError.METHOD),
        ("EIO=3&transport=websocket", "PUT", None, False, RequestError.METHOD),
        ("EIO=3&transport=websocket", "GET", None, False, RequestError.REQUEST),
        (OPEN, "GET", None, True, RequestError.REQUEST),
        ("EIO=3&transport=polling&sid=a", "GET", POLLING, False, RequestError.REQUEST),
        (WITH_SID, "GET", POLLING, True, RequestError.REQUEST),
        (WITH_SID, "GET", UPGRADED, False, RequestError.REQUEST),
        (WITH_SID, "POST", OPENING, False, RequestError.REQUEST),
        ("EIO=4&transport=websocket&sid=a", "GET", POLLING, False, RequestError.REQUEST),
        ("transport=polling", "GET", None, False, RequestError.VERSION),
        ("EIO=3&transport=websocket", "GET", None, True, RequestError.VERSION),
    ],
)
def test_invalid_request_is_refused_for_its_first_error(
    query: str, method: str, client: Client | None, *, upgrade: bool, error: RequestError | None
) -> None:
    assert request_error(request_parameters(query), method, client, upgrade=upgrade) is error


def test_only_an_upgrade_to_websocket_is_a_websocket_handshake() -> None:
    assert wants_websocket({"Connection": "keep-alive, Upgrade", "Upgrade": "WebSocket"})
    assert not wants_websocket({"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c"})
    assert not wants_websocket({"Upgrade": "websocket"})
    assert not wants_websocket({})


@pytest.mark.parametrize(
    ("text", "packet"),
    [
        ("1", (CLOSE, "")),
        ("2probe", (PING, "probe")),
        ('42["a",\n1]', (MESSAGE, '2["a",\n1]')),
        ("bAAEC", (MESSAGE, b"\0\1\2")),
    ],
)
def test_packet_is_parsed_into_type_and_content(text: str, packet: tuple[int, str | bytes]) -> None:
    assert parse_packet(text) == packet


@pytest.mark.parametrize("text", ["", "7", "a", " 4", "٤2"])
def test_text_that_is_not_a_packet_raises(text: str) -> None:
    with pytest.raises(ValueError, match="packet"):
        parse_packet(text)


@pytest.mark.parametrize("text", ["bA", "b=", "bAA A", "bй"])
def test_binary_packet_that_is_not_base64_raises(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the text is Python's
        parse_packet(text)
