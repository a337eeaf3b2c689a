"""An insert straight over a connection of PyMongo's pool: every reach into PyMongo's inside is in this file.

PyMongo's asyncio client makes three tasks and nine turns of the event loop for each call. An insert of one reading into mongod
on the same machine, every 3 ms: 2.6 ms and 0.55 ms of our CPU this way; 3.4 and 1.2 by `insert_many`; 3.3 and 1.3 through
Motor, which has a thread to wake (medians of 3 × 350, 2 cores, Python 3.11). Choosing the server, handshake, TLS, login, the
pool, encoding and what an answer means stay PyMongo's. Where one of the names below is gone, `insert_many` is used; a test
notices.
"""

from __future__ import annotations

import asyncio
import pkgutil
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from pymongo import AsyncMongoClient
from pymongo.errors import BulkWriteError, NetworkTimeout

Document = dict[str, Any]

_REACHED_FOR = (
    "pymongo.asynchronous.mongo_client:AsyncMongoClient._select_server",
    "pymongo.asynchronous.mongo_client:AsyncMongoClient._checkout",
    "pymongo.asynchronous.pool:AsyncConnection.add_server_api",
    "pymongo.asynchronous.pool:AsyncConnection.conn_closed",
    "pymongo.asynchronous.pool:AsyncConnection._raise_connection_failure",
    "pymongo.network_layer:PyMongoProtocol.write",
    "pymongo.network_layer:PyMongoProtocol.read",
    "pymongo.message:_op_msg",
    "pymongo.message:_OpMsg.unpack",
    "pymongo.helpers_shared:_check_command_response",
    "pymongo.server_selectors:writable_server_selector",
)


def missing_of(names: Iterable[str]) -> list[str]:
    """Those of `module:attribute.attribute` that are not there."""
    missing = []
    for name in names:
        try:
            pkgutil.resolve_name(name)
        except (ImportError, AttributeError):
            missing.append(name)
    return missing


MISSING = missing_of(_REACHED_FOR)
"""What this version of PyMongo does not have of what is used here."""

if TYPE_CHECKING or not MISSING:
    from pymongo import helpers_shared, message
    from pymongo.asynchronous.pool import AsyncConnection
    from pymongo.server_selectors import writable_server_selector


class KeptConnection:
    """The connection of one insert, kept for the next: 0.2 ms less than choosing a server and asking the pool each time.

    It goes back to the pool with the first error, of which PyMongo learns as of any other.
    """

    def __init__(self) -> None:
        """None yet."""
        self._checkout: Any = None
        self._connection: AsyncConnection | None = None
        self._busy = False

    @asynccontextmanager
    async def of(self, client: AsyncMongoClient[Any]) -> AsyncIterator[AsyncConnection]:
        """A connection to where writes go; one of its own for whoever comes while it is used."""
        if self._busy:
            async with await _checked_out(client) as connection:
                yield connection
            return
        self._busy = True
        try:
            if self._connection is None or self._connection.conn_closed():
                await self.give_back()
                checkout = await _checked_out(client)
                self._connection, self._checkout = await checkout.__aenter__(), checkout
            yield self._connection
        except BaseException as error:
            await self.give_back(error)
            raise
        finally:
            self._busy = False

    async def give_back(self, error: BaseException | None = None) -> None:
        """To the pool. Safe to repeat."""
        checkout, self._checkout, self._connection = self._checkout, None, None
        if checkout is not None:
            await checkout.__aexit__(type(error) if error else None, error, None)


async def _checked_out(client: AsyncMongoClient[Any]) -> Any:  # noqa: ANN401
    return client._checkout(await client._select_server(writable_server_selector, None, "insert"), None)


async def insert_many(collection: Any, documents: Sequence[Document], kept: KeptConnection | None = None) -> None:  # noqa: ANN401
    """As `collection.insert_many(documents, ordered=False)`, errors included, in the client's `timeoutMS`; not tried again when
    the connection breaks. Takes that way itself for what needs more than one message, and for a client that is not PyMongo's.
    """
    client = collection.database.client
    if MISSING or not isinstance(client, AsyncMongoClient) or not await _in_one_message(client, kept, collection, documents):
        await collection.insert_many(documents, ordered=False)


async def _in_one_message(
    client: AsyncMongoClient[Any],
    kept: KeptConnection | None,
    collection: Any,  # noqa: ANN401
    documents: Sequence[Document],
) -> bool:
    try:
        async with asyncio.timeout(client.options.timeout):
            async with kept.of(client) if kept else await _checked_out(client) as connection:
                reply = await _asked(connection, collection, documents)
    except TimeoutError as error:
        raise NetworkTimeout(f"no answer to an insert within {client.options.timeout:g} s") from error
    if reply is None:
        return False
    if reply.get("writeErrors"):
        raise BulkWriteError(reply | {"writeConcernErrors": [reply[key] for key in ("writeConcernError",) if key in reply]})
    return True


async def _asked(connection: AsyncConnection, collection: Any, documents: Sequence[Document]) -> Document | None:  # noqa: ANN401
    """The server's answer; None, and nothing was sent, if one message is not enough. A connection that failed, or that somebody
    stopped waiting at, is closed: the answer that may still come is not the next one's.
    """
    command = {"insert": collection.name, "documents": documents, "ordered": False}
    command["writeConcern"] = collection.write_concern.document
    connection.add_server_api(command)
    request, encoded, _, largest = message._op_msg(
        0, command, collection.database.name, None, collection.codec_options, connection.compression_context
    )
    limits = connection.max_write_batch_size, connection.max_bson_size, connection.max_message_size
    if len(documents) > limits[0] or largest > limits[1] or len(encoded) > limits[2]:
        return None
    wire = connection.conn.get_conn
    try:
        await wire.write(encoded)
        answer, _ = await wire.read(request, connection.max_message_size)
    except BaseException as error:
        await connection._raise_connection_failure(error)
    reply: Document = message._OpMsg.unpack(answer).unpack_response(codec_options=collection.codec_options)[0]
    helpers_shared._check_command_response(
        reply, connection.max_wire_version, parse_write_concern_error="writeErrors" not in reply
    )
    return reply
