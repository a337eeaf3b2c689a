"""Messages between bridges: sealed, sent by the bus, opened, and given to the handler of their kind."""

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable

from bridge.cluster.bus import Bus
from bridge.cluster.envelope import BusFault, BusMessageError, Envelope, Opener, Sealer
from bridge.core.errors import TemporarilyUnavailable

log = logging.getLogger(__name__)

Handler = Callable[[str, bytes], None]
"""Receives the sender's id and the body. May raise `BusMessageError`."""

Answer = Callable[[bytes], Awaitable[bytes | None]]
"""Answers a request; None if another bridge does."""

REQUEST_SECONDS = 5.0
_REQUESTS_LIMIT = 100
_TOKEN = 8
_REPLY = "reply"

_NOT_UNDERSTOOD = (ValueError, TypeError, LookupError, AttributeError)
"""What a handler may raise for the message of a bridge of another version."""


class Messenger:
    """`unlock` before anything is sent or received: without the cluster's key messages are dropped."""

    def __init__(self, bus: Bus, cluster: str, bridge: str, *, request_seconds: float = REQUEST_SECONDS) -> None:
        """`request_seconds` is the time that an answer may take."""
        self.bus = bus
        self.handlers: dict[str, Handler] = {_REPLY: self._on_reply}
        self.on_unknown: Callable[[], None] = lambda: None
        """Called for a message of a bridge that is not known yet."""
        self.refused: Counter[BusFault] = Counter()
        self.opener: Opener | None = None
        self._sealer: Sealer | None = None
        self._cluster = cluster
        self._bridge = bridge
        self._request_seconds = request_seconds
        self._waiting: dict[bytes, asyncio.Future[bytes]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._kinds_not_understood: set[str] = set()  # as many as there are handlers

    def unlock(self, key: bytes) -> None:
        self._sealer = Sealer(key, self._bridge, cluster=self._cluster)
        self.opener = Opener(key, self._bridge, cluster=self._cluster)

    @property
    def is_connected(self) -> bool:
        return self.bus.connected and self._sealer is not None

    @property
    def number(self) -> int:
        """The number of the last message that was sent."""
        return 0 if self._sealer is None else self._sealer.number

    def counted(self) -> dict[str, int]:
        """Return the number of messages: sent, received, not sent and refused, with the reason."""
        counts = self.bus.counters
        refused = {f"refused_{fault}": self.refused[fault] for fault in BusFault if fault is not BusFault.NOT_FOR_US}
        unsent = counts.unsent_disconnected + counts.unsent_full + counts.unsent_oversized
        return {"sent": counts.sent, "received": counts.received, "not_sent": unsent, **refused}

    async def run(self) -> None:
        """Receive messages until cancelled."""
        try:
            await self.bus.run(self._receive)
        finally:
            for task in self._answering:
                task.cancel()

    def send(self, kind: str, body: bytes, to: str | None = None) -> bool:
        """Send to one bridge or all, without waiting; False, and counted, if that is not possible now."""
        return self._sealer is not None and self.bus.publish(self._sealer.seal(kind, body, to=to))

    def _receive(self, data: bytes) -> None:
        if self.opener is None:
            return
        try:
            message = self.opener.open(data)
            self._handle(message)
        except BusMessageError as error:
            if error.fault is BusFault.NOT_FOR_US:
                return
            self.refused[error.fault] += 1
            if error.fault is BusFault.UNKNOWN_BRIDGE:
                self.on_unknown()
            log.debug("cluster: %s", error)
        except _NOT_UNDERSTOOD as error:
            self._on_not_understood(message.kind, error)

    def _on_not_understood(self, kind: str, error: Exception) -> None:
        """Count a message of another version, and log the first of its kind."""
        self.refused[BusFault.MALFORMED] += 1
        is_first = kind not in self._kinds_not_understood
        self._kinds_not_understood.add(kind)
        log.log(
            logging.WARNING if is_first else logging.DEBUG,
            "cluster: a message %r of another bridge is not understood (%s: %s): ignored; all bridges should have one version",
            kind,
            type(error).__name__,
            error,
        )

    def _handle(self, message: Envelope) -> None:
        handler = self.handlers.get(message.kind)
        if handler is not None:  # else of a later version
            handler(message.bridge, message.body)

    # --- requests ----------------------------------------------------------------------------------------------------------

    def serve(self, kind: str, answer: Answer) -> None:
        """Answer requests of this kind."""

        def handle(bridge: str, body: bytes) -> None:
            if len(self._answering) >= _REQUESTS_LIMIT:
                return
            task = asyncio.get_running_loop().create_task(self._answer(kind, answer, bridge, body), name=f"cluster: {kind}")
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

        self.handlers[kind] = handle

    async def _answer(self, kind: str, answer: Answer, bridge: str, body: bytes) -> None:
        """Answer a request in the time in which the answer is waited for."""
        token, request = body[:_TOKEN], body[_TOKEN:]
        try:
            async with asyncio.timeout(self._request_seconds):
                reply = await answer(request)
        except TimeoutError:
            log.debug("cluster: a request %r was not answered in time", kind)
        except _NOT_UNDERSTOOD as error:
            self._on_not_understood(kind, error)
        else:
            if reply is not None:
                self.send(_REPLY, token + reply, to=bridge)

    async def request(self, kind: str, body: bytes, to: str | None) -> bytes:
        """Send a request and return the answer. Raises `TemporarilyUnavailable` if none comes in time."""
        token = secrets.token_bytes(_TOKEN)
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[token] = future
        try:
            if not self.send(kind, token + body, to):
                raise TemporarilyUnavailable("the bridges of the cluster are not connected with each other: try again later")
            async with asyncio.timeout(self._request_seconds):
                return await future
        except TimeoutError:
            raise TemporarilyUnavailable("the bridge that leads does not answer: try again in a few seconds") from None
        finally:
            del self._waiting[token]

    def _on_reply(self, _bridge: str, body: bytes) -> None:
        future = self._waiting.get(body[:_TOKEN])
        if future is not None and not future.done():
            future.set_result(body[_TOKEN:])
