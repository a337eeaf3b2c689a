"""Who hears the same: clients of one dialect with equal wishes share what is chosen, joined and compressed for them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from bridge.realtime.parcel import Encoder, Published

Member = TypeVar("Member", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client wants to hear: which devices (None: every one), and at most one record a device per `every_ms`."""

    devices: frozenset[str] | None = None
    every_ms: int | None = None

    def wants(self, one: Published) -> bool:
        """Whether it is for this client; what concerns no device is for everyone."""
        return self.devices is None or one.device_id is None or one.device_id in self.devices

    def includes(self, other: Wish) -> bool:
        """Whether it is for every device that the other is for."""
        return self.devices is None or (other.devices is not None and other.devices <= self.devices)


EVERYTHING = Wish()


class Audience(Generic[Member]):
    """The members who hear live what one wish asks for."""

    def __init__(self, encoder: Encoder, wish: Wish) -> None:
        """Without members."""
        self.encoder = encoder
        self.wish = wish
        self.members: dict[Member, None] = {}
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
        return sorted(newest.values(), key=lambda one: one.seq)


class Audiences(Generic[Member]):
    """Every audience, found by wish, and by the devices of a batch."""

    def __init__(self) -> None:
        """None yet."""
        self._all: dict[tuple[Encoder, Wish], Audience[Member]] = {}
        self._wide: dict[Audience[Member], None] = {}
        self._of_device: dict[str, dict[Audience[Member], None]] = {}

    def __iter__(self) -> Iterator[Audience[Member]]:
        return iter(tuple(self._all.values()))

    def of(self, encoder: Encoder, wish: Wish) -> Audience[Member]:
        """The audience of a wish; a new one if nobody had that."""
        audience = self._all.get((encoder, wish))
        if audience is None:
            audience = self._all[encoder, wish] = Audience(encoder, wish)
            if wish.devices is None:
                self._wide[audience] = None
            for device in wish.devices or ():
                self._of_device.setdefault(device, {})[audience] = None
        return audience

    def leave(self, member: Member, encoder: Encoder, wish: Wish) -> None:
        """Take a member out of its audience, which ends with its last; safe for one that is not there."""
        audience = self._all.get((encoder, wish))
        if audience is None:
            return
        audience.members.pop(member, None)
        if not audience.members:
            del self._all[encoder, wish]
            self._wide.pop(audience, None)
            for device in wish.devices or ():
                of_device = self._of_device[device]
                del of_device[audience]
                if not of_device:
                    del self._of_device[device]

    def choose(self, batch: Sequence[Published]) -> Iterable[tuple[Audience[Member], Sequence[Published]]]:
        """Each audience with what of a batch it wishes; those with nothing are left out.

        The cost is that of the batch and the audiences it concerns, not of all there are.
        """
        narrow: dict[Audience[Member], list[Published]] = {}
        for one in batch:
            for audience in self._concerned(one):
                narrow.setdefault(audience, []).append(one)
        return [*((audience, batch) for audience in self._wide), *narrow.items()]

    def _concerned(self, one: Published) -> Iterable[Audience[Member]]:
        if one.device_id is None:
            return [audience for audience in self._all.values() if audience.wish.devices is not None]
        return self._of_device.get(one.device_id, ())
