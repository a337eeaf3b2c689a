"""Engine.IO by the letter: what a request may ask, and what a packet is."""

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
    """A connection, as far as it decides on requests."""

    connected: bool = True
    upgraded: bool = False


POLLS, MOVED, OPENING = Client(), Client(upgraded=True), Client(connected=False)
OPEN = "EIO=4&transport=polling"
AGAIN = f"{OPEN}&sid=a"


@pytest.mark.parametrize(
    ("query", "method", "client", "upgrade", "wrong"),
    [
        (OPEN, "GET", None, False, None),
        (f"{OPEN}&sid=", "GET", None, False, None),
        ("EIO=4&transport=websocket", "GET", None, True, None),
        (AGAIN, "GET", POLLS, False, None),
        (AGAIN, "POST", POLLS, False, None),
        ("EIO=4&transport=websocket&sid=a", "GET", POLLS, True, None),
        ("EIO=4", "GET", None, False, RequestError.TRANSPORT),
        ("EIO=4&transport=pigeon&sid=a", "GET", None, False, RequestError.TRANSPORT),
        (AGAIN, "GET", None, False, RequestError.SID),
        ("EIO=3&transport=websocket&sid=a", "GET", None, False, RequestError.SID),
        (OPEN, "POST", None, False, RequestError.METHOD),
        ("EIO=3&transport=websocket", "PUT", None, False, RequestError.METHOD),
        ("EIO=3&transport=websocket", "GET", None, False, RequestError.REQUEST),
        (OPEN, "GET", None, True, RequestError.REQUEST),
        ("EIO=3&transport=polling&sid=a", "GET", POLLS, False, RequestError.REQUEST),
        (AGAIN, "GET", POLLS, True, RequestError.REQUEST),
        (AGAIN, "GET", MOVED, False, RequestError.REQUEST),
        (AGAIN, "POST", OPENING, False, RequestError.REQUEST),
        ("EIO=4&transport=websocket&sid=a", "GET", POLLS, False, RequestError.REQUEST),
        ("EIO=4&transport=websocket&sid=a", "GET", MOVED, True, RequestError.REQUEST),
        ("transport=polling", "GET", None, False, RequestError.VERSION),
        ("EIO=3&transport=websocket", "GET", None, True, RequestError.VERSION),
    ],
)
def test_a_request_is_refused_for_the_first_thing_that_is_wrong_with_it(
    query: str, method: str, client: Client | None, *, upgrade: bool, wrong: RequestError | None
) -> None:
    assert request_error(request_parameters(query), method, client, upgrade=upgrade) is wrong


def test_only_the_upgrade_to_a_websocket_is_one() -> None:
    assert wants_websocket({"Connection": "keep-alive, Upgrade", "Upgrade": "WebSocket"})
    assert not wants_websocket({"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c"})
    assert not wants_websocket({"Upgrade": "websocket"})
    assert not wants_websocket({})


@pytest.mark.parametrize(
    ("text", "packet"),
    [("1", (CLOSE, "")), ("2probe", (PING, "probe")), ('42["a",\n1]', (MESSAGE, '2["a",\n1]')), ("bAAAA", (MESSAGE, b"bAAAA"))],
)
def test_a_packet_is_its_type_and_the_rest(text: str, packet: tuple[int, str | bytes]) -> None:
    assert parse_packet(text) == packet


@pytest.mark.parametrize("text", ["", "7", "a", " 4", "٤2"])
def test_what_is_no_packet_is_not_read(text: str) -> None:
    with pytest.raises(ValueError, match="packet"):
        parse_packet(text)
