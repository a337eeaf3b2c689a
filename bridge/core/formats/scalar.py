"""Scalar: one value per message; a level of the topic names the field."""

import orjson

from bridge.core.formats.field_names import sense
from bridge.core.formats.format import FormatSpec, Parsed, Sample
from bridge.core.formats.payload import Payload
from bridge.core.message import RejectionReason
from bridge.core.payload import JSON_TYPES, PayloadError
from bridge.core.readings.leaf import Leaf


def scalar_format(payload: Payload) -> Parsed:
    """Parse `21.5`, `21.5 °C`, `ON`, `true` or a JSON scalar as the field named by the level {field}."""
    name = payload.captures["field"]
    value = parse_scalar(payload)
    found = sense(name)
    if found is None:
        return Parsed([Sample([Leaf(name, value)])])
    return Parsed([Sample([Leaf(name, value, found.field, found.unit)], part=found.prefix, shares=found.is_of_chip)])


def parse_scalar(payload: Payload) -> object:
    """Parse a JSON scalar, or any other text as itself; raises `PayloadError`."""
    text = payload.text()
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = text or None
    if value is None:
        raise PayloadError(RejectionReason.NO_MEASUREMENT, f"no measurement: the payload is {'null' if text else 'empty'}")
    if isinstance(value, dict | list):
        raise PayloadError(RejectionReason.NOT_SCALAR, f"not one value but {JSON_TYPES[type(value)]}")
    return value


SPEC = FormatSpec("scalar", "sensors/{deviceId}/{field}", ("deviceId", "field"), scalar_format)
