"""Stored readings, their summaries, and the measurement table."""

import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import tzinfo
from functools import partial
from typing import Annotated, Any

from aiohttp import web
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from bridge.api.describe import describes
from bridge.api.device_authorizer import DeviceAuthorizer
from bridge.api.middleware.problems import json_response, problem
from bridge.api.openapi.models import Latest, MeasurementResponse, ReadingsPage
from bridge.api.readings.local_days import OffsetSpan, merged, offset_spans
from bridge.core.access.permissions import Permission
from bridge.core.devices.local_time import parse_zone
from bridge.core.query import READINGS_LIMIT, Bucket, FieldSummary, ReadingsQuery
from bridge.core.readings.identity import CURSOR_LIMIT, normalize_device_id
from bridge.core.readings.measurements import MEASUREMENTS, MEASUREMENTS_BY_NAME, VALUE_NAMES
from bridge.core.readings.reading import Reading
from bridge.core.rollup import DAY_MS, LEVELS_MS, HistoryRange, choose_width, count_buckets, format_width, parse_width
from bridge.core.timestamp import iso, parse_time
from bridge.ports import Store
from bridge.settings import PageSettings

_describes = partial(describes, tag="readings", permission=Permission.READ, by_link=True)
POINTS_LIMIT = 2000
"""The most buckets of one device in one response."""
_POINTS = 500
_WIDTH = re.compile(r"\d{1,6}[smhdw]", re.ASCII)
_AUTO = "auto"
_FIELD_NAMES = (*VALUE_NAMES, "extra")
_ALWAYS = ("_id", "timestamp", "deviceId", "receivedAt", "seq")
_DEVICES_LIMIT = 1000


def _time(raw: object) -> object:
    if not isinstance(raw, str):
        return raw
    milliseconds = parse_time(raw)
    if milliseconds is None:
        raise ValueError("must be ISO 8601, or epoch seconds or milliseconds")
    return milliseconds


def _width(raw: object) -> object:
    if not isinstance(raw, str):
        return raw
    width_ms = 0 if raw == _AUTO else parse_width(raw)
    if width_ms is None:
        raise ValueError("must be a width like 10s, 1m, 6h, 1d or 1w, or auto")
    return width_ms


def _zone(raw: object) -> object:
    """Raises `ValueError`, also for the offset `+02:00` whose `+` was not escaped, and so is a space."""
    if not isinstance(raw, str):
        return raw
    if raw[:1] == " " and raw[1:2].isdigit():
        raise ValueError(f"{raw[:_ZONE_LENGTH]!a} begins with a space: in a URL + is a space, write + as %2B, as in %2B02:00")
    return parse_zone(raw[:_ZONE_LENGTH])


def _fields(raw: object) -> object:
    if not isinstance(raw, str):
        return raw
    names = tuple(filter(None, (part.strip() for part in raw.split(","))))
    unknown = [name for name in names if name not in _FIELD_NAMES]
    if unknown or not names:
        raise ValueError(f"must be names from {', '.join(_FIELD_NAMES)}, separated by commas")
    return names


QueryTime = Annotated[
    int | None,
    BeforeValidator(_time),
    WithJsonSchema({"type": "string", "description": "ISO 8601, or epoch seconds or milliseconds"}),
]
"""A time in a query, in milliseconds since the epoch."""

_FIELDS = WithJsonSchema({"type": "string", "description": "measurements, or extra, separated by commas"})
_WIDTH_TEXT = WithJsonSchema(
    {
        "type": "string",
        "pattern": f"^({_WIDTH.pattern}|{_AUTO})$",
        "description": f"width of a bucket: 10s, 1m, 6h, 1d, 1w; or auto, as with points={_POINTS}",
    }
)
_ZONE_LENGTH = 64
_ZONE_TEXT = WithJsonSchema(
    {
        "type": "string",
        "description": "IANA name, or offset such as +02:00: widths of whole days begin at midnight there; needs `from`",
    }
)
_POINTS_TEXT = Field(description="instead of `every`: use a round width that gives at most this many points per device")


