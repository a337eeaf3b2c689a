"""Stored readings, and what can be measured."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Annotated, Any

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from bridge.api.describe import describes
from bridge.api.models import Latest, Measured, NoData, ReadingsPage, Record
from bridge.api.problems import json_response
from bridge.api.reach import Reach
from bridge.core.access import Right
from bridge.core.identity import CURSOR_LIMIT
from bridge.core.query import READINGS_LIMIT, Bucket, ReadingsQuery, Summary
from bridge.core.reading import MEASUREMENT, MEASUREMENTS, VALUE_NAMES, Reading
from bridge.core.timestamp import iso, parse_time
from bridge.ports import Store

_WIDTH = re.compile(r"(\d{1,6})(s|m|h|d)", re.ASCII)
_WIDTH_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_ALWAYS = ("_id", "timestamp", "deviceId", "receivedAt", "seq")
_DEVICES_LIMIT = 1000


def _moment(raw: object) -> object:
    if not isinstance(raw, str):
        return raw
    milliseconds = parse_time(raw)
    if milliseconds is None:
        raise ValueError("a time is ISO 8601, or epoch seconds or milliseconds")
    return milliseconds


def _width(raw: object) -> object:
    if not isinstance(raw, str):
        return raw
    width = _WIDTH.fullmatch(raw)
    if not width or not int(width[1]):
        raise ValueError("a width of time looks like 10s, 1m, 6h or 1d")
    return int(width[1]) * _WIDTH_MS[width[2]]


def _fields(raw: object) -> object:
    if not isinstance(raw, str):
        return raw
    names = tuple(filter(None, (part.strip() for part in raw.split(","))))
    unknown = [name for name in names if name not in VALUE_NAMES]
    if unknown or not names:
        raise ValueError(f"fields are some of {', '.join(VALUE_NAMES)}, joined by commas")
    return names


_TIME = WithJsonSchema({"type": "string", "description": "ISO 8601, or epoch seconds or milliseconds"})
_FIELDS = WithJsonSchema({"type": "string", "description": "measurements, joined by commas"})
_WIDTH_TEXT = WithJsonSchema(
    {"type": "string", "pattern": f"^{_WIDTH.pattern}$", "description": "a width of time: 10s, 1m, 6h, 1d"}
)


class ReadingsParameters(BaseModel):
    """The query of `GET /api/v1/readings`."""

    model_config = ConfigDict(extra="forbid")

    device: Annotated[tuple[str, ...], Field(max_length=_DEVICES_LIMIT)] = ()
    from_ms: Annotated[int | None, BeforeValidator(_moment), _TIME, Field(alias="from")] = None
    to_ms: Annotated[int | None, BeforeValidator(_moment), _TIME, Field(alias="to")] = None
    limit: Annotated[int, Field(ge=1, le=READINGS_LIMIT)] = 1000
    since: Annotated[int | None, Field(ge=0, lt=CURSOR_LIMIT)] = None
    fields: Annotated[tuple[str, ...], BeforeValidator(_fields), _FIELDS] = ()
    every_ms: Annotated[int | None, BeforeValidator(_width), _WIDTH_TEXT, Field(alias="every")] = None

    @property
    def query(self) -> ReadingsQuery:
        """What the store is asked."""
        return ReadingsQuery(self.device or None, self.from_ms, self.to_ms, self.since, self.limit)


class TelemetryParameters(BaseModel):
    """The query of `GET /get_telemetry`; what else an older client sends is nothing to us."""

    device: str = ""


class ReadingsApi:
    """History, from the store."""

    def __init__(self, store: Store, reach: Reach) -> None:
        """`store` is asked at every call, for what is within `reach`."""
        self._store = store
        self._reach = reach

    def routes(self) -> list[web.RouteDef]:
        """The paths it answers."""
        return [
            web.get("/api/v1/readings", self._readings),
            web.get("/api/v1/readings/latest", self._latest),
            web.get("/api/v1/measurements", self._measurements),
            web.get("/get_telemetry", self._telemetry),
        ]

    @describes(
        "Stored readings in cursor order, or with `every` their summaries",
        query=ReadingsParameters,
        answers={200: ReadingsPage},
        problems=(503,),
        tag="readings",
        right=Right.SEE,
    )
    async def _readings(self, request: web.Request) -> web.Response:
        parameters = _parameters(request)
        query = replace(parameters.query, devices=self._reach.devices(request, parameters.device))
        if query.devices == ():
            return json_response({"readings": [], "next": None})
        if parameters.every_ms is not None:
            fields = [name for name in parameters.fields or MEASUREMENT if name in MEASUREMENT]
            buckets = await self._store.buckets(query, parameters.every_ms, fields)
            return json_response({"readings": [_shown_bucket(bucket) for bucket in buckets], "next": None})
        found = await self._store.readings(query)
        following = found[-1].seq if len(found) == parameters.limit else None
        return json_response({"readings": [_shown(reading, parameters.fields) for reading in found], "next": following})

    @describes("The newest reading of each device", answers={200: Latest}, problems=(503,), tag="readings", right=Right.SEE)
    async def _latest(self, request: web.Request) -> web.Response:
        found = [one.public() for one in await self._store.latest() if self._reach.holds(request, one.device_id)]
        return json_response({"readings": found})

    @describes(
        "The newest reading of a device, for an older client",
        query=TelemetryParameters,
        answers={200: Record | NoData},
        problems=(503,),
        tag="readings",
        right=Right.SEE,
    )
    async def _telemetry(self, request: web.Request) -> web.Response:
        asked = TelemetryParameters.model_validate(dict(request.query))
        latest = await self._store.latest() if self._reach.holds(request, asked.device) else []
        found = [one for one in latest if one.device_id == asked.device]
        return json_response(found[0].public() if found else {"error": "no data"})

    @describes("What can be measured", answers={200: list[Measured]}, tag="readings", right=Right.SEE)
    async def _measurements(self, _: web.Request) -> web.Response:
        return json_response(
            [
                {
                    "name": one.name,
                    "label": one.label,
                    "unit": one.unit,
                    "low": _finite(one.usual[0]),
                    "high": _finite(one.usual[1]),
                }
                for one in MEASUREMENTS
            ]
        )


def _parameters(request: web.Request) -> ReadingsParameters:
    given: dict[str, Any] = {name: request.query.getall(name) for name in request.query}
    given = {name: values if name == "device" else values[-1] for name, values in given.items()}
    return ReadingsParameters.model_validate(given)


def _shown(reading: Reading, fields: tuple[str, ...]) -> dict[str, Any]:
    public = reading.public()
    return {name: value for name, value in public.items() if name in fields or name in _ALWAYS} if fields else public


def _shown_bucket(bucket: Bucket) -> dict[str, Any]:
    shown = {name: _shown_summary(summary) for name, summary in bucket.fields.items()}
    return {"timestamp": iso(bucket.start_ms), "deviceId": bucket.device_id, "count": bucket.count, **shown}


def _shown_summary(summary: Summary) -> dict[str, float]:
    return {"min": summary.low, "mean": summary.mean, "max": summary.high, "count": summary.count}


def _finite(bound: float) -> float | None:
    return bound if math.isfinite(bound) else None
