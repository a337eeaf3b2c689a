"""A templated message equals the message that its body encodes to."""

from __future__ import annotations

from collections.abc import Callable

import orjson
import pytest
from bson.objectid import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from bridge.air.score import global_score
from bridge.core import events
from bridge.core.devices.location import Location
from bridge.core.events import EntityEvent
from bridge.core.readings.identity import number_or_text
from bridge.core.readings.measurements import Value
from bridge.core.readings.reading import Reading
from bridge.core.timestamp import iso
from bridge.realtime.channel_protocol import ChannelCodec
from bridge.realtime.hub.encoding import SENT_AT_PLACEHOLDER, Encoder
from bridge.realtime.hub.templates import MessageTemplates
from bridge.realtime.socketio.codec import SocketIoCodec
from bridge.realtime.topic_protocol import NAMES, TopicCodec

PLACE = Location('a "site", with 100 %', "salle 1")


def socketio(reading: Reading) -> bytes:
    return b"42" + orjson.dumps(["sensorData", events.sensor_data(reading, SENT_AT_PLACEHOLDER)])


def channels(reading: Reading) -> bytes:
    names = {"temperature": "temperatura", "humidity": "humedad"}
    data = reading.public() | {"id": str(reading.id), "sensor_id": number_or_text(reading.device_id)}
    data |= {spanish: reading.values[name] for name, spanish in names.items() if name in reading.values}
    created = EntityEvent("reading", "created", str(reading.id), data, {"action": "create_reading"})
    return orjson.dumps(events.entity_event(created, SENT_AT_PLACEHOLDER))


def topics(reading: Reading) -> bytes:
    named = [(capitalized, reading.values[name]) for name, capitalized in NAMES.items() if name in reading.values]
    score = global_score(reading.values)
    return orjson.dumps(
        {
            "type": "measurement",
            "timestamp": iso(reading.timestamp_ms),
            "sensor_id": reading.device_id,
            "enseigne": PLACE.site,
            "salle": PLACE.room,
            "values": dict(named),
            **{capitalized.lower(): value for capitalized, value in named},
            **({} if score is None else {"global_score": score}),
            **({"extra": reading.extra} if reading.extra else {}),
            "cursor": reading.seq,
        }
    )


PROTOCOLS: dict[str, tuple[Encoder, Callable[[Reading], bytes]]] = {
    "Socket.IO": (SocketIoCodec(), socketio),
    "by channel": (ChannelCodec(), channels),
    "by topic": (TopicCodec(lambda _: PLACE), topics),
}
texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40) | st.sampled_from(
    ["specimen 0", "a,b", '"', "%b", "\x7f", "2001-09-09T01:46:40.123Z", "0", "17", "017"]
)
numbers: st.SearchStrategy[Value] = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
milliseconds = st.integers(0, 4_000_000_000_000)
readings = st.builds(
    Reading,
    id=st.binary(min_size=12, max_size=12).map(ObjectId),
    device_id=texts,
    values=st.dictionaries(
        st.sampled_from(("temperature", "humidity", "aqi", "co2", "pm25", "battery", "flameIntensity")), numbers, min_size=1
    ).flatmap(
        lambda values: st.fixed_dictionaries(
            {name: st.just(value) for name, value in values.items()},
            optional={"flameDetected": st.booleans(), "aqiScale": st.sampled_from(("uba", "epa"))},
        )
    ),
    timestamp_ms=milliseconds,
    received_ms=milliseconds,
    quality=st.just({}) | st.dictionaries(texts, texts, max_size=2),
    device_timestamp=st.none() | texts | st.integers(0, 2**40),
    retained=st.booleans(),
    seq=st.integers(1, 2**53),
    extra=st.just({}) | st.dictionaries(texts, texts | st.integers(0, 9) | st.booleans(), max_size=2),
)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@given(reading=readings)
def test_templated_message_equals_the_message_encoded_in_full(protocol: str, reading: Reading) -> None:
    codec, in_full = PROTOCOLS[protocol]
    assert codec.encode(reading) == in_full(reading)
    assert codec.encode(reading) == in_full(reading), "with a template created before"


def test_readings_beyond_the_template_limit_are_encoded_in_full() -> None:
    templates = MessageTemplates(lambda reading: reading.public())
    for number in range(1100):
        reading = Reading(ObjectId(), "kitchen", {f"field{number}": number}, 0, 0)
        assert templates.encode(reading) == orjson.dumps(reading.public())
    assert templates.count == 1000
