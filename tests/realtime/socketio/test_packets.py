"""Validation of Socket.IO packets."""

from __future__ import annotations

import pytest

from bridge.realtime.socketio.packets import InvalidPacket, ParsedPacket, invalid_namespace, parse


@pytest.mark.parametrize(
    ("text", "packet"),
    [
        ("0", ParsedPacket("0", "/")),
        ('0{"token":"a"}', ParsedPacket("0", "/")),
        ("0/", ParsedPacket("0", "/")),
        ('0/,{"token":"a"}', ParsedPacket("0", "/")),
        ("0/nope", ParsedPacket("0", "/nope")),
        ("0/nope?a=1,{}", ParsedPacket("0", "/nope?a=1")),
        ("1", ParsedPacket("1", "/")),
        ('2["subscribe",{"devices":["a"]}]', ParsedPacket("2", "/")),
        ('2/,0 ["subscribe"]', ParsedPacket("2", "/")),
        ('29007199254740991["subscribe"]', ParsedPacket("2", "/")),
        ("3", ParsedPacket("3", "/")),
        ("37[1]", ParsedPacket("3", "/")),
    ],
)
def test_valid_packet_is_parsed_into_type_and_namespace(text: str, packet: ParsedPacket) -> None:
    assert parse(text) == packet


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "7",
            "a",
            "0[]",
            '0"a"',
            "0null",
            "0{",
            "1{}",
            "1/,null",
            "2",
            "2{}",
            "2[]",
            "2[1]",
            "2[[]]",
            "2[",
            "2null",
            "2[NaN]",
        ),
        *('2["disconnect"]', '2["\\u0063onnect"]', '2["newListener",1]', "3{}", "4", '4{"message":"no"}', '2/a["subscribe"]'),
    ],
)
def test_invalid_packet_is_refused_as_malformed(text: str) -> None:
    with pytest.raises(InvalidPacket) as refused:
        parse(text)
    assert refused.value.reason == "malformed"


@pytest.mark.parametrize("message", [b"", b"2[]", '51-["a",{"_placeholder":true,"num":0}]', "6"])
def test_binary_packet_is_refused(message: object) -> None:
    with pytest.raises(InvalidPacket) as refused:
        parse(message)
    assert refused.value.reason == "binary"


@pytest.mark.parametrize("message", [None, 1, {}, []])
def test_message_that_is_not_text_is_refused(message: object) -> None:
    with pytest.raises(InvalidPacket):
        parse(message)


def test_unknown_namespace_is_refused_by_name() -> None:
    assert invalid_namespace("/nope") == '4/nope,{"message":"Invalid namespace"}'
