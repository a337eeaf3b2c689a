"""One JSON object with our field names or their aliases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.core.payload import parse_object


def json_format(payload: bytes, named: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ARG001 - it needs the payload only
    """The object as it stands."""
    return parse_object(payload)
