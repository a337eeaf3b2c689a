"""The client of either driver, translated errors, and an insert that tells refused documents from a failed write."""

import asyncio
import inspect
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, unquote_plus, urlsplit

import bson
from bson.errors import BSONError
from pymongo import AsyncMongoClient
from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError

from bridge.core.errors import StoreUnavailable
from bridge.stores.mongo.condition_wait import make_waits_cancellable
from bridge.stores.mongo.direct import DirectConnection
from bridge.stores.mongo.remedy import remedy_for

DUPLICATE_KEY = 11000
# Codes about the server's state, not the document: retryable. From MongoDB's error_codes.yml: those that its drivers
# retry, then disk, memory and permissions.
_SERVER_CODES = frozenset(
    {6, 7, 89, 91, 134, 189, 262, 317, 358, 384, 9001, 10107, 11600, 11602, 13435, 13436}
    | {13, 18, 14031, 39, 50, 133, 146, 202, 211, 290, 12501}
)
_DOCUMENT_LIMIT_BYTES = 16 * 1024 * 1024
_UNENCODABLE = (BSONError, OverflowError, TypeError, ValueError)
_TEXT_LENGTH = 300

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A document that a write refused because of its content; `code` is the server's, 0 if it was never sent.

    `keys` are the fields of the unique index that refused it, if one did.
    """

    index: int
    code: int
    text: str
    keys: tuple[str, ...] = ()


def secrets_of(url: str) -> set[str]:
    """Return the parts of a URL that must not be printed: user, password and the values of options, as written and decoded."""
    parts = urlsplit(url)
    written = [*parts.netloc.rpartition("@")[0].split(":", 1), *re.findall("=([^&;]*)", parts.query)]
    return {text for each in written for text in (each, unquote(each), unquote_plus(each)) if text}


def client_class(driver: str) -> Any:  # noqa: ANN401 - Motor has no types
    if driver == "pymongo":
        make_waits_cancellable()
        return AsyncMongoClient
    from motor.motor_asyncio import AsyncIOMotorClient

    return AsyncIOMotorClient


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Raise the driver's errors as `StoreUnavailable`, with the first sentence of texts that can be pages long.

    A cancellation that the driver swallowed is raised again: PyMongo waits with `asyncio.wait_for`, which in Python 3.11 loses
    one that arrives together with the answer. Without this, about one in a few hundred shutdowns never ended.
    """
    task = asyncio.current_task()
    cancelled_before = task.cancelling() if task else 0
    try:
        yield
    except PyMongoError as error:
        if task and task.cancelling() > cancelled_before:
            raise asyncio.CancelledError from error
        text = str(error)
        for end in (", Timeout:", " (configured timeouts:", ", full error:"):
            text = text.partition(end)[0]
        raise StoreUnavailable(f"MongoDB: {type(error).__name__}: {text[:_TEXT_LENGTH]}", remedy_for(error)) from error
    if task and task.cancelling() > cancelled_before:
        raise asyncio.CancelledError


async def collected(cursor: Any) -> list[Document]:  # noqa: ANN401
    if inspect.isawaitable(cursor):
        cursor = await cursor
    return [document async for document in cursor]


async def insert(collection: Any, documents: Sequence[Document], direct: DirectConnection | None = None) -> list[Refusal]:  # noqa: ANN401
    """Insert in one unordered write, so that a bad document does not affect the others, and return the refused documents.

    Raises the driver's error if the write as a whole is in doubt.
    """
    try:
        return await _insert(collection, documents, direct)
    except (*_UNENCODABLE, OperationFailure):
        # One document may be the cause, and the error does not say which. Documents already sent are recognised by `_id`.
        unfit = {index: text for index, document in enumerate(documents) if (text := _why_unfit(document))}
        if not unfit:
            raise
    fit = [index for index in range(len(documents)) if index not in unfit]
    refused = await _insert(collection, [documents[index] for index in fit], direct) if fit else []
    return [
        *(Refusal(index, 0, text) for index, text in unfit.items()),
        *(replace(refusal, index=fit[refusal.index]) for refusal in refused),
    ]


async def _insert(collection: Any, documents: Sequence[Document], direct: DirectConnection | None) -> list[Refusal]:  # noqa: ANN401
    try:
        if direct is None:
            await collection.insert_many(documents, ordered=False)
        else:
            await direct.insert_many(collection, documents)
    except BulkWriteError as error:
        return refusals(error)
    return []


def refusals(error: BulkWriteError) -> list[Refusal]:
    """Return the documents that a failed write refused; raises `error` again if the write as a whole is in doubt."""
    errors = error.details["writeErrors"]
    if error.details.get("writeConcernErrors") or any(entry["code"] in _SERVER_CODES for entry in errors):
        raise error
    return [
        Refusal(entry["index"], entry["code"], str(entry["errmsg"])[:_TEXT_LENGTH], tuple(entry.get("keyPattern", ())))
        for entry in errors
    ]


def _why_unfit(document: Document) -> str | None:
    try:
        size = len(bson.encode(document))
    except _UNENCODABLE as error:
        return f"{type(error).__name__}: {str(error)[:_TEXT_LENGTH]}"
    return f"{size} bytes, more than MongoDB's {_DOCUMENT_LIMIT_BYTES}" if size > _DOCUMENT_LIMIT_BYTES else None


def utc(milliseconds: int) -> datetime:
    """Return milliseconds since the epoch as MongoDB stores a time."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def milliseconds(moment: datetime) -> int:
    """Return a time from MongoDB in milliseconds since the epoch."""
    return round(moment.timestamp() * 1000)
