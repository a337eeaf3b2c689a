"""A subscriber that records the cursor of every reading."""

import re
from array import array

from bridge.tools.bench.address import Address
from bridge.tools.bench.clients.subscriber import HEAD, PING, ReceiveBuffer, Subscriber

CURSOR = re.compile(rb'\},"cursor":(\d+)[,}]')
"""Follows its reading, so that the cursor in an acknowledgement does not match."""


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
