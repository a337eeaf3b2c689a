"""Look up and remove rejected messages."""

import time
from collections.abc import Callable
from dataclasses import replace

from bson.errors import InvalidId
from bson.objectid import ObjectId

from bridge.core.errors import BridgeError
from bridge.core.query import QuarantinedMessage, QuarantineQuery
from bridge.ports import Store

PAGE_SIZE = 200
"""Messages in memory at once, of at most 64 KiB each."""

FIRST = ObjectId(b"\0" * 12)
"""An id below that of every message."""

Advance = Callable[[int], None]
"""Called with the number of messages finished since the last call."""


async def get_message(store: Store, text: str) -> QuarantinedMessage:
    """Return the rejected message whose id is `text`. Raises `BridgeError` if the id is malformed or unknown."""
    try:
        message_id = ObjectId(text)
    except InvalidId:
        raise BridgeError(
            f"{text[:64]!r} is not a message id: expected 24 hexadecimal digits, as listed by `rejected list --messages`"
        ) from None
    messages = await store.quarantine.messages(QuarantineQuery(id=message_id, limit=1))
    if not messages:
        raise BridgeError(f"no rejected message has the id {message_id}")
    return messages[0]


async def clear(
    store: Store, query: QuarantineQuery, advance: Advance = lambda _: None, on_removed: Advance = lambda _: None
) -> int:
    """Remove the matching messages that were received before the call; return how many.

    `on_removed` receives the number removed of each page, also of those before an error.
    """
    until_ms = time.time_ns() // 1_000_000
    after, removed = FIRST, 0
    while messages := await store.quarantine.messages(replace(query, after=after, limit=PAGE_SIZE)):
        now = await store.quarantine.release([message.id for message in messages if message.received_ms <= until_ms])
        on_removed(now)
        removed += now
        after = messages[-1].id
        advance(len(messages))
    return removed
