"""Subscribers that record more than a count: the cursor of every reading, or the gaps reported by the bridge."""

from __future__ import annotations

import re
import socket
from array import array
from typing import Any, NamedTuple

import orjson

from bridge.tools.bench.address import Address
from bridge.tools.bench.clients.subscriber import HEAD, PING, PONG, ReceiveBuffer, Subscriber

CURSOR = re.compile(rb'\},"cursor":(\d+)[,}]')
"""Follows its reading, so that the cursor in an acknowledgement does not match."""
GAP = re.compile(rb'\["gap",(\{[^}]*\})\]')

_LARGE_BUFFER_BYTES = 1024 * 1024


class ReportedGap(NamedTuple):
    """Readings after one cursor and up to another that the bridge reported as missed."""

    after: int
    until: int
    missed: int

    @classmethod
    def parse(cls, text: bytes) -> ReportedGap:
        body: dict[str, Any] = orjson.loads(text)
        return cls(body["from"], body["to"], body["missed"])


class Matches:
    """Finds every match of a pattern's group in bytes that arrive in pieces."""

    def __init__(self, pattern: re.Pattern[bytes], longest_bytes: int) -> None:
        """`longest_bytes` is the maximum length of a match."""
        self._pattern = pattern
        self._longest = longest_bytes
        self._tail = b""

    def feed(self, piece: bytes) -> list[bytes]:
        text, end, matches = self._tail + piece, 0, []
        for match in self._pattern.finditer(text):
            matches.append(match[1])
            end = match.end()
        self._tail = text[max(end, len(text) - self._longest) :]
        return matches


class CursorSubscriber(Subscriber):
    """Records the cursor of every reading: 0.7 µs each."""

    def __init__(self, receive_buffer: ReceiveBuffer, address: Address) -> None:
        super().__init__(receive_buffer, address)
        self._matches = Matches(CURSOR, 40)
        self.cursors = array("q")
        self.before_response = 0
        """Number of cursors received before the acknowledgement of the last request."""

    def _count_readings(self, buffer: bytearray, start: int, end: int) -> int:
        self._tail = bytes(buffer[max(start, end - len(PING) + 1) : end])
        return self._record(bytes(buffer[HEAD:end]))

    def _record(self, piece: bytes) -> int:
        matches = self._matches.feed(piece)
        self.cursors.extend(map(int, matches))
        return len(matches)

    def feed_packet(self, packet: bytes) -> None:
        """Record a packet that did not arrive over the WebSocket."""
        self.count += self._record(packet)

    def _on_response(self, rest: bytes) -> None:
        self.before_response = len(self.cursors) - len(CURSOR.findall(rest))
        if not self._resuming:
            del self.cursors[: self.before_response]
            self.before_response, self.count = 0, len(self.cursors)


class GapCursorSubscriber(CursorSubscriber):
    def __init__(self, receive_buffer: ReceiveBuffer, address: Address) -> None:
        super().__init__(receive_buffer, address)
        self._gap_matches = Matches(GAP, 256)
        self.gaps: list[ReportedGap] = []

    def _record(self, piece: bytes) -> int:
        self.gaps += map(ReportedGap.parse, self._gap_matches.feed(piece))
        return super()._record(piece)


class StallingSubscriber(Subscriber):
    def __init__(self, receive_buffer: ReceiveBuffer, address: Address) -> None:
        super().__init__(receive_buffer, address)
        self._gap_matches = Matches(GAP, 256)
        self.gaps: list[ReportedGap] = []

    def _count_readings(self, buffer: bytearray, start: int, end: int) -> int:
        self.gaps += map(ReportedGap.parse, self._gap_matches.feed(bytes(buffer[HEAD:end])))
        return super()._count_readings(buffer, start, end)

    @property
    def missed(self) -> int:
        return sum(gap.missed for gap in self.gaps)

    def stall(self) -> None:
        self._transport.pause_reading()

    def resume(self) -> None:
        """Read again with a large buffer: with the small one, megabytes would take half a minute."""
        if not self._transport.is_closing():
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _LARGE_BUFFER_BYTES)
            self._transport.resume_reading()

    def pong(self) -> None:
        """Send a pong as a live client does; a stalled one cannot see the pings."""
        if not self._transport.is_closing():
            self._transport.write(PONG)
