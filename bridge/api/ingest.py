"""`POST /api/v1/readings` and `/api/ingest`: answered when every item is stored and journaled, or in the quarantine."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import Annotated, Any

import orjson
from aiohttp import web
from pydantic import BaseModel, Field

from bridge.api.describe import describes
from bridge.api.device_authorizer import DeviceAuthorizer
from bridge.api.middleware.auth import identity_of
from bridge.api.middleware.problems import json_response, problem
from bridge.api.openapi.models import Ingested, IngestProblem, NewReading
from bridge.core.access.permissions import Identity, IdentityKind, Permission
from bridge.core.decode import Decoder, Route
from bridge.core.errors import IdempotencyKeyReused
from bridge.core.message import Decoded, Message, Outcome
from bridge.core.payload import PayloadError, parse_any_json
from bridge.core.readings.reading import Reading
from bridge.core.topic import TopicPattern
from bridge.settings import HTTP_TOPIC
from bridge.sources.http.source import SOURCE, HttpSource, IngestRequest

ITEMS_LIMIT = 10_000
JSON, NDJSON = "application/json", "application/x-ndjson"

_KEY = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)


class IngestHeaders(BaseModel):
    """The headers that mean something here."""

    key: Annotated[
        str | None,
        Field(
            alias="Idempotency-Key",
            pattern="^[\\x21-\\x7e]{1,255}$",
            description="the same key with the same body is answered the same for 24 h, and stored once",
        ),
    ] = None


_describes_it = describes(
    "Store readings: one, a list, or one a line; answered when they are safe",
    headers=IngestHeaders,
    body={JSON: NewReading | list[NewReading], NDJSON: str},
    answers={201: Ingested, 422: IngestProblem},
    problems=(400, 408, 413, 415, 503),
    tag="readings",
    right=Permission.PUBLISH,
)


class IngestApi:
    """Readings in."""

    def __init__(self, source: HttpSource, reach: DeviceAuthorizer, read_seconds: float) -> None:
        """A body must arrive within `read_seconds`, and be of devices within `reach`."""
        self._source = source
        self._reach = reach
        self._read_seconds = read_seconds

    def routes(self) -> list[web.RouteDef]:
        """The paths it answers."""
        return [web.post("/api/v1/readings", self._ingest), web.post("/api/ingest", self._ingest)]

    @_describes_it
    async def _ingest(self, request: web.Request) -> web.Response:
        if request.content_type not in (JSON, NDJSON):
            raise web.HTTPUnsupportedMediaType(
                text=f"readings come as {JSON}, or one a line as {NDJSON}; say so in Content-Type"
            )
        key = _key(request)
        with self._source.admitted():
            raw = await self._read(request)
            try:
                body = _body(raw, request.content_type, key)
                if identity_of(request).scope is not None:
                    self._reach.check_senders(request, senders(body.payloads))
                post = await self._source.take(body)
            except IdempotencyKeyReused as error:
                return problem(422, str(error))
        return _answer(post.results)

    async def _read(self, request: web.Request) -> bytes:
        try:
            async with asyncio.timeout(self._read_seconds):
                return await request.read()
        except TimeoutError:
            raise web.HTTPRequestTimeout(text=f"the body did not arrive within {self._read_seconds:g} s") from None
        except (web.RequestPayloadError, ConnectionError) as error:
            raise web.HTTPBadRequest(text=f"the body cannot be read: {error}") from None


def _key(request: web.Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _KEY.fullmatch(key):
        raise web.HTTPBadRequest(text="an Idempotency-Key is 1 to 255 visible ASCII characters")
    who = identity_of(request)
    return key if key is None or who.kind is IdentityKind.ANYONE else _owned(key, who)


def _owned(key: str, who: Identity) -> str:
    """So that nobody meets another's: keys of programs may be called alike; people and those from a provider are not, and go on
    being the same with the next token.
    """
    grant = who.grant if who.kind in (IdentityKind.PROGRAM, IdentityKind.DEVICE) else ""
    return orjson.dumps([who.kind, who.name, grant, key]).decode()


def senders(payloads: Sequence[bytes]) -> set[str]:
    """The devices that payloads are of, as the pipeline will read them; what has no device is no reading either."""
    decoder = Decoder((Route(TopicPattern.parse(HTTP_TOPIC)),))
    meanings = (decoder.decode(Message(SOURCE, HTTP_TOPIC, payload, 0, _NOWHERE)) for payload in payloads)
    return {meaning.device_id for meaning in meanings if isinstance(meaning, Reading)}


class _Nowhere:
    """The way back of a message that only wants to be read."""

    def acknowledge(self, message: Message, outcome: Outcome, meaning: Decoded | None = None) -> None:
        """It has none."""


_NOWHERE = _Nowhere()


def _body(raw: bytes, content_type: str, key: str | None) -> IngestRequest:
    payloads = _lines(raw) if content_type == NDJSON else _items(raw)
    if not payloads:
        raise web.HTTPBadRequest(text="the body holds no reading")
    if len(payloads) > ITEMS_LIMIT:
        text = f"{len(payloads)} readings, more than the {ITEMS_LIMIT} of one request"
        raise web.HTTPRequestEntityTooLarge(ITEMS_LIMIT, len(payloads), text=text)
    return IngestRequest(payloads, key, blake2b(content_type.encode() + b"\n" + raw, digest_size=16).digest() if key else b"")


def _lines(raw: bytes) -> list[bytes]:
    """A line that is no JSON is a bad message of its own."""
    return [line for line in raw.split(b"\n") if line.strip()]


def _items(raw: bytes) -> list[bytes]:
    """The items of a list, each as JSON again; anything else is one item as it stands.

    `NaN`, which orjson does not read, stays what it is: the bad value of a field.
    """
    dumped: Callable[[object], bytes] = orjson.dumps
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        body, dumped = _lenient(raw), _lenient_dump
    try:
        return [dumped(item) for item in body] if isinstance(body, list) else [raw]
    except (TypeError, RecursionError):
        raise web.HTTPBadRequest(text="the body is nested too deep") from None


def _lenient(raw: bytes) -> object:
    try:
        return parse_any_json(raw)
    except PayloadError as error:
        raise web.HTTPBadRequest(text=f"the body is {error}") from None


def _lenient_dump(item: object) -> bytes:
    return json.dumps(item).encode()


def _answer(results: list[dict[str, Any]]) -> web.Response:
    if all(one["status"] == Outcome.REJECTED for one in results):
        errors = [error for one in results for error in _errors(one)]
        return problem(422, f"no reading was stored: {results[0]['reason']}", errors=errors, results=results)
    return json_response({"ids": [one["_id"] for one in results if "_id" in one], "results": results}, status=201)


def _errors(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A bad field at a time, where they are known, else what is wrong with the whole."""
    wrong = result.get("quality") or {result.get("field", ""): result["reason"]}
    for field, message in wrong.items():
        yield {"index": result["index"], "field": field, "message": message}
