"""`POST /api/v1/readings` and `/api/ingest` for readings as JSON, `POST /api/v1/ingest/{format}` for messages of any format.

All are answered when every item is stored and journaled, or in the quarantine.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import Annotated, Any

import orjson
from aiohttp import web
from pydantic import BaseModel, Field

from bridge.api.bodies import read_encoded_body
from bridge.api.describe import describes
from bridge.api.device_authorizer import DeviceAuthorizer
from bridge.api.middleware.auth import identity_of
from bridge.api.middleware.problems import json_response, problem
from bridge.api.openapi.models import Ingested, IngestProblem, NewReading
from bridge.core.access.permissions import Identity, IdentityKind, Permission
from bridge.core.decode import Decoder, Route
from bridge.core.errors import FormatError, IdempotencyKeyReused
from bridge.core.formats.registry import FormatName
from bridge.core.message import Decoded, Message, Outcome, ReadingBatch
from bridge.core.payload import PayloadError, parse_any_json
from bridge.core.readings.reading import Reading
from bridge.settings import HTTP_TOPIC
from bridge.settings.ingest_topics import TOPIC_LENGTH, IngestTopics
from bridge.sources.http.source import SOURCE, HttpSource, IngestItem, IngestRequest

ITEMS_LIMIT = 10_000
PARSED_ITEM_BYTES = 512
"""Larger items are parsed again by the pipeline: readings wait, and parsed JSON takes up to 25 times the memory."""

JSON, NDJSON = "application/json", "application/x-ndjson"
FORM, TEXT, BINARY = "application/x-www-form-urlencoded", "text/plain", "application/octet-stream"

_KEY = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)


class IngestHeaders(BaseModel):
    key: Annotated[
        str | None,
        Field(
            alias="Idempotency-Key",
            pattern="^[\\x21-\\x7e]{1,255}$",
            description="the same key with the same body gets the same answer for 24 h and is stored once",
        ),
    ] = None


class FormatPath(BaseModel):
    format: Annotated[str, Field(json_schema_extra={"enum": [*FormatName]})]


class IngestParameters(BaseModel):
    device: Annotated[
        str | None, Field(description="the device, where the message does not name it or its name is not to be used")
    ] = None
    topic: Annotated[
        str | None, Field(max_length=TOPIC_LENGTH, description="the MQTT topic, for formats that read it: not with device")
    ] = None


class IngestApi:
    def __init__(
        self,
        source: HttpSource,
        authorizer: DeviceAuthorizer,
        read_seconds: float,
        routes: Sequence[Route],
        topics: IngestTopics,
    ) -> None:
        """A body must arrive within `read_seconds`. `routes` are those of readings as JSON, `topics` those of other formats."""
        self._source = source
        self._authorizer = authorizer
        self._read_seconds = read_seconds
        self._routes = (*routes, *topics.routes)
        self._topics = topics

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/api/v1/readings", self._ingest),
            web.post("/api/ingest", self._ingest),
            web.post("/api/v1/ingest/{format}", self._ingest_format),
        ]

    @describes(
        "Store readings: one, a list, or one per line, plain or with Content-Encoding gzip; answered when they are safe",
        headers=IngestHeaders,
        body={JSON: NewReading | list[NewReading], NDJSON: str},
        answers={201: Ingested, 422: IngestProblem},
        problems=(400, 408, 413, 415, 503),
        tag="readings",
        permission=Permission.PUBLISH,
    )
    async def _ingest(self, request: web.Request) -> web.Response:
        if request.content_type not in (JSON, NDJSON):
            raise web.HTTPUnsupportedMediaType(
                text=f"Content-Type {request.content_type[:64]!a} is not supported: use {JSON}, "
                f"or {NDJSON} for one reading per line"
            )
        return await self._store(request, HTTP_TOPIC, _parse)

    @describes(
        "Store a message as a device sends it, in any format of the list: JSON, a form, text or binary, plain or with "
        "Content-Encoding gzip; as application/x-ndjson one message per line",
        path=FormatPath,
        query=IngestParameters,
        headers=IngestHeaders,
        body={JSON: Any, NDJSON: str, FORM: str, TEXT: str, BINARY: str},
        answers={200: Ingested, 201: Ingested, 422: IngestProblem},
        problems=(400, 404, 408, 413, 415, 503),
        tag="readings",
        permission=Permission.PUBLISH,
    )
    async def _ingest_format(self, request: web.Request) -> web.Response:
        name = next((name for name in FormatName if name == request.match_info["format"]), None)
        if name is None:
            wrong = request.match_info["format"][:64]
            raise web.HTTPNotFound(text=f"format: {wrong!a} does not exist: use one of {', '.join(FormatName)}")
        if request.content_type.startswith("multipart/"):
            raise web.HTTPUnsupportedMediaType(text=f"Content-Type {request.content_type[:64]!a} is not supported: use {FORM}")
        query = request.query
        try:
            topic = self._topics.topic(name, query.get("device"), query.get("topic"))
        except FormatError as error:
            raise web.HTTPBadRequest(text=str(error)) from None
        return await self._store(request, topic, _messages)

    async def _store(self, request: web.Request, topic: str, parse: Callable[[bytes, str], list[IngestItem]]) -> web.Response:
        key = _idempotency_key(request)
        with self._source.admitted():
            body = await read_encoded_body(request, self._read_seconds)
            items = parse(body, request.content_type)
            _check_count(items)
            if identity_of(request).scope is not None:
                self._authorizer.check_senders(request, senders(items, topic, self._routes))
            whole = b"\n".join((topic.encode(), request.content_type.encode(), body))
            digest = blake2b(whole, digest_size=16).digest() if key else b""
            try:
                batch = self._source.put(IngestRequest(items, topic, key, digest))
            except IdempotencyKeyReused as error:
                return problem(422, str(error))
            await self._source.wait(batch)
        return _response(batch.results)


def _idempotency_key(request: web.Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _KEY.fullmatch(key):
        raise web.HTTPBadRequest(text="Idempotency-Key: must be 1 to 255 visible ASCII characters")
    identity = identity_of(request)
    return key if key is None or identity.kind is IdentityKind.ANYONE else _scoped_key(key, identity)


def _scoped_key(key: str, identity: Identity) -> str:
    """Separate the keys of different identities.

    API keys may share a name and are distinguished by their grant. Names of users are unique, and their grant changes with
    each token.
    """
    grant = identity.grant if identity.kind in (IdentityKind.PROGRAM, IdentityKind.DEVICE) else ""
    return orjson.dumps([identity.kind, identity.name, grant, key]).decode()


def senders(items: Sequence[IngestItem], topic: str, routes: Sequence[Route]) -> set[str]:
    """Return the devices whose readings the pipeline will find in the items, messages of `topic`."""
    decoder = Decoder(routes)
    meanings = (decoder.decode(Message(SOURCE, topic, payload, 0, _NO_ORIGIN, body=body)) for payload, body in items)
    return {reading.sender for meaning in meanings for reading in _readings(meaning)}


def _readings(meaning: Decoded) -> Sequence[Reading]:
    return (meaning,) if isinstance(meaning, Reading) else meaning.readings if isinstance(meaning, ReadingBatch) else ()


class _NoOrigin:
    """The origin of messages that are decoded only to learn their device."""

    def acknowledge(self, message: Message, outcome: Outcome, meaning: Decoded | None = None) -> None:
        pass


_NO_ORIGIN = _NoOrigin()


def _parse(body: bytes, content_type: str) -> list[IngestItem]:
    return _parse_lines(body) if content_type == NDJSON else _parse_json(body)


def _messages(body: bytes, content_type: str) -> list[IngestItem]:
    """The lines of NDJSON; any other body is one message."""
    if content_type == NDJSON:
        return _parse_lines(body)
    return [IngestItem(body, None)] if body else []


def _check_count(items: Sequence[IngestItem]) -> None:
    if not items:
        raise web.HTTPBadRequest(text="the body contains no reading")
    if len(items) > ITEMS_LIMIT:
        text = f"{len(items)} readings, more than the {ITEMS_LIMIT} allowed in one request"
        raise web.HTTPRequestEntityTooLarge(ITEMS_LIMIT, len(items), text=text)


def _parse_lines(body: bytes) -> list[IngestItem]:
    """One item per line. A line that is not JSON becomes a message that the pipeline rejects."""
    return [_item(line, _parse_line(line)) for line in body.split(b"\n") if line.strip()]


def _parse_line(line: bytes) -> object:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None


def _parse_json(body: bytes) -> list[IngestItem]:
    """The items of a list, each with its own JSON for the quarantine; any other value is a single item.

    `NaN`, which orjson does not parse, is an invalid value of its field and not a malformed body.
    """
    dump: Callable[[object], bytes] = orjson.dumps
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed, dump = _parse_lenient(body), _dump_lenient
    try:
        return [_item(dump(item), item) for item in parsed] if isinstance(parsed, list) else [_item(body, parsed)]
    except (TypeError, RecursionError):
        raise web.HTTPBadRequest(text="the body is nested too deeply") from None


def _item(payload: bytes, body: object) -> IngestItem:
    return IngestItem(payload, body if len(payload) <= PARSED_ITEM_BYTES else None)


def _parse_lenient(body: bytes) -> object:
    try:
        return parse_any_json(body)
    except PayloadError as error:
        raise web.HTTPBadRequest(text=f"the body is {error}") from None


def _dump_lenient(item: object) -> bytes:
    return json.dumps(item).encode()


def _response(results: list[dict[str, Any]]) -> web.Response:
    if all(result["status"] == Outcome.REJECTED for result in results):
        errors = [error for result in results for error in _errors(result)]
        return problem(422, f"no reading was stored: {results[0]['reason']}", errors=errors, results=results)
    ids = [one["_id"] for result in results for one in (result, *result.get("readings", ())) if "_id" in one]
    return json_response({"ids": ids, "results": results}, status=201 if ids else 200)


def _errors(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One error for each invalid field, or one for the whole item."""
    wrong = result.get("quality") or {result.get("field", ""): result["reason"]}
    for field, message in wrong.items():
        yield {"index": result["index"], "field": field, "message": message}
