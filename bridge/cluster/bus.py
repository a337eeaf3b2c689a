"""The bus: carries messages between the bridges of a cluster, and may lose, repeat and reorder them.

The store is the log, so nothing here is retried or acknowledged: what the bus loses is read from the store.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from bridge.cluster.envelope import MESSAGE_LIMIT_BYTES
from bridge.core.errors import Unavailable
from bridge.pipeline.backoff import delays
from bridge.pipeline.clock import monotonic_seconds

log = logging.getLogger(__name__)

SEND_LIMIT_BYTES = 32 * 1024 * 1024
"""How much may wait to be sent: two of the largest messages, or some seconds of readings at full speed."""
PREFERRED_BYTES = 128 * 1024
"""Senders split what they can into messages of at most this size. Mosquitto drops larger ones than its `message_size_limit`
(262,144 in the file that we ship) without a word."""
RECONNECT_CAP_SECONDS = 1.0
_RECONNECT_FIRST_SECONDS = 0.1
_STABLE_SECONDS = 5.0  # a connection that lasted as long begins the next series of delays anew
_REASONS = 20

OnMessage = Callable[[bytes], None]
"""Receives each message in the event loop's thread. It must neither wait nor raise."""


@dataclass(slots=True)
class BusCounters:
    """Messages since the start. A message is sent when it is in the send buffer: it may still be lost."""

    sent: int = 0
    received: int = 0
    unsent_disconnected: int = 0
    unsent_full: int = 0
    unsent_oversized: int = 0
    connections: int = 0


class Bus(Protocol):
    """The seam of the bus. Messages of this bridge may be delivered to itself too."""

    on_connected: Callable[[], object]
    """Called after each connection: what other bridges said before it was made is lost. Must not raise."""

    @property
    def connected(self) -> bool:
        """Whether messages are sent and received now."""

    @property
    def address(self) -> str:
        """The URL of the broker without credentials, for logs; what it is if there is none."""

    @property
    def message_limit_bytes(self) -> int:
        """The largest message that the broker accepts, as far as it said so."""

    @property
    def counters(self) -> BusCounters:
        """Counts of messages."""

    async def run(self, on_message: OnMessage) -> None:
        """Keep a connection until cancelled, and call `on_message` for each message."""

    def publish(self, data: bytes) -> bool:
        """Send a message without waiting; False, and counted, if that is not possible now. Never raises."""


class NoBus:
    """Without a bus every bridge reads everything from the store."""

    connected = False
    address = "none"
    message_limit_bytes = MESSAGE_LIMIT_BYTES

    def __init__(self) -> None:
        self.on_connected: Callable[[], object] = lambda: None
        self.counters = BusCounters()

    async def run(self, on_message: OnMessage) -> None:  # noqa: ARG002 - there are no messages
        await asyncio.Event().wait()

    def publish(self, data: bytes) -> bool:  # noqa: ARG002
        self.counters.unsent_disconnected += 1
        return False


class BusConnection(Protocol):
    """One connection to a broker, with its subscription."""

    @property
    def waiting_bytes(self) -> int:
        """Bytes of messages that are not written to the socket yet."""

    @property
    def message_limit_bytes(self) -> int:
        """The largest message that the broker accepts, as far as it said so."""

    def send(self, data: bytes) -> None:
        """Add a message to the send buffer. Never raises: an error ends `receive`."""

    async def receive(self) -> None:
        """Deliver messages until the connection ends, which raises `Unavailable`."""


Connect = Callable[[OnMessage], AbstractAsyncContextManager[BusConnection]]
"""Returns a connection; entering it connects and subscribes, or raises `Unavailable`. Messages arrive from then on."""


class ReconnectingBus:
    """A bus through a broker, which is connected again whenever its connection ends."""

    def __init__(
        self,
        address: str,
        connect: Connect,
        *,
        send_limit_bytes: int = SEND_LIMIT_BYTES,
        reconnect_cap_seconds: float = RECONNECT_CAP_SECONDS,
    ) -> None:
        self.address = address
        self._connect = connect
        self._send_limit_bytes = send_limit_bytes
        self._cap_seconds = reconnect_cap_seconds
        self._connection: BusConnection | None = None
        self._reasons: set[str] = set()  # logged since the connection was lost
        self.on_connected: Callable[[], object] = lambda: None
        self.counters = BusCounters()

    @property
    def connected(self) -> bool:
        return self._connection is not None

    @property
    def message_limit_bytes(self) -> int:
        return MESSAGE_LIMIT_BYTES if self._connection is None else self._connection.message_limit_bytes

    @property
    def waiting_bytes(self) -> int:
        return 0 if self._connection is None else self._connection.waiting_bytes

    def publish(self, data: bytes) -> bool:
        connection, counters = self._connection, self.counters
        if connection is None:
            counters.unsent_disconnected += 1
            return False
        if len(data) > connection.message_limit_bytes:
            counters.unsent_oversized += 1
            return False
        if connection.waiting_bytes + len(data) > self._send_limit_bytes:
            counters.unsent_full += 1
            return False
        connection.send(data)
        counters.sent += 1
        return True

    async def run(self, on_message: OnMessage) -> None:
        def deliver(data: bytes) -> None:
            self.counters.received += 1
            on_message(data)

        waits = delays(_RECONNECT_FIRST_SECONDS, self._cap_seconds)
        while True:
            begun = monotonic_seconds()
            await self._run_connection(deliver)
            _raise_if_cancelled()
            if monotonic_seconds() - begun > _STABLE_SECONDS:
                waits = delays(_RECONNECT_FIRST_SECONDS, self._cap_seconds)
            await asyncio.sleep(next(waits))

    async def _run_connection(self, deliver: OnMessage) -> None:
        try:
            async with self._connect(deliver) as connection:
                self._connection = connection
                self._on_connected()
                await connection.receive()
        except Unavailable as error:
            self._on_disconnected(str(error))
        finally:
            self._connection = None

    def _on_connected(self) -> None:
        self.counters.connections += 1
        self._reasons.clear()
        log.info("bus: connected to %s", self.address)
        self.on_connected()

    def _on_disconnected(self, reason: str) -> None:
        """Log each reason of an outage once."""
        if reason in self._reasons or len(self._reasons) >= _REASONS:
            return
        self._reasons.add(reason)
        log.warning(
            "bus: no connection to %s: %s; what other bridges store is read from the store, retrying every %g s",
            self.address,
            reason,
            self._cap_seconds,
        )


def _raise_if_cancelled() -> None:
    """Raise a cancellation that was lost together with the end of a connection, as Python 3.11 may do."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
