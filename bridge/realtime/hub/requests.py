"""What clients ask for over a live connection, validated, and how they are answered."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from bridge.core.readings.identity import CURSOR_LIMIT, is_device_id

DEVICES_LIMIT = 1000
REPLAY_LIMIT = 100_000
_EVERY = re.compile(r"(\d{1,7})(ms|s|m)", re.ASCII)
_UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000}
_EVERY_RANGE_MS = (100, 3_600_000)


def _device(name: str) -> str:
    if not is_device_id(name):
        raise ValueError("a device id is 1 to 128 characters of A-Z a-z 0-9 . _ : -")
    return name


def _every(raw: object) -> object:
    """`500ms`, `1s`, `5m` in milliseconds."""
    if raw is None:
        return None
    width = _EVERY.fullmatch(raw) if isinstance(raw, str) else None
    milliseconds = int(width[1]) * _UNIT_MS[width[2]] if width else 0
    if not _EVERY_RANGE_MS[0] <= milliseconds <= _EVERY_RANGE_MS[1]:
        raise ValueError("an interval looks like 500ms, 1s or 5m, and is from 100ms to 60m")
    return milliseconds


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    devices: Annotated[frozenset[Annotated[str, AfterValidator(_device)]] | None, Field(max_length=DEVICES_LIMIT)] = None


class UnsubscribeRequest(_Request):
    """No more of these devices; with none named, of any."""


class SubscribeRequest(_Request):
    """These devices; with none named, every one. `since`: first what was missed after this cursor, at most `limit` records."""

    since: Annotated[int | None, Field(ge=0, lt=CURSOR_LIMIT)] = None
    limit: Annotated[int, Field(ge=1, le=REPLAY_LIMIT)] = 1000
    every: Annotated[int | None, BeforeValidator(_every)] = None


def error_response(error: ValidationError) -> dict[str, Any]:
    """The answer to a request that was not understood: what was wrong, where, and what is allowed."""
    first, *others = error.errors(include_url=False, include_context=False, include_input=False)
    where = ".".join(map(str, first["loc"]))
    text = first["msg"].removeprefix("Value error, ")
    more = f" (and {len(others)} more)" if others else ""
    return {"ok": False, "error": f"{where or 'the request'}: {text}{more}", "field": where or None}
