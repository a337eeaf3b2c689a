"""Scalar: one value per message; a level of the topic names the field."""

from collections.abc import Mapping
from typing import Any

import orjson

from bridge.core.formats.format import FormatSpec
from bridge.core.message import RejectionReason
from bridge.core.payload import JSON_TYPES, PayloadError, check_size


def scalar_format(payload: bytes, captures: Mapping[str, str]) -> Mapping[str, Any]:
    """Parse `21.5`, `ON`, `true` or a JSON scalar as the field named by the level {field}."""
    return {captures["field"]: parse_scalar(payload)}


def parse_scalar(payload: bytes) -> object:
    """Parse a JSON scalar, or any other text as itself; raises `PayloadError`."""
    check_size(payload)
    text = payload.decode("utf-8", "replace").strip()
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
