"""`GET /metrics` in Prometheus' text format. Values are read at scrape time: counting adds no cost to the hot path."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isinf

from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from bridge import __version__
from bridge.api.describe import describes
from bridge.core.access.permissions import Permission
from bridge.core.health import Health
from bridge.core.ledger import Ledger
from bridge.core.message import Outcome
from bridge.pipeline.meters import Histogram
from bridge.realtime.hub.hub import Hub
from bridge.realtime.limits import ConnectionLimiter

# Exported before they are first counted: Prometheus sees no increase in a counter that begins at 1.
_ALWAYS_CUT = {"slow": 0}
_ALWAYS_REFUSED = {"total": 0, "address": 0, "strangers": 0}


@dataclass(frozen=True, slots=True)
class Counter:
    """A number that only rises, read from its component at scrape time; or several numbers by `label`.

    If `falls` is true, it is a gauge.
    """

    name: str
    help: str
    read: Callable[[], float | Mapping[str, float]]
    label: str = "reason"
    falls: bool = False

    def family(self) -> CounterMetricFamily | GaugeMetricFamily:
        value, kind = self.read(), GaugeMetricFamily if self.falls else CounterMetricFamily
        if not isinstance(value, Mapping):
            return kind(self.name, self.help, value=value)
        family = kind(self.name, self.help, labels=[self.label])
        for label, number in value.items():
            family.add_metric([label], number)
        return family


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram that a component fills."""

    name: str
    help: str
    histogram: Histogram

    def family(self) -> HistogramMetricFamily:
        buckets = [("+Inf" if isinf(bound) else str(float(bound)), count) for bound, count in self.histogram.cumulative()]
        return HistogramMetricFamily(self.name, self.help, buckets=buckets, sum_value=self.histogram.sum)


def realtime_counters(hub: Hub, limiter: ConnectionLimiter) -> tuple[Counter, ...]:
    """Counters of deliveries, missed records, and closed or refused connections."""
    counts = hub.counts
    return (
        Counter("bridge_records_published", "Stored records that were published.", lambda: counts.published),
        Counter("bridge_records_delivered", "Live records sent, summed over the clients.", lambda: counts.delivered),
        Counter("bridge_records_replayed", "Records replayed to clients on request.", lambda: counts.replayed),
        Counter("bridge_records_missed", "Live records not sent to slow clients.", lambda: counts.missed),
        Counter("bridge_events_missed", "Other messages not sent to slow clients.", lambda: counts.missed_others),
        Counter("bridge_client_gaps", "Gap messages sent to clients that missed records.", lambda: counts.gaps),
        Counter("bridge_clients_cut", "Connections closed by the bridge, by reason.", lambda: _ALWAYS_CUT | counts.cut),
        Counter("bridge_clients_refused", "Connections refused, by limit.", lambda: _ALWAYS_REFUSED | limiter.refused),
    )


class MetricsApi:
    def __init__(self, hub: Hub, ledger: Ledger, health: Health, counters: Sequence[Counter | Distribution]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Bridge(hub, ledger, health, counters))
        ProcessCollector(registry=self._registry)

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/metrics", self._metrics)]

    @describes("All metrics in Prometheus' text format", answers={200: "text/plain"}, tag="health", permission=Permission.READ)
    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


class _Bridge(Collector):
    def __init__(self, hub: Hub, ledger: Ledger, health: Health, counters: Sequence[Counter | Distribution]) -> None:
        self._hub = hub
        self._ledger = ledger
        self._health = health
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        received = CounterMetricFamily("bridge_messages_received", "Messages received, by source.", labels=["source"])
        settled = CounterMetricFamily(
            "bridge_messages_settled",
            "Messages settled, by source and outcome.",
            labels=["source", "outcome"],
        )
        waiting = GaugeMetricFamily("bridge_messages_waiting", "Messages not yet stored, by source.", labels=["source"])
        readings = CounterMetricFamily("bridge_readings_stored", "Readings stored, by source.", labels=["source"])
        for source, counts in self._ledger.as_dict().items():
            received.add_metric([source], counts["received"])
            waiting.add_metric([source], counts["waiting"])
            readings.add_metric([source], counts["readings"])
            for outcome in Outcome:
                settled.add_metric([source, outcome], counts[outcome])
        up = GaugeMetricFamily("bridge_part_up", "1 while a component works, by component.", labels=["part"])
        for name, part in self._health.parts.items():
            up.add_metric([name], part.up)
        yield from (received, settled, waiting, readings, up)
        yield GaugeMetricFamily("bridge_clients", "Clients connected.", value=self._hub.client_count)
        yield GaugeMetricFamily("bridge_clients_slow", "Slow clients.", value=self._hub.slow_count)
        for counter in self._counters:
            yield counter.family()
        yield InfoMetricFamily("bridge_build", "The running version.", value={"version": __version__})
