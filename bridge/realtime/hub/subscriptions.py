"""Who hears the same: clients of one dialect with equal wishes share what is chosen, joined and compressed for them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from bridge.realtime.auth.visibility import DeviceFilter, site_of
from bridge.realtime.hub.publication import Encoder, Publication

Member = TypeVar("Member", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a client wants to hear: which devices and which topics (None: every one), and at most one record a device per
    `every_ms`; and how far it sees, which is no wish of its own.
    """

    devices: frozenset[str] | None = None
    every_ms: int | None = None
    topics: frozenset[str] | None = None
    device_filter: DeviceFilter | None = None

    def matches(self, one: Publication) -> bool:
        """Whether it is for this client; what concerns no device, or no topic, is for everyone in that respect."""
        if not (self.devices is None or one.device_id is None or one.device_id in self.devices):
            return False
        if (
            self.device_filter is not None
            and (device := one.subject_device) is not None
            and not self.device_filter.allows(device)
        ):
            return False
        return self.topics is None or (about := one.topics) is None or not self.topics.isdisjoint(about)

    def device_ids(self) -> frozenset[str] | None:
        """Whose records are for this client now; None: those of every device."""
        if self.device_filter is None:
            return self.devices
        return (
            self.device_filter.devices() if self.devices is None else frozenset(filter(self.device_filter.allows, self.devices))
        )

    def is_superset_of(self, other: Subscription) -> bool:
        """Whether it is for everything that the other is for."""
        seen = self.device_filter is None or self.device_filter == other.device_filter
        return seen and _holds(self.devices, other.devices) and _holds(self.topics, other.topics)


def _holds(all_of: frozenset[str] | None, some: frozenset[str] | None) -> bool:
    return all_of is None or (some is not None and some <= all_of)


ALL = Subscription()


class SubscriberGroup(Generic[Member]):
    """The members who hear live what one wish asks for. What those who are behind miss is counted once for all of them."""

    def __init__(self, encoder: Encoder, subscription: Subscription) -> None:
        """Without members."""
        self.encoder = encoder
        self.subscription = subscription
        self.members: dict[Member, None] = {}
        self.slow: dict[Member, None] = {}
        """Members too, but for the time being not sent to."""
        self.records = self.last = 0
        """How many were sent since its first member came, and the cursor of the last."""
        self.narrow = subscription.topics is not None or subscription.device_filter is not None
        """Being of the wished devices is not enough."""
        self.due = 0.0
        """When the next coalesced records go out, by the hub's monotonic clock."""
        self._newest: dict[str, Publication] = {}

    def take_due(self, chosen: Sequence[Publication]) -> Sequence[Publication]:
        """What of its events goes out at once; a coalescing audience keeps its records back."""
        if self.subscription.every_ms is None:
            return chosen
        for one in chosen:
            if one.seq and one.device_id is not None:
                self._newest[one.device_id] = one
        return [one for one in chosen if not one.seq]

    def take_latest(self) -> list[Publication]:
        """The newest record of each device since the last call, by rising cursor."""
        newest, self._newest = self._newest, {}
        seen = (
            filter(self.subscription.matches, newest.values())
            if self.subscription.device_filter is not None
            else newest.values()
        )
        return sorted(seen, key=lambda one: one.seq)


class _NameIndex(Generic[Member]):
    """Audiences by the names they wish."""

    def __init__(self) -> None:
        self._all: dict[SubscriberGroup[Member], None] = {}
        self._of_name: dict[str, dict[SubscriberGroup[Member], None]] = {}

    def __bool__(self) -> bool:
        return bool(self._all)

    def add(self, group: SubscriberGroup[Member], names: frozenset[str]) -> None:
        self._all[group] = None
        for name in names:
            self._of_name.setdefault(name, {})[group] = None

    def remove(self, group: SubscriberGroup[Member], names: frozenset[str]) -> None:
        del self._all[group]
        for name in names:
            of_name = self._of_name[name]
            del of_name[group]
            if not of_name:
                del self._of_name[name]

    def of(self, names: Iterable[str] | None) -> Iterable[SubscriberGroup[Member]]:
        """Those that wish one of the names; None: all."""
        if names is None:
            return self._all
        return {group: None for name in names for group in self._of_name.get(name, ())}


