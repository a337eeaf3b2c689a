"""Format sparkplug: aliases belong to the last birth of their node or device."""

from __future__ import annotations

from typing import Any

from bridge.core.decode import Decoder
from bridge.core.formats.encodings.sparkplug_payload import SparkplugPayload
from bridge.core.formats.registry import FormatName
from bridge.core.message import Decoded, Rejection
from bridge.core.readings.reading import Reading
from tests.core.formats.decoding import route
from tests.core.test_decode import OWN_MS, message


def payload(*metrics: dict[str, Any]) -> bytes:
    body = SparkplugPayload(timestamp=OWN_MS)
    for metric in metrics:
        body.metrics.add(**metric)
    data: bytes = body.SerializeToString()
    return data


def send(decoder: Decoder, topic: str, *metrics: dict[str, Any]) -> Decoded:
    return decoder.decode(message(payload(*metrics), f"spBv1.0/group/{topic}"))


def test_aliases_of_two_devices_are_kept_apart_and_replaced_by_a_new_birth() -> None:
    decoder = Decoder([route(FormatName.SPARKPLUG)])
    send(decoder, "DBIRTH/node/a", {"name": "Temperature", "alias": 1, "float_value": 1})
    send(decoder, "DBIRTH/node/b", {"name": "Humidity", "alias": 1, "float_value": 1})
    one = send(decoder, "DDATA/node/a", {"alias": 1, "float_value": 22.9})
    other = send(decoder, "DDATA/node/b", {"alias": 1, "float_value": 40})
    assert isinstance(one, Reading)
    assert isinstance(other, Reading)
    assert (one.device_id, one.values) == ("node.a", {"temperature": 22.9})
    assert (other.device_id, other.values) == ("node.b", {"humidity": 40})
    send(decoder, "DBIRTH/node/a", {"name": "CO2", "alias": 2, "double_value": 600})
    assert isinstance(send(decoder, "DDATA/node/a", {"alias": 1, "float_value": 22.9}), Rejection)


def test_alias_without_its_birth_is_refused_with_the_remedy() -> None:
    decoded = send(Decoder([route(FormatName.SPARKPLUG)]), "NDATA/node", {"alias": 1, "double_value": 1})
    assert isinstance(decoded, Rejection)
    assert "send it the command Rebirth" in decoded.reason


def test_names_that_are_no_utf_8_are_read_with_replacements() -> None:
    data = payload({"name": "abcd", "double_value": 1}, {"name": "Temperature", "double_value": 21.5}).replace(
        b"abcd", b"a\xff\xfed"
    )
    decoded = Decoder([route(FormatName.SPARKPLUG)]).decode(message(data, "spBv1.0/group/NDATA/node"))
    assert isinstance(decoded, Reading)
    assert decoded.values == {"temperature": 21.5}
    assert list(decoded.ignored) == ["a\ufffd\ufffdd"]
