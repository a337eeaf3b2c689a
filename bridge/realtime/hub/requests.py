"""The bodies of `subscribe` and `unsubscribe`, validated, and the answer to an invalid one."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from bridge.core.readings.identity import CURSOR_LIMIT, parse_device_id

DEVICES_LIMIT = 1000
REPLAY_LIMIT = 100_000
_INTERVAL = re.compile(r"(\d{1,7})(ms|s|m)", re.ASCII)
_UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000}
_INTERVAL_RANGE_MS = (100, 3_600_000)


def _interval_ms(raw: object) -> object:
    """Return `500ms`, `1s` or `5m` in milliseconds."""
    if raw is None:
        return None
    match = _INTERVAL.fullmatch(raw) if isinstance(raw, str) else None
    milliseconds = int(match[1]) * _UNIT_MS[match[2]] if match else 0
    if not _INTERVAL_RANGE_MS[0] <= milliseconds <= _INTERVAL_RANGE_MS[1]:
        raise ValueError("an interval looks like 500ms, 1s or 5m, and is from 100ms to 60m")
    return milliseconds


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    devices: Annotated[frozenset[Annotated[str, AfterValidator(parse_device_id)]] | None, Field(max_length=DEVICES_LIMIT)] = (
        None
    )


class UnsubscribeRequest(_Request):
    """Unsubscribe from `devices`; None: from all."""


class SubscribeRequest(_Request):
    """Subscribe to `devices`; None: to all. With `since`, at most `limit` records after that cursor are replayed first."""

    since: Annotated[int | None, Field(ge=0, lt=CURSOR_LIMIT)] = None
    limit: Annotated[int, Field(ge=1, le=REPLAY_LIMIT)] = 1000
    every: Annotated[int | None, BeforeValidator(_interval_ms)] = None


class AcknowledgeRequest(BaseModel):
    """Acknowledge an alarm."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{24}$")]
    comment: Annotated[str | None, Field(max_length=1000)] = None


def error_response(error: ValidationError) -> dict[str, Any]:
    """Return the answer to an invalid request: the place of the first mistake, and the allowed values."""
    first, *others = error.errors(include_url=False, include_context=False, include_input=False)
    field = ".".join(map(str, first["loc"]))
    text = first["msg"].removeprefix("Value error, ")
    more = f" (and {len(others)} more)" if others else ""
    return {"ok": False, "error": f"{field or 'the request'}: {text}{more}", "field": field or None}
