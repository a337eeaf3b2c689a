"""A payload with its topic, parsed at most once however many formats look at it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bridge.core.binary import GZIP_MAGIC, EncodingFault, gunzip
from bridge.core.formats.memory import Memory
from bridge.core.message import RejectionReason
from bridge.core.payload import JSON_TYPES, PAYLOAD_LIMIT_BYTES, PayloadError, check_size, parse_json

OBJECTS_LIMIT = 1000
_UNPARSED: Final = object()


@dataclass(slots=True)
class Payload:
    """The bytes of a message, its topic, the levels that its pattern captured, and what earlier messages said."""

    data: bytes
    topic: str = ""
    captures: Mapping[str, str] = field(default_factory=dict)
    memory: Memory | None = None
    parsed: object = _UNPARSED
    """The JSON value in `data`, where the source has parsed it."""
    fault: tuple[RejectionReason, str] | None = None
    """Why `data` is no JSON. Not the error itself: its traceback refers to this payload."""

    def json(self) -> Any:  # noqa: ANN401 - JSON
        """Return the JSON value. Raises `PayloadError` if the payload is too large or no JSON."""
        if self.parsed is not _UNPARSED:
            check_size(self.data)
            return self.parsed
        if self.fault is not None:
            raise PayloadError(*self.fault)
        try:
            self.parsed = _parse(self.data)
        except PayloadError as error:
            self.fault = error.code, str(error)
            raise
        return self.parsed

    def json_or_none(self) -> Any:  # noqa: ANN401 - JSON
        """Return the JSON value, or None if there is none."""
        if self.parsed is _UNPARSED and self.fault is not None:
            return None
        try:
            return self.json()
        except PayloadError:
            return None

    def object(self) -> dict[str, Any]:
        """Return the JSON object; it may be shared and must not be changed. Raises `PayloadError` for any other payload."""
        body = self.json()
        if not isinstance(body, dict):
            raise PayloadError(RejectionReason.NOT_OBJECT, f"not a JSON object but {JSON_TYPES[type(body)]}")
        return body

    def objects(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the JSON object, or those of a list, each with its path: "" for a single one. Raises `PayloadError` for any
        other payload and for a list of more than `OBJECTS_LIMIT`.
        """
        body = self.json()
        if not isinstance(body, list):
            return [("", self.object())]
        if not body or not all(isinstance(item, dict) for item in body):
            what = "an empty list" if not body else "a list of other values than objects"
            raise PayloadError(RejectionReason.NOT_OBJECT, f"not a JSON object but {what}")
        if len(body) > OBJECTS_LIMIT:
            text = f"{len(body)} objects in one message, more than the {OBJECTS_LIMIT} allowed"
            raise PayloadError(RejectionReason.TOO_LARGE, text)
        return [(str(index), item) for index, item in enumerate(body)]

    def text(self) -> str:
        """Return the payload as text without surrounding blanks and NULs; invalid UTF-8 is replaced."""
        check_size(self.data)
        return self.data.decode("utf-8", "replace").strip(" \t\r\n\0")


def _parse(data: bytes) -> object:
    """Parse JSON, gzipped JSON, or JSON within a JSON text."""
    check_size(data)
    if data.startswith(GZIP_MAGIC):
        try:
            data = gunzip(data, PAYLOAD_LIMIT_BYTES)
        except EncodingFault as error:
            raise PayloadError(RejectionReason.NOT_JSON, f"not JSON: {error}") from None
    body = parse_json(data)
    if isinstance(body, str) and body.lstrip()[:1] in ("{", "["):
        return parse_json(body.encode())
    return body
