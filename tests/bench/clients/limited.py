"""Subscribers that read at a limited rate, and record what they are sent."""

from __future__ import annotations

import re
from array import array
from collections.abc import Mapping
from itertools import pairwise

from bridge.tools.bench.address import Address
from bridge.tools.bench.clients.plain import ChannelSubscriber, TopicSubscriber
from bridge.tools.bench.clients.recording import Matches
from bridge.tools.bench.clients.subscriber import HEAD, ReceiveBuffer, Subscriber
from tests.bench.clients.gaps import GAP, ReportedGap

_CURSOR = re.compile(rb'"cursor":(\d+)[,}]')
_PLAIN_GAP = re.compile(rb'(\{"type":"gap"[^}]*\})')


class LimitedSubscriber(Subscriber):
    GAP = GAP

    def __init__(self, receive_buffer: ReceiveBuffer, address: Address) -> None:
        super().__init__(receive_buffer, address)
        self._matches = Matches(_CURSOR, 40)
        self._gap_matches = Matches(self.GAP, 256)
        self.cursors = array("q")
        """Those of the readings, where the protocol has them."""
        self.gaps: list[ReportedGap] = []

    def _count_readings(self, buffer: bytearray, start: int, end: int) -> int:
        piece = bytes(buffer[HEAD:end])
        self.cursors.extend(map(int, self._matches.feed(piece)))
        self.gaps += map(ReportedGap.parse, self._gap_matches.feed(piece))
        return super()._count_readings(buffer, start, end)

    @property
    def repeats(self) -> int:
        return len(self.cursors) - len(set(self.cursors))

    @property
    def inversions(self) -> int:
        """How often a reading came after a newer one."""
        return sum(second < first for first, second in pairwise(self.cursors))


class LimitedTopicSubscriber(LimitedSubscriber, TopicSubscriber):
    GAP = _PLAIN_GAP


class LimitedChannelSubscriber(LimitedSubscriber, ChannelSubscriber):
    GAP = _PLAIN_GAP


LIMITED: Mapping[str, type[LimitedSubscriber]] = {
    "socketio": LimitedSubscriber,
    "topics": LimitedTopicSubscriber,
    "channels": LimitedChannelSubscriber,
}
"""Clients by the values of `Load.way`."""
