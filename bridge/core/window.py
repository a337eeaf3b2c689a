"""The acknowledgement window of one MQTT connection: which packet ids may be acknowledged, and in which order.

PUBACKs go in the order in which the PUBLISHes came [MQTT-4.6.0-2]. A message that is settled before an earlier one waits for
it, so what the broker believes done is always a contiguous prefix of what it delivered: nothing that we still hold can
be acknowledged by accident, and after a reconnect everything from the first unsettled message on comes again.
"""

from __future__ import annotations

from collections import deque


class AckWindow:
    """Packet ids of one connection. The window is as large as the broker's: MQTT 5 Receive Maximum."""

    def __init__(self) -> None:
        """Nothing delivered yet."""
        self._delivered: deque[int] = deque()
        self._settled: set[int] = set()

    def __len__(self) -> int:
        """Delivered and not yet to be acknowledged."""
        return len(self._delivered)

    def add(self, packet_id: int) -> None:
        """The broker delivered a message under `packet_id`, which is not in use."""
        self._delivered.append(packet_id)

    def acknowledge(self, packet_id: int) -> list[int]:
        """`packet_id` is done; the ids that may be acknowledged now, in order: none while an earlier one is not."""
        self._settled.add(packet_id)
        ready: list[int] = []
        while self._delivered and self._delivered[0] in self._settled:
            first = self._delivered.popleft()
            self._settled.discard(first)
            ready.append(first)
        return ready
