"""The acknowledgement window, tested with a model of a broker: deliver, store, fail, disconnect, reconnect, redeliver."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bridge.core.ack_window import AckWindow


def test_acknowledgements_wait_for_the_oldest_message() -> None:
    window = AckWindow()
    for packet_id in (7, 3, 9):
        window.add(packet_id)
    assert window.acknowledge(9) == []
    assert window.acknowledge(3) == []
    assert window.acknowledge(7) == [7, 3, 9]
    assert len(window) == 0


def test_packet_id_can_be_reused() -> None:
    window = AckWindow()
    for _ in range(3):
        window.add(1)
        assert window.acknowledge(1) == [1]


class BrokerAndBridge(RuleBasedStateMachine):
    """A broker with a session queue and a receive window, and a bridge that stores in any order and may fail.

    Invariant: a message leaves the broker only after it was stored; acknowledgements are sent in the order of delivery, on
    the connection of the delivery; everything unacknowledged is redelivered.
    """

    RECEIVE_MAXIMUM = 5

    def __init__(self) -> None:
        super().__init__()
        self.published = 0
        self.queue: list[int] = []  # at the broker, in order
        self.in_flight: dict[int, int] = {}  # packet id to message, in the order of delivery
        self.acknowledged: set[int] = set()  # deleted by the broker
        self.stored: set[int] = set()
        self.held: list[tuple[AckWindow, int, int]] = []  # at the bridge: window, packet id, message
        self.window = AckWindow()

    @rule()
    def publish(self) -> None:
        self.queue.append(self.published)
        self.published += 1

    @precondition(lambda self: self.queue and len(self.in_flight) < self.RECEIVE_MAXIMUM)
    @rule()
    def deliver(self) -> None:
        packet_id = next(n for n in range(1, 100) if n not in self.in_flight)
        message = self.queue.pop(0)
        self.in_flight[packet_id] = message
        self.window.add(packet_id)
        self.held.append((self.window, packet_id, message))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def store(self, data: st.DataObject) -> None:
        """Store in any order; a message of an earlier connection is stored too, but not acknowledged."""
        window, packet_id, message = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        self.stored.add(message)
        ready = window.acknowledge(packet_id)
        if window is not self.window:
            return
        for packet_id in ready:
            first = next(iter(self.in_flight))
            assert packet_id == first, "acknowledged in the order of delivery, and only what is in flight"
            self.acknowledged.add(self.in_flight.pop(packet_id))

    @precondition(lambda self: self.held)
    @rule()
    def the_store_fails(self) -> None:
        """Nothing is acknowledged: the message is retried later."""
        self.held.append(self.held.pop(0))

    @rule()
    def reconnect(self) -> None:
        self.queue[:0] = self.in_flight.values()
        self.in_flight.clear()
        self.window = AckWindow()

    @rule()
    def the_bridge_is_killed(self) -> None:
        self.held.clear()
        self.reconnect()

    @invariant()
    def nothing_is_lost(self) -> None:
        assert self.acknowledged <= self.stored
        at_the_broker = set(self.queue) | set(self.in_flight.values())
        assert self.acknowledged | at_the_broker == set(range(self.published))
        assert not self.acknowledged & at_the_broker


TestBrokerAndBridge = BrokerAndBridge.TestCase
TestBrokerAndBridge.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
