"""Frequent calls, directly over a connection of PyMongo's pool. Only this file and `condition_wait.py` use its private names.

PyMongo's asyncio client makes three tasks and nine turns of the event loop for each call. Measured with 50 clients, mongod on
the same machine (2 cores, Python 3.11, PyMongo 4.20, `make bench`, medians of six interleaved pairs of 10 s), the bridge's CPU
a reading was 593 µs against 828 µs through `insert_many` at 200 readings/s, and 310 µs against 380 µs at 1,000 readings/s. The
median latency did not differ by more than the noise. One insert every 3 ms without clients: 2.6 ms and 0.55 ms of CPU against
3.4 and 1.2 by `insert_many` and 3.3 and 1.3 through Motor, which has a thread to wake (medians of 3 × 350).

Server selection, handshake, TLS, login, the pool, encoding and the meaning of an answer stay PyMongo's.
"""

import asyncio
import pkgutil
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pymongo
from pymongo import AsyncMongoClient
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DocumentTooLarge,
    NetworkTimeout,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from bridge.core.errors import StoreError

Document = dict[str, Any]

SUPPORTED = "pymongo>=4.18.2,<4.21"
"""As in pyproject.toml."""

_PRIVATE_NAMES = (
    "pymongo.asynchronous.mongo_client:AsyncMongoClient._select_server",
    "pymongo.asynchronous.mongo_client:AsyncMongoClient._checkout",
    "pymongo.asynchronous.pool:AsyncConnection.add_server_api",
    "pymongo.asynchronous.pool:AsyncConnection.conn_closed",
    "pymongo.asynchronous.pool:AsyncConnection._raise_connection_failure",
    "pymongo.network_layer:PyMongoProtocol.write",
    "pymongo.network_layer:PyMongoProtocol.read",
    "pymongo.lock:wait_for",
    "pymongo.lock:_async_cond_wait",
    "pymongo.message:_op_msg",
    "pymongo.message:_OpMsg.unpack",
    "pymongo.helpers_shared:_check_command_response",
    "pymongo.server_selectors:writable_server_selector",
)


def missing_names(names: Iterable[str]) -> list[str]:
    """Return the names (`module:attribute.attribute`) that cannot be resolved."""
    missing = []
    for name in names:
        try:
            pkgutil.resolve_name(name)
        except (ImportError, AttributeError):
            missing.append(name)
    return missing


_MISSING = missing_names(_PRIVATE_NAMES)

if TYPE_CHECKING or not _MISSING:
    from pymongo import helpers_shared, message
    from pymongo.asynchronous.pool import AsyncConnection
    from pymongo.server_selectors import writable_server_selector


def check_supported(missing: Sequence[str] = _MISSING) -> None:
    """Raise `StoreError` if this version of PyMongo lacks a name that this module uses."""
    if missing:
        raise StoreError(f"pymongo {pymongo.version} is not supported: {', '.join(missing)} changed; install {SUPPORTED!r}")


