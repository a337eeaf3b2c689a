"""JSON: one object with the bridge's field names or their aliases."""

from collections.abc import Mapping
from typing import Any

from bridge.core.formats.format import FormatSpec
from bridge.core.payload import parse_object


def json_format(payload: bytes, captures: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ARG001 - it needs the payload only
    return parse_object(payload)


SPEC = FormatSpec("json", "sensors/{deviceId}/data", (), json_format)
