"""A message on its way in, from whatever source, with its own way back."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bson.objectid import ObjectId

if TYPE_CHECKING:
    from bridge.core.decode import Decoded


class Outcome(enum.StrEnum):
    """What became of a message; the words of the ledger."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    DROPPED = "dropped"


class Origin(Protocol):
    """Where a message came from and where its acknowledgement goes: one MQTT connection, one HTTP request, one socket."""

    def settle(self, message: Message, outcome: Outcome, meaning: Decoded | None = None) -> None:
        """`message` is safe (or will never be). Called once per message, in order of arrival; must not block or raise.

        `meaning` is what it was decoded to; None when it was dropped before that.
        """


@dataclass(slots=True, eq=False)
class Message:
    """What arrived. `source` names its line in the ledger; `packet_id` and `origin` are its way back.

    `seed`, where the source has one, is the same when the message comes again: the identity of a reading without a time.
    `id` is that of a message that was rejected before, under which it is kept.
    """

    source: str
    topic: str
    payload: bytes
    received_ms: int
    origin: Origin
    qos: int = 1
    packet_id: int = 0
    retained: bool = False
    seed: str = ""
    id: ObjectId | None = None