class ReadingsParameters(BaseModel):
    """The query of `GET /api/v1/readings`."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    device: Annotated[
        tuple[Annotated[str, AfterValidator(normalize_device_id)], ...],
        Field(max_length=_DEVICES_LIMIT, description="may be repeated; `sensor_id` is another name of it"),
    ] = ()
    from_ms: Annotated[QueryTime, Field(alias="from")] = None
    to_ms: Annotated[QueryTime, Field(alias="to")] = None
    limit: Annotated[int, Field(ge=1, le=READINGS_LIMIT)] = 1000
    since: Annotated[int | None, Field(ge=0, lt=CURSOR_LIMIT)] = None
    fields: Annotated[tuple[str, ...], BeforeValidator(_fields), _FIELDS] = ()
    every_ms: Annotated[int | None, BeforeValidator(_width), _WIDTH_TEXT, Field(alias="every")] = None
    points: Annotated[int | None, _POINTS_TEXT, Field(ge=1, le=POINTS_LIMIT)] = None

    zone: Annotated[tzinfo | None, BeforeValidator(_zone), _ZONE_TEXT, Field(alias="timezone")] = None

    @model_validator(mode="after")
    def _one_width(self) -> "ReadingsParameters":
        if self.points and self.every_ms:
            raise ValueError("points selects the width: every must be auto or absent")
        if self.zone and self.from_ms is None:
            raise ValueError("timezone needs from")
        return self

    @property
    def is_summary(self) -> bool:
        """Whether buckets are requested instead of readings."""
        return self.every_ms is not None or self.points is not None

    @property
    def query(self) -> ReadingsQuery:
        return ReadingsQuery(self.device or None, self.from_ms, self.to_ms, self.since, self.limit)


class ReadingsApi:
    """Routes of stored readings."""

    def __init__(
        self,
        store: Store,
        authorizer: DeviceAuthorizer,
        page: PageSettings,
        published_until: Callable[[], int | None] = lambda: None,
    ) -> None:
        """`published_until` gives the cursor up to which no further reading is stored; None: up to the last one."""
        self._store = store
        self._authorizer = authorizer
        self._published_until = published_until
        self._page = page

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/v1/readings", self._readings),
            web.get("/api/v1/readings/latest", self._latest),
            web.get("/api/v1/measurements", self._measurements),
        ]

    @_describes(
        "Stored readings in cursor order, or with `every` or `points` their summaries",
        query=ReadingsParameters,
        answers={200: ReadingsPage},
        problems=(422, 503),
    )
    async def _readings(self, request: web.Request) -> web.Response:
        parameters = _parameters(request)
        query = replace(parameters.query, devices=self._authorizer.devices(request, parameters.device))
        if query.since is not None:  # beyond it, another bridge may still store a reading with a lower cursor
            query = replace(query, until=self._published_until())
        if parameters.is_summary:
            return await self._buckets(parameters, query)
        found = await self._store.readings(query) if query.devices != () else []
        following = found[-1].seq if len(found) == parameters.limit else None
        return json_response({"readings": [_public(reading, parameters.fields) for reading in found], "next": following})

    async def _buckets(self, parameters: ReadingsParameters, query: ReadingsQuery) -> web.Response:
        extent = await self._store.history.extent(query.devices) if query.devices != () else None
        from_ms, to_ms = _clipped(parameters, extent)
        every_ms = parameters.every_ms or _automatic_width(parameters, extent, from_ms, to_ms)
        points = count_buckets(from_ms, to_ms, every_ms)
        if points > POINTS_LIMIT:
            wider = format_width(choose_width(from_ms, to_ms, POINTS_LIMIT))
            return problem(
                422,
                f"every={format_width(every_ms)} gives {points} points per device, more than the {POINTS_LIMIT} allowed: "
                f"use a shorter time, every={wider}, or points={POINTS_LIMIT}",
            )
        limit = parameters.limit if "limit" in parameters.model_fields_set else READINGS_LIMIT
        fields = [name for name in parameters.fields or MEASUREMENTS_BY_NAME if name in MEASUREMENTS_BY_NAME]
        found: list[Bucket] = []
        if from_ms < to_ms and query.devices != ():
            found = await self._summaries(replace(query, limit=limit), every_ms, fields, parameters.zone, (from_ms, to_ms))
        buckets = [_public_bucket(bucket) for bucket in found]
        return json_response({"readings": buckets, "next": None, "every": format_width(every_ms)})

    async def _summaries(
        self, query: ReadingsQuery, every_ms: int, fields: Sequence[str], zone: tzinfo | None, span_ms: tuple[int, int]
    ) -> list[Bucket]:
        """Days begin at midnight in the zone; where its clocks change, a day has 23 or 25 hours."""
        history = self._store.history
        if zone is None or every_ms % DAY_MS:
            return await history.buckets(query, every_ms, fields)
        parts: list[tuple[OffsetSpan, list[Bucket]]] = []
        for span in offset_spans(zone, *span_ms):
            part = replace(query, from_ms=span.from_ms, to_ms=span.to_ms)
            parts.append((span, await history.buckets(part, every_ms, fields, span.offset_ms)))
        return merged(parts)[: query.limit]

    @_describes("The newest reading of each device", answers={200: Latest}, problems=(503,))
    async def _latest(self, request: web.Request) -> web.Response:
        devices = self._authorizer.devices(request)
        latest = await self._store.latest(devices) if devices != () else []
        return json_response({"readings": [reading.public() for reading in latest]})

    @_describes("The measurement table", answers={200: list[MeasurementResponse]})
    async def _measurements(self, _: web.Request) -> web.Response:
        return json_response(
            [
                {
                    "name": measurement.name,
                    "label": measurement.label,
                    "unit": measurement.unit,
                    "shownUnit": self._page.shown_unit(measurement.unit),
                    "low": _finite(measurement.usual[0]),
                    "high": _finite(measurement.usual[1]),
                }
                for measurement in MEASUREMENTS
            ]
        )


def _parameters(request: web.Request) -> ReadingsParameters:
    """Only `device` may be repeated, also as `sensor_id`; of any other parameter the last value counts."""
    query = {name: request.query.getall(name) for name in request.query}
    devices = [*query.pop("device", ()), *query.pop("sensor_id", ())]
    query |= {"device": devices} if devices else {}
    return ReadingsParameters.model_validate(
        {name: values if name == "device" else values[-1] for name, values in query.items()}
    )


def _public(reading: Reading, fields: tuple[str, ...]) -> dict[str, Any]:
    public = reading.public()
    return {name: value for name, value in public.items() if name in fields or name in _ALWAYS} if fields else public


def _public_bucket(bucket: Bucket) -> dict[str, Any]:
    fields = {name: _public_summary(summary) for name, summary in bucket.fields.items()}
    return {"timestamp": iso(bucket.start_ms), "deviceId": bucket.device_id, "count": bucket.count, **fields}


def _public_summary(summary: FieldSummary) -> dict[str, float]:
    return {"min": summary.low, "mean": summary.mean, "max": summary.high, "count": summary.count}


def _clipped(parameters: ReadingsParameters, extent: HistoryRange | None) -> tuple[int, int]:
    """The requested range in ms, limited to the range of the readings."""
    if extent is None:
        return 0, 0
    from_ms = max(parameters.from_ms or 0, extent.first_ms)
    to_ms = extent.last_ms + 1 if parameters.to_ms is None else min(parameters.to_ms, extent.last_ms + 1)
    return from_ms, to_ms


def _automatic_width(parameters: ReadingsParameters, extent: HistoryRange | None, from_ms: int, to_ms: int) -> int:
    """Choose a width in ms by the requested range, so that it does not change while readings arrive.

    Where readings have been removed and only rollups remain, it is one of theirs.
    """
    end_ms = parameters.to_ms or max(to_ms, time.time_ns() // 1_000_000)
    begin_ms = parameters.from_ms if parameters.from_ms is not None else from_ms if extent else end_ms
    only_rollups = extent is not None and from_ms < extent.readings_ms and extent.first_ms < extent.readings_ms
    return choose_width(begin_ms, end_ms, parameters.points or _POINTS, LEVELS_MS[0] if only_rollups else 1000)


def _finite(bound: float) -> float | None:
    return bound if math.isfinite(bound) else None