class _ScopedIndex(Generic[Member]):
    """Audiences of those who do not see every device, by the devices and the sites they see."""

    def __init__(self) -> None:
        self._by_device: _NameIndex[Member] = _NameIndex()
        self._by_site: _NameIndex[Member] = _NameIndex()  # of those that see a site

    def __bool__(self) -> bool:
        return bool(self._by_device)

    def add(self, group: SubscriberGroup[Member], device_filter: DeviceFilter) -> None:
        self._by_device.add(group, device_filter.scope.devices)
        if device_filter.scope.sites:
            self._by_site.add(group, device_filter.scope.sites)
            self._sites = device_filter.sites

    def remove(self, group: SubscriberGroup[Member], device_filter: DeviceFilter) -> None:
        self._by_device.remove(group, device_filter.scope.devices)
        if device_filter.scope.sites:
            self._by_site.remove(group, device_filter.scope.sites)

    def of(self, device_id: str | None) -> Iterable[SubscriberGroup[Member]]:
        """Those that see a device, each once; None: all."""
        if device_id is None:
            return self._by_device.of(None)
        seeing = dict.fromkeys(self._by_device.of((device_id,)))
        if self._by_site:
            seeing.update(dict.fromkeys(self._by_site.of((site_of(device_id, self._sites),))))
        return seeing


class SubscriptionIndex(Generic[Member]):
    """Every audience, found by wish, and by the devices and topics of a batch."""

    def __init__(self) -> None:
        """None yet."""
        self._all: dict[tuple[Encoder, Subscription], SubscriberGroup[Member]] = {}
        self._wide: dict[SubscriberGroup[Member], None] = {}
        self._by_device: _NameIndex[Member] = _NameIndex()
        self._by_topic: _NameIndex[Member] = _NameIndex()  # of those that wish no devices
        self._sighted: _ScopedIndex[Member] = _ScopedIndex()  # of those too

    def __iter__(self) -> Iterator[SubscriberGroup[Member]]:
        return iter(tuple(self._all.values()))

    def of(self, encoder: Encoder, subscription: Subscription) -> SubscriberGroup[Member]:
        """The audience of a wish; a new one if nobody had that."""
        group = self._all.get((encoder, subscription))
        if group is None:
            group = self._all[encoder, subscription] = SubscriberGroup(encoder, subscription)
            if subscription.devices is not None:
                self._by_device.add(group, subscription.devices)
            elif subscription.device_filter is not None:
                self._sighted.add(group, subscription.device_filter)
            elif subscription.topics is not None:
                self._by_topic.add(group, subscription.topics)
            else:
                self._wide[group] = None
        return group

    def leave(self, member: Member, encoder: Encoder, subscription: Subscription) -> None:
        """Take a member out of its audience, which ends with its last; safe for one that is not there."""
        group = self._all.get((encoder, subscription))
        if group is None:
            return
        group.members.pop(member, None)
        group.slow.pop(member, None)
        if group.members or group.slow:
            return
        del self._all[encoder, subscription]
        if subscription.devices is not None:
            self._by_device.remove(group, subscription.devices)
        elif subscription.device_filter is not None:
            self._sighted.remove(group, subscription.device_filter)
        elif subscription.topics is not None:
            self._by_topic.remove(group, subscription.topics)
        else:
            del self._wide[group]

    def choose(self, batch: Sequence[Publication]) -> Iterable[tuple[SubscriberGroup[Member], Sequence[Publication]]]:
        """Each audience with what of a batch it wishes; those with nothing are left out.

        The cost is that of the batch and the audiences it concerns, not of all there are.
        """
        chosen: list[tuple[SubscriberGroup[Member], Sequence[Publication]]] = [(group, batch) for group in self._wide]
        if self._by_device or self._by_topic or self._sighted:
            narrow: dict[SubscriberGroup[Member], list[Publication]] = {}
            for one in batch:
                for group in self._concerned(one):
                    narrow.setdefault(group, []).append(one)
            for one in batch if self._sighted else ():
                for group in self._sighted.of(one.subject_device):
                    if group.subscription.topics is None or group.subscription.matches(one):
                        narrow.setdefault(group, []).append(one)
            chosen += narrow.items()
        return chosen

    def _concerned(self, one: Publication) -> Iterable[SubscriberGroup[Member]]:
        if self._by_device:
            for group in self._by_device.of(None if one.device_id is None else (one.device_id,)):
                if not group.narrow or group.subscription.matches(one):
                    yield group
        if self._by_topic:
            yield from self._by_topic.of(one.topics)
