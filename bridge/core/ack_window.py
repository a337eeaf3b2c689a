"""The acknowledgement window of one MQTT connection: which packet ids may be acknowledged, and in which order.

PUBACKs are sent in the order of the PUBLISHes [MQTT-4.6.0-2]. A message that is done before an earlier one waits for it, so
the acknowledged messages are always a contiguous prefix of the delivered ones: an unstored message is never acknowledged by
accident, and after a reconnect the broker redelivers everything from the first unacknowledged message on.
"""

from collections import deque


class AckWindow:
    """Packet ids of one connection; the broker bounds their number (MQTT 5 Receive Maximum)."""

    def __init__(self) -> None:
        self._delivered: deque[int] = deque()
        self._done: set[int] = set()

    def __len__(self) -> int:
        return len(self._delivered)

    def add(self, packet_id: int) -> None:
        """Add a delivered message; its `packet_id` must not be in the window."""
        self._delivered.append(packet_id)

    def acknowledge(self, packet_id: int) -> list[int]:
        """Mark a message done; return the packet ids to acknowledge now, in order: none while an earlier one is not done."""
        self._done.add(packet_id)
        ready: list[int] = []
        while self._delivered and self._delivered[0] in self._done:
            first = self._delivered.popleft()
            self._done.discard(first)
            ready.append(first)
        return ready
