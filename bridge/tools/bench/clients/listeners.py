"""Subscribers that keep more than a count: every cursor, or what they are told of gaps."""

from __future__ import annotations

import re
import socket
from array import array
from typing import Any

import orjson

from bridge.tools.bench.address import Address
from bridge.tools.bench.clients.subscriber import HEAD, PING, PONG, ReceiveBuffer, Subscriber

CURSOR = re.compile(rb'\},"cursor":(\d+)[,}]')
"""After the reading it belongs to: so the cursor in an acknowledgement is not taken for one."""
GAP = re.compile(rb'\["gap",(\{[^}]*\})\]')

_FAST_BYTES = 1024 * 1024


class Matches:
    """Every match of a pattern's group in bytes that come in pieces."""

    def __init__(self, pattern: re.Pattern[bytes], longest_bytes: int) -> None:
        """`longest_bytes` is the length of the longest match."""
        self._pattern = pattern
        self._longest = longest_bytes
        self._tail = b""

    def feed(self, piece: bytes) -> list[bytes]:
        """Those that end in this piece."""
        text, end, found = self._tail + piece, 0, []
        for match in self._pattern.finditer(text):
            found.append(match[1])
            end = match.end()
        self._tail = text[max(end, len(text) - self._longest) :]
        return found


class CursorSubscriber(Subscriber):
    """Keeps the cursor of every reading: 0.7 µs each."""

    def __init__(self, arena: ReceiveBuffer, address: Address) -> None:
        """Not connected yet."""
        super().__init__(arena, address)
        self._matches = Matches(CURSOR, 40)
        self.cursors = array("q")
        self.at_answer = 0
        """How many came before the acknowledgement of `subscribe`."""

    def _find(self, buffer: bytearray, start: int, end: int) -> int:
        self._tail = bytes(buffer[max(start, end - len(PING) + 1) : end])
        return self._keep(bytes(buffer[HEAD:end]))

    def _keep(self, piece: bytes) -> int:
        found = self._matches.feed(piece)
        self.cursors.extend(map(int, found))
        return len(found)

    def take(self, packet: bytes) -> None:
        """A whole packet that came by another way than the WebSocket."""
        self.count += self._keep(packet)

    def _answered(self, rest: bytes) -> None:
        self.at_answer = len(self.cursors) - len(CURSOR.findall(rest))
        if not self._resuming:
            del self.cursors[: self.at_answer]
            self.at_answer, self.count = 0, len(self.cursors)


class AttentiveSubscriber(CursorSubscriber):
    """Keeps what it is told of gaps, too: after which cursor, and up to which."""

    def __init__(self, arena: ReceiveBuffer, address: Address) -> None:
        """Not connected yet."""
        super().__init__(arena, address)
        self._gaps = Matches(GAP, 256)
        self.gaps: list[tuple[int, int]] = []

    def _keep(self, piece: bytes) -> int:
        for told in map(orjson.loads, self._gaps.feed(piece)):
            self.gaps.append((told["from"], told["to"]))
        return super()._keep(piece)


class StallingSubscriber(Subscriber):
    """Stops reading, reads again, and keeps what it is told of gaps."""

    def __init__(self, arena: ReceiveBuffer, address: Address) -> None:
        """Not connected yet."""
        super().__init__(arena, address)
        self._matches = Matches(GAP, 256)
        self.gaps: list[dict[str, Any]] = []

    def _find(self, buffer: bytearray, start: int, end: int) -> int:
        self.gaps.extend(map(orjson.loads, self._matches.feed(bytes(buffer[HEAD:end]))))
        return super()._find(buffer, start, end)

    @property
    def missed(self) -> int:
        """Readings it was told it did not get."""
        return sum(gap["missed"] for gap in self.gaps)

    def stall(self) -> None:
        """Read nothing from now on."""
        self._transport.pause_reading()

    def resume(self) -> None:
        """Read again, as fast as can be: with the small buffer of before, megabytes would take half a minute."""
        if not self._transport.is_closing():
            plug = self._transport.get_extra_info("socket")
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _FAST_BYTES)
            self._transport.resume_reading()

    def pong(self) -> None:
        """What a client sends that is alive; it cannot see the pings."""
        if not self._transport.is_closing():
            self._transport.write(PONG)
