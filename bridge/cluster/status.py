"""The state of a cluster as its store shows it, for an operator: who leads, which bridges there are, and what is not final.

Clocks of two machines are not compared: the store is watched until each bridge gave a sign, or might be dead.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from bridge.cluster.members import BEAT_SECONDS
from bridge.core.errors import SettingsError
from bridge.core.timestamp import iso
from bridge.log.order import Order
from bridge.pipeline.clock import monotonic_seconds
from bridge.pipeline.lease import KEY, LEASE_SECONDS, RENEW_SECONDS, LeaseHolder, holder_from_text
from bridge.ports import BridgeRecord, LogStore, Store

WATCH_SECONDS = max(RENEW_SECONDS, BEAT_SECONDS) + 2
_LOOK_SECONDS = 0.25
_BRIDGES_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class OpenRange:
    """Cursors that may still be written. The age is by the clock of the store's server, which handed them out."""

    bridge: str
    low: int
    high: int
    age_seconds: float


@dataclass(frozen=True, slots=True)
class BridgeStatus:
    """A bridge; what its heartbeat does not say is empty or 0. It `is_alive` if it gave a sign while it was watched.

    `receives`: it is alive, and receives messages by MQTT. `silent_seconds` is how long it was watched since its last sign.
    """

    id: str
    host: str
    pid: int
    place: int
    version: str
    address: str
    since: str
    leads: bool
    receives: bool
    is_alive: bool
    silent_seconds: float


@dataclass(frozen=True, slots=True)
class ClusterState:
    """`faults` are sentences; a cluster that works has none."""

    cluster: str
    bridges: tuple[BridgeStatus, ...]
    last_cursor: int
    open: tuple[OpenRange, ...]
    faults: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def log_of(store: Store) -> LogStore:
    """Return the order of readings of a store. Raises `SettingsError` if the store is for one bridge only."""
    if store.log is None:
        raise SettingsError("store.url names a SQLite file: several bridges need MongoDB: mongodb://host:27017/name")
    return store.log


async def read_status(store: Store, close_seconds: float, *, watch_seconds: float = WATCH_SECONDS) -> ClusterState:
    """Watch a cluster until each bridge gave a sign, at most `watch_seconds`. Raises `StoreError`."""
    watch, deadline = _Watch(), monotonic_seconds() + watch_seconds
    log = log_of(store)
    await log.order()  # without one, there is nothing to watch
    while True:
        text, records = await store.get(KEY), await store.bridges.all(_BRIDGES_LIMIT)
        now = monotonic_seconds()
        watch.look(text, records, now)
        if watch.is_done or now >= deadline:
            break
        await asyncio.sleep(_LOOK_SECONDS)
    order, server_ms = await log.order(), await store.server_time_ms()
    ranges = tuple(_open_ranges(order, server_ms))
    faults = (*watch.faults(), *_overdue(ranges, close_seconds))
    return ClusterState(watch.cluster, tuple(watch.bridges(now)), order.last, ranges, faults)


def _open_ranges(order: Order, server_ms: int) -> Iterator[OpenRange]:
    for one in order.open:
        age_seconds = round(max(server_ms - one.low // 1000, 0) / 1000, 3)
        yield OpenRange(one.bridge, one.low, one.high, age_seconds)


def _overdue(ranges: tuple[OpenRange, ...], close_seconds: float) -> Iterator[str]:
    for one in ranges:
        if one.age_seconds > close_seconds:
            yield (
                f"cursors {one.low} to {one.high} of bridge {one.bridge} are open for {one.age_seconds:.1f} s, more than "
                f"cluster.close_seconds ({close_seconds:g} s): clients wait for them; a bridge that runs closes them"
            )


@dataclass(frozen=True, slots=True)
class _Sign:
    """What a bridge last wrote, and when that was seen, by the monotonic clock."""

    value: object
    seen: float
    has_changed: bool = False


class _Watch:
    """What the lease and the heartbeats show while they are watched."""

    def __init__(self) -> None:
        self._leader: LeaseHolder | None = None
        self._records: Mapping[str, BridgeRecord] = {}
        self._signs: dict[str, _Sign] = {}

    def look(self, lease: str | None, records: list[BridgeRecord], now: float) -> None:
        self._leader = holder_from_text(lease)
        self._records = {one.id: one for one in records}
        signs: dict[str, object] = {one.id: one.beat for one in records}
        if self._leader is not None:  # renewals are a sign of life too
            signs[self._leader.owner] = (self._leader.renewals, signs.get(self._leader.owner))
        self._signs = {name: self._sign(name, value, now) for name, value in signs.items()}

    def _sign(self, name: str, value: object, now: float) -> _Sign:
        earlier = self._signs.get(name)
        if earlier is None:
            return _Sign(value, now)
        return earlier if earlier.value == value else _Sign(value, now, has_changed=True)

    @property
    def is_done(self) -> bool:
        """Whether every bridge gave a sign while it was watched, or certainly does not run any more."""
        return all(one.has_changed or self._is_gone(name) for name, one in self._signs.items())

    def _is_gone(self, name: str) -> bool:
        return self._leader is not None and self._leader.owner == name and self._leader.is_gone

    @property
    def cluster(self) -> str:
        """The name of the cluster whose bridge leads, empty if none does."""
        return "" if self._leader is None else self._leader.cluster

    def bridges(self, now: float) -> Iterator[BridgeStatus]:
        for name, sign in sorted(self._signs.items()):
            record = self._records.get(name, BridgeRecord(name))
            leads = self._leader is not None and self._leader.owner == name
            if leads and self._leader is not None:
                record = replace(record, host=self._leader.host, pid=self._leader.pid)
            yield BridgeStatus(
                id=name,
                host=record.host,
                pid=record.pid,
                place=record.place,
                version=record.version,
                address=record.address,
                since=iso(record.started_ms) if record.started_ms else "",
                leads=leads,
                receives=sign.has_changed and bool(record.report.get("receives")),
                silent_seconds=round(now - sign.seen, 1),
                is_alive=sign.has_changed,
            )

    def faults(self) -> Iterator[str]:
        leader = self._leader
        if leader is None:
            yield "no bridge leads: silence and alarms are not decided, and nothing is removed; start a bridge"
        elif not leader.cluster:
            yield f"{leader} stores into this database and is in no cluster: set cluster.name there, or stop it"
        elif not self._signs[leader.owner].has_changed:
            yield (
                f"no bridge leads: {leader} has the lease and does not renew it; a bridge that runs takes it over within "
                f"{LEASE_SECONDS:g} s"
            )
        alive = [record for name, record in self._records.items() if self._signs[name].has_changed]
        if alive and not any(record.report.get("receives", True) for record in alive):  # earlier versions do not say it
            yield (
                "no bridge receives by MQTT: QoS 1 messages wait at the broker; a bridge that runs takes the session over "
                "within cluster.adopt_seconds; if none does, see /health/ready of each"
            )
