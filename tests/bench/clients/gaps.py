"""Subscribers that record the gaps reported by the bridge."""

from __future__ import annotations

import re
import socket
from typing import Any, NamedTuple

import orjson

from bridge.tools.bench.address import Address
from bridge.tools.bench.clients.recording import CursorSubscriber, Matches
from bridge.tools.bench.clients.subscriber import HEAD, PONG, ReceiveBuffer, Subscriber

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
