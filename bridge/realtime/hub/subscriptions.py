"""Subscriptions and subscriber groups: clients with equal subscriptions share selection, joining and compression."""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from bridge.core.events import AirAssessed, AuthExpiring, DeviceState, Gap, PredictionMade
from bridge.core.message import DeviceStatus
from bridge.core.readings.reading import Reading
from bridge.realtime.auth.visibility import DeviceFilter, site_of
from bridge.realtime.hub.encoding import Encoder, Publication

Member = TypeVar("Member", bound=Hashable)

MEASURED = (Reading, DeviceStatus, DeviceState, AirAssessed, PredictionMade, Gap, AuthExpiring)
"""The events of a filter that is `measured_only`."""

COALESCED_LIMIT = 10_000
"""Devices of which a group keeps a record until its interval ends; with that many, the records are sent early."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """The devices and topics that a client subscribed to (None: all), at most one record per device and `every_ms`.

    `device_filter` is not chosen by the client: it limits the subscription to the devices that the client may read.
    """

    devices: frozenset[str] | None = None
    every_ms: int | None = None
    topics: frozenset[str] | None = None
    device_filter: DeviceFilter | None = None

    def matches(self, publication: Publication) -> bool:
        """Return whether the client receives a publication. One without device, or topics, passes that part of the filter."""
        if not (self.devices is None or publication.device_id is None or publication.device_id in self.devices):
            return False
        if self.device_filter is not None:
            if self.device_filter.measured_only and not isinstance(publication.event, MEASURED):
                return False
            if (device := publication.subject_device) is not None and not self.device_filter.allows(device):
                return False
        return self.topics is None or (topics := publication.topics) is None or not self.topics.isdisjoint(topics)

    def device_ids(self) -> frozenset[str] | None:
        """Return the devices whose records match now; None: every device."""
        if self.device_filter is None:
            return self.devices
        if self.devices is None:
            return self.device_filter.devices()
        return frozenset(filter(self.device_filter.allows, self.devices))

    def is_superset_of(self, other: "Subscription") -> bool:
        """Return whether every record that matches `other` matches this subscription."""
        may_read = self.device_filter is None or self.device_filter == other.device_filter
        return may_read and _includes(self.devices, other.devices) and _includes(self.topics, other.topics)


def _includes(names: frozenset[str] | None, others: frozenset[str] | None) -> bool:
    return names is None or (others is not None and others <= names)


ALL = Subscription()


class SubscriberGroup(Generic[Member]):
    """The live clients with one encoder and subscription."""

    def __init__(self, encoder: Encoder, subscription: Subscription) -> None:
        self.encoder = encoder
        self.subscription = subscription
        self.members: dict[Member, None] = {}
        self.needs_match = subscription.topics is not None or subscription.device_filter is not None
        """Whether a publication of a subscribed device still has to be checked with `matches`."""
        only_measured = subscription.device_filter is not None and subscription.device_filter.measured_only
        self.checks_event = subscription.topics is not None or only_measured
        """Whether a publication of a device in the filter still has to be checked with `matches`."""
        self.due = 0.0
        """When the next coalesced records are sent, by the hub's monotonic clock."""
        self._latest: dict[str, Publication] = {}

    def take_due(self, publications: Sequence[Publication]) -> Sequence[Publication]:
        """Return the publications to send at once. With `every_ms`, records are kept until `take_latest`.

        It is due early when records of `COALESCED_LIMIT` devices are kept: senders choose the names of devices.
        """
        if self.subscription.every_ms is None:
            return publications
        for publication in publications:
            if publication.seq and publication.device_id is not None:
                self._latest[publication.device_id] = publication
        if len(self._latest) >= COALESCED_LIMIT:
            self.due = 0.0
        return [publication for publication in publications if not publication.seq]

    def take_latest(self) -> list[Publication]:
        """Return the latest record of each device since the last call, ordered by cursor."""
        latest, self._latest = self._latest, {}
        records: Iterable[Publication] = latest.values()
        if self.subscription.device_filter is not None:  # a device may have moved out of the scope meanwhile
            records = filter(self.subscription.matches, records)
        return sorted(records, key=lambda record: record.seq)


