"""`GET /metrics`, in Prometheus' text format. Everything is read when it is asked for: counting costs the hot path nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from bridge import __version__
from bridge.core.health import Health
from bridge.core.ledger import Ledger
from bridge.core.message import Outcome
from bridge.realtime.hub import Hub


@dataclass(frozen=True, slots=True)
class Counter:
    """A number that only rises, kept by the part it belongs to and read when it is asked for."""

    name: str
    help: str
    read: Callable[[], float]


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
        for counter in self._counters:
            yield CounterMetricFamily(counter.name, counter.help, value=counter.read())
        yield InfoMetricFamily("bridge_build", "The version that runs.", value={"version": __version__})
