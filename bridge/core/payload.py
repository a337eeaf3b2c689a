"""JSON payloads within limits, and the error texts for invalid ones."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from bridge.core.binary import likely_encoding
from bridge.core.errors import BridgeError
from bridge.core.message import RejectionReason

PAYLOAD_LIMIT_BYTES = 64 * 1024
_LISTED_NAMES = 5  # names in a reason before it says "and n more"
_WHOLE_DIGITS = 20  # a number with this many digits does not fit into 64 bits

JSON_TYPES: Mapping[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


class PayloadError(BridgeError):
    """A message is rejected: `code` is the group, `field` the key at fault, if any.

    `quality` has the fault of each field, where the fields were judged one by one.
    """

    def __init__(
        self, code: RejectionReason, text: str, at: str | None = None, quality: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(text)
        self.code = code
        self.field = at
        self.quality = quality


def parse_object(payload: bytes) -> dict[str, Any]:
    """Parse a JSON object. `NaN` and `Infinity` are accepted and left to the checks of their fields."""
    return _as_object(parse_json(payload))


def check_object(payload: bytes, body: object) -> dict[str, Any]:
    """Return `body`, already parsed from `payload`. Raises `PayloadError` if it is too large or not a JSON object."""
    check_size(payload)
    return _as_object(body)


def _as_object(body: object) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise PayloadError(RejectionReason.NOT_OBJECT, f"not a JSON object but {JSON_TYPES[type(body)]}")
    return body


def check_size(payload: bytes) -> None:
    """Raises `PayloadError` if the payload exceeds `PAYLOAD_LIMIT_BYTES`."""
    if len(payload) > PAYLOAD_LIMIT_BYTES:
        raise PayloadError(RejectionReason.TOO_LARGE, f"{len(payload)} bytes, more than the {PAYLOAD_LIMIT_BYTES} allowed")


def parse_json(payload: bytes) -> object:
    """Parse any JSON of at most `PAYLOAD_LIMIT_BYTES`; raises `PayloadError`."""
    check_size(payload)
    return parse_any_json(payload)


def parse_any_json(payload: bytes) -> object:
    """Parse any JSON of any size; raises `PayloadError`."""
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError as strict:
        text = payload.rstrip(b"\0") if b"\0" not in payload[:4] else payload  # zeros at the start: UTF-16 or UTF-32
        if not text.strip():
            raise PayloadError(RejectionReason.NOT_JSON, "not JSON: the payload is empty") from None
        try:
            return json.loads(text, parse_int=_whole)
        except (ValueError, RecursionError):
            raise PayloadError(RejectionReason.NOT_JSON, f"not JSON: {_hint(payload) or strict}") from None


def _hint(payload: bytes) -> str | None:
    """Return what a payload that is no JSON looks like, with the format to use; None if it looks like nothing known."""
    encoding = likely_encoding(payload)
    return None if encoding is None else f"it looks like {encoding}: use format {FORMAT_OF_ENCODING[encoding]}"


FORMAT_OF_ENCODING: Mapping[str, str] = {"CBOR": "cbor", "MessagePack": "msgpack"}


def _whole(digits: str) -> int | float:
    """Like orjson: a whole number beyond 64 bits is a float, possibly infinite."""
    return int(digits) if len(digits) < _WHOLE_DIGITS else float(digits)


def join_names(items: Sequence[str]) -> str:
    """Return the first few names and the count of the others."""
    more = len(items) - _LISTED_NAMES
    return ", ".join(items[:_LISTED_NAMES]) + (f" and {more} more" if more > 0 else "")


def quote(value: object) -> str:
    """Return untrusted text safe for a log line or a reason: quoted, ASCII, at most 64 characters.

    Lists and objects are replaced by their type: deeply nested ones cannot be printed.
    """
    whole = JSON_TYPES[type(value)] if isinstance(value, list | dict) else ascii(value)
    return whole if len(whole) <= 64 else whole[:61] + "..."
