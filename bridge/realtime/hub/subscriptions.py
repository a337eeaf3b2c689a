"""Who hears the same: clients of one dialect with equal wishes share what is chosen, joined and compressed for them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from bridge.realtime.auth.visibility import Sight, site_of
from bridge.realtime.hub.publication import Encoder, Published

Member = TypeVar("Member", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client wants to hear: which devices and which topics (None: every one), and at most one record a device per
    `every_ms`; and how far it sees, which is no wish of its own.
    """

    devices: frozenset[str] | None = None
    every_ms: int | None = None
    topics: frozenset[str] | None = None
    sight: Sight | None = None

    def wants(self, one: Published) -> bool:
        """Whether it is for this client; what concerns no device, or no topic, is for everyone in that respect."""
        if not (self.devices is None or one.device_id is None or one.device_id in self.devices):
            return False
        if self.sight is not None and (device := one.subject_device) is not None and not self.sight.shows(device):
            return False
        return self.topics is None or (about := one.topics) is None or not self.topics.isdisjoint(about)

    def device_ids(self) -> frozenset[str] | None:
        """Whose records are for this client now; None: those of every device."""
        if self.sight is None:
            return self.devices
        return self.sight.devices() if self.devices is None else frozenset(filter(self.sight.shows, self.devices))

    def includes(self, other: Wish) -> bool:
        """Whether it is for everything that the other is for."""
        seen = self.sight is None or self.sight == other.sight
        return seen and _holds(self.devices, other.devices) and _holds(self.topics, other.topics)


def _holds(all_of: frozenset[str] | None, some: frozenset[str] | None) -> bool:
    return all_of is None or (some is not None and some <= all_of)


EVERYTHING = Wish()


class Audience(Generic[Member]):
    """The members who hear live what one wish asks for. What those who are behind miss is counted once for all of them."""

    def __init__(self, encoder: Encoder, wish: Wish) -> None:
        """Without members."""
        self.encoder = encoder
        self.wish = wish
        self.members: dict[Member, None] = {}
        self.behind: dict[Member, None] = {}
        """Members too, but for the time being not sent to."""
        self.records = self.last = 0
        """How many were sent since its first member came, and the cursor of the last."""
        self.narrow = wish.topics is not None or wish.sight is not None
        """Being of the wished devices is not enough."""
        self.due = 0.0
        """When the next coalesced records go out, by the hub's monotonic clock."""
        self._newest: dict[str, Published] = {}

    def now(self, chosen: Sequence[Published]) -> Sequence[Published]:
        """What of its events goes out at once; a coalescing audience keeps its records back."""
        if self.wish.every_ms is None:
            return chosen
        for one in chosen:
            if one.seq and one.device_id is not None:
                self._newest[one.device_id] = one
        return [one for one in chosen if not one.seq]

    def kept_back(self) -> list[Published]:
        """The newest record of each device since the last call, by rising cursor."""
        newest, self._newest = self._newest, {}
        seen = filter(self.wish.wants, newest.values()) if self.wish.sight is not None else newest.values()
        return sorted(seen, key=lambda one: one.seq)


class _Index(Generic[Member]):
    """Audiences by the names they wish."""

    def __init__(self) -> None:
        self._all: dict[Audience[Member], None] = {}
        self._of_name: dict[str, dict[Audience[Member], None]] = {}

    def __bool__(self) -> bool:
        return bool(self._all)

    def add(self, audience: Audience[Member], names: frozenset[str]) -> None:
        self._all[audience] = None
        for name in names:
            self._of_name.setdefault(name, {})[audience] = None

    def remove(self, audience: Audience[Member], names: frozenset[str]) -> None:
        del self._all[audience]
        for name in names:
            of_name = self._of_name[name]
            del of_name[audience]
            if not of_name:
                del self._of_name[name]

    def of(self, names: Iterable[str] | None) -> Iterable[Audience[Member]]:
        """Those that wish one of the names; None: all."""
        if names is None:
            return self._all
        return {audience: None for name in names for audience in self._of_name.get(name, ())}


