"""Sessions of dead bridges that this bridge receives for, beside its own, until they have a bridge again.

An adopted session keeps its subscriptions: what the broker queued for it, and its share of what arrives, is delivered here. Its
owner takes it back by connecting with the same client id. That is no fault, so nothing warns of it: after each connection that
ended the lease is confirmed first.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from bridge.core.errors import BrokerUnavailable
from bridge.core.message import Message
from bridge.pipeline.backoff import delays
from bridge.pipeline.intake import Intake
from bridge.ports import SessionLease
from bridge.sources.mqtt.client import raise_if_cancelled
from bridge.sources.mqtt.connection import DROPPED_TOPIC, MqttConnection
from bridge.sources.mqtt.copy_filter import CopyFilter
from bridge.sources.mqtt.publish_parser import Publish
from bridge.sources.mqtt.session_state import end_with
from bridge.sources.mqtt.source import MqttSource, Outage

log = logging.getLogger(__name__)

_RECONNECT_FIRST_SECONDS = 0.2
_STABLE_SECONDS = 5.0  # a connection that lasted longer is followed by a short delay


class _PresentCopies(CopyFilter):
    """The copy filter of the bridge's own session, also after its subscriptions have changed."""

    def __init__(self, present: Callable[[], CopyFilter]) -> None:
        super().__init__(present().plan)
        self._present = present

    def takes(self, publish: Publish) -> bool:
        return self._present().takes(publish)


class AdoptedSession:
    """Receives one session into the intake of the bridge."""

    def __init__(self, source: MqttSource, intake: Intake, lease: SessionLease) -> None:
        """`source` is that of the bridge's own session: its settings and subscriptions apply."""
        self._source = source
        self._intake = intake
        self._lease = lease
        self._outage = Outage()

    async def run(self) -> None:
        """Receive until the lease has ended or until cancelled."""
        failure: BrokerUnavailable | None = None
        waits = self._delays()
        while await self._lease.confirm():
            if failure is not None and self._outage.is_new(str(failure)):
                log.warning("mqtt: no connection for the adopted session %s: %s; retrying", self._lease.client_id, failure)
            started = time.monotonic()
            failure = await self._receive()
            raise_if_cancelled()
            if time.monotonic() - started > _STABLE_SECONDS:
                waits = self._delays()
            with suppress(TimeoutError):
                async with asyncio.timeout(next(waits)):
                    await self._lease.wait_ended()

    async def _receive(self) -> BrokerUnavailable | None:
        """Connect and receive until the connection or the lease ends; return the reason."""
        settings = self._source.settings.model_copy(update={"client_id": self._lease.client_id})
        failures: list[BrokerUnavailable] = []
        try:
            async with (
                MqttConnection(
                    settings,
                    self._deliver,
                    fast=self._source.is_fast,
                    copies=_PresentCopies(lambda: self._source.copies),
                    may_acknowledge=lambda: self._lease.is_fresh,
                ) as connection,
                asyncio.TaskGroup() as tasks,
            ):
                tasks.create_task(end_with(self._lease), name=f"mqtt lease {self._lease.client_id}")
                if self._outage.end():
                    log.info("mqtt: receiving the adopted session %s", self._lease.client_id)
                await connection.run()
        except* BrokerUnavailable as group:
            failures += [one for one in group.exceptions if isinstance(one, BrokerUnavailable)]
        return next(iter(failures), None)

    def _deliver(self, messages: list[Message]) -> None:
        for message in messages:
            if message.topic != DROPPED_TOPIC:  # the dead bridge watched it
                self._intake.put(message)

    def _delays(self) -> Iterator[float]:
        return delays(_RECONNECT_FIRST_SECONDS, self._source.settings.reconnect_cap_seconds)


class AdoptedSessions:
    """One `AdoptedSession` for each place that this bridge has adopted."""

    def __init__(self, source: MqttSource, intake: Intake, leases: Callable[[], Mapping[int, SessionLease]]) -> None:
        """`leases` returns those of the adopted places. Call `on_change` when they have changed."""
        self._source = source
        self._intake = intake
        self._leases = leases
        self._changed = asyncio.Event()
        self._receiving: set[SessionLease] = set()

    def on_change(self) -> None:
        self._changed.set()

    @property
    def client_ids(self) -> frozenset[str]:
        """The client ids of the sessions that are received."""
        return frozenset(lease.client_id for lease in self._receiving)

    async def run(self) -> None:
        """Receive all adopted sessions, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._changed.clear()
                for lease in self._leases().values():
                    if lease not in self._receiving:
                        self._receiving.add(lease)
                        tasks.create_task(self._receive(lease), name=f"mqtt session {lease.client_id}")
                await self._changed.wait()

    async def _receive(self, lease: SessionLease) -> None:
        try:
            await AdoptedSession(self._source, self._intake, lease).run()
        finally:
            self._receiving.discard(lease)
