"""What a Socket.IO client may say."""

from __future__ import annotations

import pytest

from bridge.realtime.socketio.packets import InvalidPacket, ParsedPacket, invalid_namespace, parse


@pytest.mark.parametrize(
    ("text", "said"),
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
def test_what_can_be_read_has_a_type_and_a_namespace(text: str, said: ParsedPacket) -> None:
    assert parse(text) == said


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
def test_what_cannot_be_read_is_malformed(text: str) -> None:
    with pytest.raises(InvalidPacket) as refused:
        parse(text)
    assert refused.value.reason == "malformed"


@pytest.mark.parametrize("message", [b"", b"2[]", '51-["a",{"_placeholder":true,"num":0}]', "6"])
def test_bytes_are_refused_whatever_they_are(message: object) -> None:
    with pytest.raises(InvalidPacket) as refused:
        parse(message)
    assert refused.value.reason == "binary"


@pytest.mark.parametrize("message", [None, 1, {}, []])
def test_what_is_no_text_is_malformed(message: object) -> None:
    with pytest.raises(InvalidPacket):
        parse(message)


def test_a_namespace_there_is_not_is_refused_by_its_name() -> None:
    assert invalid_namespace("/nope") == '4/nope,{"message":"Invalid namespace"}'
