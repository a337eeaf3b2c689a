"""`POST /api/v1/readings` and `/api/ingest`: answered when every item is stored and journaled, or in the quarantine."""

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
from bridge.core.errors import IdempotencyKeyReused
from bridge.core.message import Decoded, Message, Outcome
from bridge.core.payload import PayloadError, parse_any_json
from bridge.core.readings.reading import Reading
from bridge.core.topic import TopicPattern
from bridge.settings import HTTP_TOPIC
from bridge.sources.http.source import SOURCE, HttpSource, IngestItem, IngestRequest

ITEMS_LIMIT = 10_000
PARSED_ITEM_BYTES = 512
"""Larger items are parsed again by the pipeline: readings wait, and parsed JSON takes up to 25 times the memory."""

JSON, NDJSON = "application/json", "application/x-ndjson"

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


class IngestApi:
    def __init__(self, source: HttpSource, authorizer: DeviceAuthorizer, read_seconds: float) -> None:
        """A body must arrive within `read_seconds`."""
        self._source = source
        self._authorizer = authorizer
        self._read_seconds = read_seconds

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/api/v1/readings", self._ingest), web.post("/api/ingest", self._ingest)]

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
        key = _idempotency_key(request)
        with self._source.admitted():
            body = await read_encoded_body(request, self._read_seconds)
            try:
                batch = self._source.put(self._ingest_request(request, body, key))
            except IdempotencyKeyReused as error:
                return problem(422, str(error))
            await self._source.wait(batch)
        return _response(batch.results)

    def _ingest_request(self, request: web.Request, body: bytes, key: str | None) -> IngestRequest:
        items = _parse(body, request.content_type)
        if identity_of(request).scope is not None:
            self._authorizer.check_senders(request, senders(items))
        digest = blake2b(request.content_type.encode() + b"\n" + body, digest_size=16).digest() if key else b""
        return IngestRequest(items, key, digest)


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


def senders(items: Sequence[IngestItem]) -> set[str]:
    """Return the devices whose readings the pipeline will find in the items."""
    decoder = Decoder((Route(TopicPattern.parse(HTTP_TOPIC)),))
    meanings = (decoder.decode(Message(SOURCE, HTTP_TOPIC, payload, 0, _NO_ORIGIN, body=body)) for payload, body in items)
    return {meaning.device_id for meaning in meanings if isinstance(meaning, Reading)}


class _NoOrigin:
    """The origin of messages that are decoded only to learn their device."""

    def acknowledge(self, message: Message, outcome: Outcome, meaning: Decoded | None = None) -> None:
        pass


_NO_ORIGIN = _NoOrigin()


def _parse(body: bytes, content_type: str) -> list[IngestItem]:
    items = _parse_lines(body) if content_type == NDJSON else _parse_json(body)
    if not items:
        raise web.HTTPBadRequest(text="the body contains no reading")
    if len(items) > ITEMS_LIMIT:
        text = f"{len(items)} readings, more than the {ITEMS_LIMIT} allowed in one request"
        raise web.HTTPRequestEntityTooLarge(ITEMS_LIMIT, len(items), text=text)
    return items


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
    return json_response({"ids": [result["_id"] for result in results if "_id" in result], "results": results}, status=201)


def _errors(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One error for each invalid field, or one for the whole item."""
    wrong = result.get("quality") or {result.get("field", ""): result["reason"]}
    for field, message in wrong.items():
        yield {"index": result["index"], "field": field, "message": message}