class _NameIndex(Generic[Member]):
    """Groups by the names (of devices, topics or sites) that they subscribed to."""

    def __init__(self) -> None:
        self._groups: dict[SubscriberGroup[Member], None] = {}
        self._by_name: dict[str, dict[SubscriberGroup[Member], None]] = {}

    def __bool__(self) -> bool:
        return bool(self._groups)

    def add(self, group: SubscriberGroup[Member], names: frozenset[str]) -> None:
        self._groups[group] = None
        for name in names:
            self._by_name.setdefault(name, {})[group] = None

    def remove(self, group: SubscriberGroup[Member], names: frozenset[str]) -> None:
        del self._groups[group]
        for name in names:
            groups = self._by_name[name]
            del groups[group]
            if not groups:
                del self._by_name[name]

    def groups_for(self, names: Iterable[str] | None) -> Iterable[SubscriberGroup[Member]]:
        """Return the groups subscribed to any of the names, each once; None: all groups."""
        if names is None:
            return self._groups
        return {group: None for name in names for group in self._by_name.get(name, ())}


class _FilterIndex(Generic[Member]):
    """Groups with a device filter, by the devices and sites of their scope."""

    def __init__(self) -> None:
        self._by_device: _NameIndex[Member] = _NameIndex()
        self._by_site: _NameIndex[Member] = _NameIndex()  # only groups whose scope has sites

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

    def groups_for(self, device_id: str | None) -> Iterable[SubscriberGroup[Member]]:
        """Return the groups that may read a device, each once; None: all groups."""
        if device_id is None:
            return self._by_device.groups_for(None)
        groups = dict.fromkeys(self._by_device.groups_for((device_id,)))
        if self._by_site:
            groups.update(dict.fromkeys(self._by_site.groups_for((site_of(device_id, self._sites),))))
        return groups


class SubscriptionIndex(Generic[Member]):
    """Every subscriber group, by subscription and by the devices and topics of a batch.

    A group is in exactly one of four indexes: by device, by device filter, by topic, or among those that match everything.
    """

    def __init__(self) -> None:
        self._groups: dict[tuple[Encoder, Subscription], SubscriberGroup[Member]] = {}
        self._unfiltered: dict[SubscriberGroup[Member], None] = {}
        self._by_device: _NameIndex[Member] = _NameIndex()
        self._by_filter: _FilterIndex[Member] = _FilterIndex()  # without subscribed devices
        self._by_topic: _NameIndex[Member] = _NameIndex()  # without subscribed devices and device filter

    def __iter__(self) -> Iterator[SubscriberGroup[Member]]:
        return iter(tuple(self._groups.values()))

    def group_of(self, encoder: Encoder, subscription: Subscription) -> SubscriberGroup[Member]:
        """Return the group of a subscription, created on first use."""
        group = self._groups.get((encoder, subscription))
        if group is None:
            group = self._groups[encoder, subscription] = SubscriberGroup(encoder, subscription)
            if subscription.devices is not None:
                self._by_device.add(group, subscription.devices)
            elif subscription.device_filter is not None:
                self._by_filter.add(group, subscription.device_filter)
            elif subscription.topics is not None:
                self._by_topic.add(group, subscription.topics)
            else:
                self._unfiltered[group] = None
        return group

    def leave(self, member: Member, encoder: Encoder, subscription: Subscription) -> None:
        """Remove a member from its group, and the group with its last member. Safe for a non-member."""
        group = self._groups.get((encoder, subscription))
        if group is None:
            return
        group.members.pop(member, None)
        if group.members:
            return
        del self._groups[encoder, subscription]
        if subscription.devices is not None:
            self._by_device.remove(group, subscription.devices)
        elif subscription.device_filter is not None:
            self._by_filter.remove(group, subscription.device_filter)
        elif subscription.topics is not None:
            self._by_topic.remove(group, subscription.topics)
        else:
            del self._unfiltered[group]

    def choose(self, batch: Sequence[Publication]) -> Iterable[tuple[SubscriberGroup[Member], Sequence[Publication]]]:
        """Return each group that matches part of a batch, with that part.

        The cost depends on the batch and the groups that match, not on the number of groups.
        """
        chosen: list[tuple[SubscriberGroup[Member], Sequence[Publication]]] = [(group, batch) for group in self._unfiltered]
        if self._by_device or self._by_topic or self._by_filter:
            parts: dict[SubscriberGroup[Member], list[Publication]] = {}
            for publication in batch:
                for group in self._matching(publication):
                    parts.setdefault(group, []).append(publication)
            for publication in batch if self._by_filter else ():
                for group in self._by_filter.groups_for(publication.subject_device):
                    if not group.checks_event or group.subscription.matches(publication):
                        parts.setdefault(group, []).append(publication)
            chosen += parts.items()
        return chosen

    def _matching(self, publication: Publication) -> Iterable[SubscriberGroup[Member]]:
        if self._by_device:
            for group in self._by_device.groups_for(None if publication.device_id is None else (publication.device_id,)):
                if not group.needs_match or group.subscription.matches(publication):
                    yield group
        if self._by_topic:
            yield from self._by_topic.groups_for(publication.topics)
