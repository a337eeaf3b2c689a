"""`GET /metrics`, in Prometheus' text format. Everything is read when it is asked for: counting costs the hot path nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from bridge import __version__
from bridge.api.describe import describes
from bridge.core.access.permissions import Permission
from bridge.core.health import Health
from bridge.core.ledger import Ledger
from bridge.core.message import Outcome
from bridge.realtime.hub.hub import Hub
from bridge.realtime.limits import ConnectionLimiter


@dataclass(frozen=True, slots=True)
class Counter:
    """A number that only rises, kept by the part it belongs to and read when it is asked for; or several, by `label`."""

    name: str
    help: str
    read: Callable[[], float | Mapping[str, float]]
    label: str = "reason"

    def family(self) -> CounterMetricFamily:
        """As Prometheus has it."""
        value = self.read()
        if not isinstance(value, Mapping):
            return CounterMetricFamily(self.name, self.help, value=value)
        family = CounterMetricFamily(self.name, self.help, labels=[self.label])
        for name, number in value.items():
            family.add_metric([name], number)
        return family


def realtime_counters(hub: Hub, limiter: ConnectionLimiter) -> tuple[Counter, ...]:
    """What was sent to clients, what not, and whom we closed the door on."""
    counts = hub.counts
    return (
        Counter("bridge_records_published", "Stored records that were made public.", lambda: counts.published),
        Counter("bridge_records_delivered", "Live records sent, summed over the clients.", lambda: counts.delivered),
        Counter("bridge_records_replayed", "Records sent again to clients that asked.", lambda: counts.replayed),
        Counter("bridge_records_missed", "Live records not sent to clients that were too slow.", lambda: counts.missed),
        Counter("bridge_events_missed", "Other messages not sent to clients that were too slow.", lambda: counts.missed_others),
        Counter("bridge_client_gaps", "Times a client was told that it missed records.", lambda: counts.gaps),
        Counter("bridge_clients_cut", "Connections that we ended, by reason.", lambda: counts.cut),
        Counter("bridge_clients_refused", "Connections not let in, by limit.", lambda: limiter.refused),
    )


class MetricsApi:
    """The bridge's own numbers and the process's."""

    def __init__(self, hub: Hub, ledger: Ledger, health: Health, counters: Sequence[Counter]) -> None:
        """All are read when asked."""
        self._registry = CollectorRegistry()
        self._registry.register(_Bridge(hub, ledger, health, counters))
        ProcessCollector(registry=self._registry)

    def routes(self) -> list[web.RouteDef]:
        """The paths it answers."""
        return [web.get("/metrics", self._metrics)]

    @describes("All numbers, in Prometheus' text format", answers={200: "text/plain"}, tag="health", right=Permission.READ)
    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


class _Bridge(Collector):
    def __init__(self, hub: Hub, ledger: Ledger, health: Health, counters: Sequence[Counter]) -> None:
        self._hub = hub
        self._ledger = ledger
        self._health = health
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        received = CounterMetricFamily("bridge_messages_received", "Messages taken in, by source.", labels=["source"])
        settled = CounterMetricFamily(
            "bridge_messages_settled",
            "Messages that met their end, by source and outcome.",
            labels=["source", "outcome"],
        )
        waiting = GaugeMetricFamily("bridge_messages_waiting", "Messages not yet stored, by source.", labels=["source"])
        for source, account in self._ledger.as_dict().items():
            received.add_metric([source], account["received"])
            waiting.add_metric([source], account["waiting"])
            for outcome in Outcome:
                settled.add_metric([source, outcome], account[outcome])
        up = GaugeMetricFamily("bridge_part_up", "1 while a part does its work, by part.", labels=["part"])
        for name, part in self._health.parts.items():
            up.add_metric([name], part.up)
        yield from (received, settled, waiting, up)
        yield GaugeMetricFamily("bridge_clients", "Clients connected.", value=self._hub.client_count)
        yield GaugeMetricFamily("bridge_clients_slow", "Clients that are behind.", value=self._hub.slow_count)
        for counter in self._counters:
            yield counter.family()
        yield InfoMetricFamily("bridge_build", "The version that runs.", value={"version": __version__})
