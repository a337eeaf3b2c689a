"""A payload as JSON, within limits, and the words for what is wrong with one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from bridge.core.errors import BridgeError
from bridge.core.message import RejectionReason

PAYLOAD_LIMIT_BYTES = 64 * 1024


_NAMED_FIELDS = 5  # how many field names a reason lists before it says "and n more"


_WHOLE_DIGITS = 20  # from here on a number does not fit into 64 bits


class PayloadError(BridgeError):
    """A message that cannot become a reading. `code` groups it, `field` is the key at fault where there is one.

    `quality` has every field at fault, where they were looked at one by one.
    """

    def __init__(
        self, code: RejectionReason, text: str, at: str | None = None, quality: Mapping[str, str] | None = None
    ) -> None:
        """`text` is for a person."""
        super().__init__(text)
        self.code = code
        self.field = at
        self.quality = quality


def parse_object(payload: bytes) -> dict[str, Any]:
    """The JSON object in a payload; `NaN` and `Infinity` are let through, as bad values of their fields."""
    body = parse_json(payload)
    if not isinstance(body, dict):
        raise PayloadError(RejectionReason.NOT_OBJECT, f"not a JSON object but {JSON_TYPES[type(body)]}")
    return body


JSON_TYPES: Mapping[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


def check_size(payload: bytes) -> None:
    """Raises `PayloadError` for more than `PAYLOAD_LIMIT_BYTES`."""
    if len(payload) > PAYLOAD_LIMIT_BYTES:
        raise PayloadError(RejectionReason.TOO_LARGE, f"{len(payload)} bytes, more than the {PAYLOAD_LIMIT_BYTES} allowed")


def parse_json(payload: bytes) -> object:
    """Any JSON of a payload that is not too large; raises `PayloadError`."""
    check_size(payload)
    return parse_any_json(payload)


def parse_any_json(payload: bytes) -> object:
    """Any JSON, of any size; raises `PayloadError`."""
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError as strict:
        if not payload.strip():
            raise PayloadError(RejectionReason.NOT_JSON, "not JSON: the payload is empty") from None
        try:
            return json.loads(payload, parse_int=_whole)
        except (ValueError, RecursionError):
            raise PayloadError(RejectionReason.NOT_JSON, f"not JSON: {strict}") from None


def _whole(digits: str) -> int | float:
    """As orjson reads them: what no 64 bits hold is a float, and infinite if it must be."""
    return int(digits) if len(digits) < _WHOLE_DIGITS else float(digits)


def join_names(items: Sequence[str]) -> str:
    """The first few, and how many more."""
    more = len(items) - _NAMED_FIELDS
    return ", ".join(items[:_NAMED_FIELDS]) + (f" and {more} more" if more > 0 else "")


def quote(value: object) -> str:
    """Somebody's text made harmless for a log line or a reason: quoted, ASCII, at most 64 characters.

    Lists and objects are only named: nested deep enough, they cannot even be printed.
    """
    whole = JSON_TYPES[type(value)] if isinstance(value, list | dict) else ascii(value)
    return whole if len(whole) <= 64 else whole[:61] + "..."
