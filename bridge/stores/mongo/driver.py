"""How MongoDB is spoken to, whichever driver: the client, errors as ours, and an insert that knows whose fault a failure is."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import bson
from bson.errors import BSONError
from pymongo import AsyncMongoClient
from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError

from bridge.core.errors import StoreUnavailable
from bridge.stores.mongo.direct import KeptConnection, insert_many

DUPLICATE_KEY = 11000
# Codes that speak of the server's state, not of the document: worth another try. From MongoDB's error_codes.yml: those its
# drivers retry, then disk, memory and rights.
_OF_THE_SERVER = frozenset(
    {6, 7, 89, 91, 134, 189, 262, 317, 358, 384, 9001, 10107, 11600, 11602, 13435, 13436}
    | {13, 18, 14031, 39, 50, 133, 146, 202, 211, 290, 12501}
)
_DOCUMENT_LIMIT_BYTES = 16 * 1024 * 1024
_UNENCODABLE = (BSONError, OverflowError, TypeError, ValueError)
_TEXT_LENGTH = 300

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A document of a write that was not taken, for its own sake; `code` is the server's, 0 if it was never sent."""

    index: int
    code: int
    text: str


def client_class(driver: str) -> Any:  # noqa: ANN401 - Motor has no types
    """Motor's client or PyMongo's own."""
    if driver == "pymongo":
        return AsyncMongoClient
    from motor.motor_asyncio import AsyncIOMotorClient

    return AsyncIOMotorClient


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """The driver's errors as ours. Its texts can be pages long; the first sentence says it.

    PyMongo waits with `asyncio.wait_for`, which in Python 3.11 forgets a cancellation that comes together with the answer: a
    task that was told to end went on for ever, once in some hundred stops of a bridge. What was asked of it meanwhile holds.
    """
    task = asyncio.current_task()
    cancelled_before = task.cancelling() if task else 0
    try:
        yield
    except PyMongoError as error:
        if task and task.cancelling() > cancelled_before:
            raise asyncio.CancelledError from error
        text = str(error).split(", Timeout:")[0].split(" (configured timeouts:")[0]
        raise StoreUnavailable(f"MongoDB: {type(error).__name__}: {text[:_TEXT_LENGTH]}") from error
    if task and task.cancelling() > cancelled_before:
        raise asyncio.CancelledError


async def collected(cursor: Any) -> list[Document]:  # noqa: ANN401
    """All documents of an aggregation. PyMongo's `aggregate` is awaited for its cursor, Motor's is the cursor."""
    if inspect.isawaitable(cursor):
        cursor = await cursor
    return [document async for document in cursor]


async def insert(collection: Any, documents: Sequence[Document], kept: KeptConnection | None = None) -> list[Refusal]:  # noqa: ANN401
    """One unordered `insert_many`, so that one bad document keeps no other out; raises if the whole is in doubt."""
    try:
        return await _insert(collection, documents, kept)
    except (*_UNENCODABLE, OperationFailure):
        # Perhaps one document is why, and nobody says which. What went out before it is recognised by its `_id`.
        unfit = {index: text for index, one in enumerate(documents) if (text := _why_unfit(one))}
        if not unfit:
            raise
    fit = [index for index in range(len(documents)) if index not in unfit]
    refusals = await _insert(collection, [documents[index] for index in fit], kept) if fit else []
    return [
        *(Refusal(index, 0, text) for index, text in unfit.items()),
        *(Refusal(fit[one.index], one.code, one.text) for one in refusals),
    ]


async def _insert(collection: Any, documents: Sequence[Document], kept: KeptConnection | None) -> list[Refusal]:  # noqa: ANN401
    try:
        await insert_many(collection, documents, kept)
    except BulkWriteError as error:
        return refusals(error)
    return []


def refusals(error: BulkWriteError) -> list[Refusal]:
    """What is about single documents in a failed write; raises it again if the write as a whole is in doubt."""
    errors = error.details["writeErrors"]
    if error.details.get("writeConcernErrors") or any(one["code"] in _OF_THE_SERVER for one in errors):
        raise error
    return [Refusal(one["index"], one["code"], str(one["errmsg"])[:_TEXT_LENGTH]) for one in errors]


def _why_unfit(document: Document) -> str | None:
    try:
        size = len(bson.encode(document))
    except _UNENCODABLE as error:
        return f"{type(error).__name__}: {str(error)[:_TEXT_LENGTH]}"
    return f"{size} bytes, more than MongoDB's {_DOCUMENT_LIMIT_BYTES}" if size > _DOCUMENT_LIMIT_BYTES else None


def utc(milliseconds: int) -> datetime:
    """A time as MongoDB takes it."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def milliseconds(moment: datetime) -> int:
    """A time as MongoDB gives it."""
    return round(moment.timestamp() * 1000)