class DirectConnection:
    """Calls over one connection, which it holds between calls: 0.2 ms less than selecting a server and asking the pool.

    The first error returns the connection to the pool, and PyMongo handles the error as any other. A call is not retried when
    the connection breaks.
    """

    def __init__(self, client: AsyncMongoClient[Any]) -> None:
        self._client = client
        self._checkout: Any = None
        self._connection: AsyncConnection | None = None
        self._busy = False

    async def insert_many(self, collection: Any, documents: Sequence[Document]) -> None:  # noqa: ANN401
        """Do as `collection.insert_many(documents, ordered=False)` within the client's `timeoutMS`, errors included.

        If it needs several messages, it is left to PyMongo.
        """
        command = {"insert": collection.name, "documents": documents, "ordered": False}
        reply = await self._run(collection, command, len(documents))
        if reply is None:
            await collection.insert_many(documents, ordered=False)
        elif reply.get("writeErrors"):
            concern_errors = [reply[key] for key in ("writeConcernError",) if key in reply]
            raise BulkWriteError(reply | {"writeConcernErrors": concern_errors})

    async def find_one_and_update(self, collection: Any, wanted: Document, change: Any) -> Document | None:  # noqa: ANN401
        """Do as `collection.find_one_and_update(wanted, change)`, but return the document as it is then.

        Within the client's `timeoutMS`, errors included. Raises `DocumentTooLarge` if it needs several messages.
        """
        command = {"findAndModify": collection.name, "query": wanted, "update": change, "new": True}
        reply = await self._run(collection, command)
        if reply is None:
            raise DocumentTooLarge(f"an update of {collection.name} is larger than a message")
        found: Document | None = reply["value"]
        return found

    async def find(self, collection: Any, wanted: Document, sort: Document, limit: int) -> list[Document]:  # noqa: ANN401
        """Do as `collection.find(wanted, sort=sort, limit=limit)` with the read preference primary.

        100 readings take 0.9 ms of CPU instead of 1.4. After a connection broke, and where the answer needs several messages,
        PyMongo reads again; an error that the server reports is raised at once.
        """
        # With one more than the limit the server closes the cursor itself.
        command = {"find": collection.name, "filter": wanted, "sort": sort, "limit": limit, "batchSize": limit + 1}
        try:
            reply = await self._run(collection, command)
        except (NetworkTimeout, ServerSelectionTimeoutError):  # the deadline is over
            raise
        except AutoReconnect:
            reply = None
        if reply is not None and not reply["cursor"]["id"]:
            found: list[Document] = reply["cursor"]["firstBatch"]
            return found
        if reply is not None:
            with suppress(PyMongoError):
                await collection.database.command("killCursors", collection.name, cursors=[reply["cursor"]["id"]])
        return [document async for document in collection.find(wanted, sort=list(sort.items()), limit=limit)]

    async def find_by_id(self, collection: Any, identity: str) -> Document | None:  # noqa: ANN401
        """Do as `collection.find_one({"_id": identity})`, as `find` does."""
        found = await self.find(collection, {"_id": identity}, {}, 1)
        return found[0] if found else None

    async def _run(self, collection: Any, command: Document, documents: int = 1) -> Document | None:  # noqa: ANN401
        """Return the answer to a command with so many documents; None, with nothing sent, if it needs several messages.

        The deadline is that of the answer. Selecting a server has PyMongo's own deadline: another one that ends at the same
        moment cancels the wait for the topology's lock twice, and in Python 3.11 the lock is held for ever then.
        """
        seconds = self._client.options.timeout
        async with self._acquired() as connection:
            try:
                async with asyncio.timeout(seconds):
                    return await _run(connection, collection, command, documents)
            except TimeoutError as error:
                raise NetworkTimeout(f"no answer to {next(iter(command))} within {seconds:g} s") from error

    @asynccontextmanager
    async def _acquired(self) -> AsyncIterator[AsyncConnection]:
        """The held connection to the primary; a separate one for a call that begins while another runs."""
        if self._busy:
            async with await self._checked_out() as connection:
                yield connection
            return
        self._busy = True
        try:
            if self._connection is None or self._connection.conn_closed():
                await self.close()
                checkout = await self._checked_out()
                self._connection, self._checkout = await checkout.__aenter__(), checkout
            yield self._connection
        except BaseException as error:
            await self.close(error)
            raise
        finally:
            self._busy = False

    async def _checked_out(self) -> Any:  # noqa: ANN401
        server = await self._client._select_server(writable_server_selector, None, "write")
        return self._client._checkout(server, None)

    async def close(self, error: BaseException | None = None) -> None:
        """Return the held connection to the pool. Safe to repeat; the next call takes another."""
        checkout, self._checkout, self._connection = self._checkout, None, None
        if checkout is not None:
            await checkout.__aexit__(type(error) if error else None, error, None)


async def _run(connection: AsyncConnection, collection: Any, command: Document, documents: int) -> Document | None:  # noqa: ANN401
    """Return the server's answer; None, with nothing sent, if the command, with so many documents, needs several messages.

    A connection that failed, or whose caller was cancelled, is closed, so that its late answer is not taken for the next.
    """
    if "find" in command:
        command |= {"readConcern": level} if (level := collection.read_concern.document) else {}
    else:
        command["writeConcern"] = collection.write_concern.document
    connection.add_server_api(command)
    request, encoded, _, largest = message._op_msg(
        0, command, collection.database.name, None, collection.codec_options, connection.compression_context
    )
    limits = connection.max_write_batch_size, connection.max_bson_size, connection.max_message_size
    if documents > limits[0] or largest > limits[1] or len(encoded) > limits[2]:
        return None
    protocol = connection.conn.get_conn
    try:
        await protocol.write(encoded)
        answer, _ = await protocol.read(request, connection.max_message_size)
    except BaseException as error:
        await connection._raise_connection_failure(error)
    reply: Document = message._OpMsg.unpack(answer).unpack_response(codec_options=collection.codec_options)[0]
    helpers_shared._check_command_response(
        reply, connection.max_wire_version, parse_write_concern_error="writeErrors" not in reply
    )
    return reply
