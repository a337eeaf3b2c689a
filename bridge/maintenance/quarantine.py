"""The rejected messages for the person who looks after the bridge: what there is, one of them whole, remove."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from bson.errors import InvalidId
from bson.objectid import ObjectId
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bridge.core.errors import BridgeError
from bridge.core.payload import PAYLOAD_LIMIT_BYTES
from bridge.core.query import QuarantineQuery
from bridge.core.readings.identity import Cursor
from bridge.core.timestamp import iso
from bridge.ports import Store
from bridge.settings import StoreSettings
from bridge.stores import open_store

STEP = 200
"""Messages held at once: at most 64 KiB each."""

FIRST = ObjectId(b"\0" * 12)
"""Before every message."""

_HEX_WIDTH = 16

Advance = Callable[[int], None]


def as_id(text: str) -> ObjectId:
    """The `_id` of a message; raises `BridgeError`."""
    try:
        return ObjectId(text)
    except InvalidId:
        raise BridgeError(
            f"{text[:64]!r} is no id of a message: 24 hexadecimal digits, as `rejected list` shows them"
        ) from None


@asynccontextmanager
async def prepared(settings: StoreSettings) -> AsyncIterator[tuple[Store, Cursor]]:
    """The store, and a cursor above all it holds."""
    async with open_store(settings) as store:
        yield store, Cursor(await store.prepare())


# --- looking ---------------------------------------------------------------------------------------------------------


async def list_groups(store: Store, console: Console) -> None:
    """What there is, by code and field."""
    groups = await store.quarantine.groups()
    if not groups:
        console.print("the quarantine is empty")
        return
    table = Table(title=f"{sum(group.count for group in groups):,} rejected messages", title_justify="left")
    for column in ("code", "field", "count", "newest", "an example"):
        table.add_column(column, justify="right" if column == "count" else "left", overflow="fold")
    for group in groups:
        add_row(table, group.code, group.field or "", f"{group.count:,}", iso(group.newest_ms), group.reason)
    console.print(table)


async def list_messages(store: Store, query: QuarantineQuery, console: Console) -> None:
    """The newest messages."""
    table = Table("id", "received", "topic", "code", "field", "reason")
    for one in await store.quarantine.messages(query):
        add_row(table, str(one.id), iso(one.received_ms), one.topic, one.code, one.field or "", one.reason)
    console.print(table)


async def show_message(store: Store, identity: ObjectId, console: Console) -> None:
    """One message whole; raises `BridgeError` if it is not there."""
    found = await store.quarantine.messages(QuarantineQuery(id=identity, limit=1))
    if not found:
        raise BridgeError(f"there is no rejected message {identity}")
    one = found[0]
    for name, text in (
        ("id", str(one.id)),
        ("received", iso(one.received_ms)),
        ("source", one.source),
        ("topic", one.topic),
        ("code", one.code),
        ("field", one.field or ""),
        ("reason", one.reason),
        ("retained", "yes" if one.retained else ""),
        ("payload", f"{len(one.payload)} bytes{' (cut)' if len(one.payload) == PAYLOAD_LIMIT_BYTES else ''}"),
    ):
        if text:
            console.out(f"{name:9} {_printable(text)}", highlight=False)
    console.out(shown_payload(one.payload), highlight=False)


def shown_payload(payload: bytes) -> str:
    """Text with what cannot be printed escaped; hexadecimal beside it where the bytes are no text."""
    try:
        return _printable(payload.decode("utf-8"), keep="\n\t")
    except UnicodeDecodeError:
        rows = (payload[start : start + _HEX_WIDTH] for start in range(0, len(payload), _HEX_WIDTH))
        return "\n".join(
            f"{number * _HEX_WIDTH:05x}  {row.hex(' '):{3 * _HEX_WIDTH}} {_ascii(row)}" for number, row in enumerate(rows)
        )


def add_row(table: Table, *cells: str) -> None:
    """Strangers' texts are neither markup nor control characters."""
    table.add_row(*(Text(_printable(cell)) for cell in cells))


def _ascii(row: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)


def _printable(text: str, keep: str = "") -> str:
    """No control character of a stranger's reaches the terminal."""
    return "".join(one if one.isprintable() or one in keep else ascii(one)[1:-1] for one in text)


# --- removing --------------------------------------------------------------------------------------------------------


async def clear(store: Store, query: QuarantineQuery, advance: Advance = lambda _: None) -> int:
    """Remove the messages that were received up to now; how many."""
    until_ms = time.time_ns() // 1_000_000
    after, removed = FIRST, 0
    while messages := await store.quarantine.messages(replace(query, after=after, limit=STEP)):
        removed += await store.quarantine.release([one.id for one in messages if one.received_ms <= until_ms])
        after = messages[-1].id
        advance(len(messages))
    return removed