class _Sighted(Generic[Member]):
    """Audiences of those who do not see every device, by the devices and the sites they see."""

    def __init__(self) -> None:
        self._by_device: _Index[Member] = _Index()
        self._by_site: _Index[Member] = _Index()  # of those that see a site

    def __bool__(self) -> bool:
        return bool(self._by_device)

    def add(self, audience: Audience[Member], sight: Sight) -> None:
        self._by_device.add(audience, sight.scope.devices)
        if sight.scope.sites:
            self._by_site.add(audience, sight.scope.sites)
            self._sites = sight.sites

    def remove(self, audience: Audience[Member], sight: Sight) -> None:
        self._by_device.remove(audience, sight.scope.devices)
        if sight.scope.sites:
            self._by_site.remove(audience, sight.scope.sites)

    def of(self, device_id: str | None) -> Iterable[Audience[Member]]:
        """Those that see a device, each once; None: all."""
        if device_id is None:
            return self._by_device.of(None)
        seeing = dict.fromkeys(self._by_device.of((device_id,)))
        if self._by_site:
            seeing.update(dict.fromkeys(self._by_site.of((site_of(device_id, self._sites),))))
        return seeing


class Audiences(Generic[Member]):
    """Every audience, found by wish, and by the devices and topics of a batch."""

    def __init__(self) -> None:
        """None yet."""
        self._all: dict[tuple[Encoder, Wish], Audience[Member]] = {}
        self._wide: dict[Audience[Member], None] = {}
        self._by_device: _Index[Member] = _Index()
        self._by_topic: _Index[Member] = _Index()  # of those that wish no devices
        self._sighted: _Sighted[Member] = _Sighted()  # of those too

    def __iter__(self) -> Iterator[Audience[Member]]:
        return iter(tuple(self._all.values()))

    def of(self, encoder: Encoder, wish: Wish) -> Audience[Member]:
        """The audience of a wish; a new one if nobody had that."""
        audience = self._all.get((encoder, wish))
        if audience is None:
            audience = self._all[encoder, wish] = Audience(encoder, wish)
            if wish.devices is not None:
                self._by_device.add(audience, wish.devices)
            elif wish.sight is not None:
                self._sighted.add(audience, wish.sight)
            elif wish.topics is not None:
                self._by_topic.add(audience, wish.topics)
            else:
                self._wide[audience] = None
        return audience

    def leave(self, member: Member, encoder: Encoder, wish: Wish) -> None:
        """Take a member out of its audience, which ends with its last; safe for one that is not there."""
        audience = self._all.get((encoder, wish))
        if audience is None:
            return
        audience.members.pop(member, None)
        audience.behind.pop(member, None)
        if audience.members or audience.behind:
            return
        del self._all[encoder, wish]
        if wish.devices is not None:
            self._by_device.remove(audience, wish.devices)
        elif wish.sight is not None:
            self._sighted.remove(audience, wish.sight)
        elif wish.topics is not None:
            self._by_topic.remove(audience, wish.topics)
        else:
            del self._wide[audience]

    def choose(self, batch: Sequence[Published]) -> Iterable[tuple[Audience[Member], Sequence[Published]]]:
        """Each audience with what of a batch it wishes; those with nothing are left out.

        The cost is that of the batch and the audiences it concerns, not of all there are.
        """
        chosen: list[tuple[Audience[Member], Sequence[Published]]] = [(audience, batch) for audience in self._wide]
        if self._by_device or self._by_topic or self._sighted:
            narrow: dict[Audience[Member], list[Published]] = {}
            for one in batch:
                for audience in self._concerned(one):
                    narrow.setdefault(audience, []).append(one)
            for one in batch if self._sighted else ():
                for audience in self._sighted.of(one.subject_device):
                    if audience.wish.topics is None or audience.wish.wants(one):
                        narrow.setdefault(audience, []).append(one)
            chosen += narrow.items()
        return chosen

    def _concerned(self, one: Published) -> Iterable[Audience[Member]]:
        if self._by_device:
            for audience in self._by_device.of(None if one.device_id is None else (one.device_id,)):
                if not audience.narrow or audience.wish.wants(one):
                    yield audience
        if self._by_topic:
            yield from self._by_topic.of(one.topics)
