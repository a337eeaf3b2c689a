"""The locations that devices refer to, and the moves of these devices when a location changes."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Literal

from bridge.core.devices.named_location import NamedLocation, change_location, location_from_public
from bridge.core.errors import (
    DeviceError,
    LocationExists,
    LocationInUse,
    StoreUnavailable,
    TooManyLocations,
    UnknownDevice,
    UnknownLocation,
)
from bridge.core.events import EntityEvent
from bridge.devices.number_sequence import NumberSequence
from bridge.devices.registry import Registry
from bridge.ports import LocationStore, Publisher, SwapStore

LIMIT = 10_000
REFERENCE = "locationId"
"""The attribute of a device that names its location."""

Action = Literal["created", "updated", "deleted"]
_ACTIONS: Mapping[Action, str] = {"created": "create_location", "updated": "update_location", "deleted": "delete_location"}
_NAMED_LIMIT = 5


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Locations:
    """Every location by id. Changes are made one at a time."""

    def __init__(
        self,
        store: LocationStore,
        sequence: SwapStore,
        registry: Registry,
        publisher: Publisher,
        confirm: Callable[[], Awaitable[None]],
        clock: Callable[[], int] = _now_ms,
    ) -> None:
        """`confirm` returns if this bridge may write, or raises `StoreUnavailable`. `clock` gives ms since the epoch."""
        self._store = store
        self._numbers = NumberSequence(sequence, "location_number")
        self._registry = registry
        self._publisher = publisher
        self._confirm = confirm
        self._clock = clock
        self._locations: dict[str, NamedLocation] | None = None
        self._lock = asyncio.Lock()

    async def load(self) -> None:
        """Read the locations from the store. Raises `StoreUnavailable`."""
        self._locations = {location.id: location for location in await self._store.all(LIMIT)}

    def on_remote(self, event: EntityEvent) -> None:
        """Apply a change that another bridge has stored."""
        if self._locations is None:
            return
        if event.event_type == "deleted":
            self._locations.pop(event.entity_id, None)
        else:
            self._locations[event.entity_id] = location_from_public(event.entity_id, event.data)

    @property
    def _loaded(self) -> dict[str, NamedLocation]:
        if self._locations is None:
            raise StoreUnavailable("locations have not been loaded yet")
        return self._locations

    def all(self, after: str = "") -> Iterator[NamedLocation]:
        """Iterate over the locations by id, from the first after `after`."""
        locations = self._loaded
        return (locations[identity] for identity in sorted(locations) if identity > after)

    def get(self, identity: str) -> NamedLocation:
        """Return a location. Raises `UnknownLocation` and `StoreUnavailable`."""
        location = self._loaded.get(identity)
        if location is None:
            raise UnknownLocation(f"no location {identity[:128]!r} is known")
        return location

    def resolve(
        self,
        attributes: Mapping[str, Any],
        current: str | None = None,
        may_use: Callable[[NamedLocation], bool] = lambda _: True,
    ) -> dict[str, Any]:
        """Return a device's attributes with the site and room of the location that they refer to.

        `current` is the location that the device refers to already. Raises `DeviceError` if there is no other such location
        that the caller `may_use`, or if the attributes state another place.
        """
        reference = attributes.get(REFERENCE, current)
        if reference is None or attributes.keys().isdisjoint((REFERENCE, "site", "room")):
            return dict(attributes)
        location = self._loaded.get(reference) if isinstance(reference, str) else None
        if location is None or not (reference == current or may_use(location)):
            raise DeviceError({REFERENCE: "must be the id of a location: create it first at /api/v1/locations"})
        place = {"site": location.site, "room": location.room}
        if wrong := [name for name, text in place.items() if attributes.get(name, text) != text]:
            raise DeviceError(dict.fromkeys(wrong, f"is that of the location {location.id}: change it there, or leave it out"))
        return {**attributes, **place}

    async def add(self, identity: str | None, attributes: Mapping[str, Any]) -> NamedLocation:
        """Create a location; without an id it gets the next number.

        Raises `LocationExists`, `LocationError`, `TooManyLocations` and `StoreUnavailable`.
        """
        async with self._lock:
            if len(self._loaded) >= LIMIT:
                raise TooManyLocations(f"the limit of {LIMIT} locations is reached: remove one first")
            change_location(NamedLocation(""), attributes)  # before a number is taken
            identity = identity or await self._numbers.next(self._is_free)
            location = change_location(NamedLocation(identity, created_ms=self._clock()), attributes)
            if identity in self._loaded or not await self._add(location):
                raise LocationExists(f"location {identity!r} exists: use PUT to change it")
            self._loaded[identity] = location
            self._publish("created", location)
        return location

    async def _add(self, location: NamedLocation) -> bool:
        await self._confirm()
        return await self._store.add(location)

    async def _is_free(self, identity: str) -> bool:
        return identity not in self._loaded

    async def change(self, identity: str, changes: Mapping[str, Any]) -> NamedLocation:
        """Change a location, and the site and room of the devices that refer to it.

        Raises `UnknownLocation`, `LocationError` and `StoreUnavailable`; repeating a call that failed moves the rest.
        """
        async with self._lock:
            location = change_location(self.get(identity), changes)
            await self._confirm()
            if not await self._store.save(location):
                raise UnknownLocation(f"no location {identity!r} is known")
            self._loaded[identity] = location
            self._publish("updated", location)
            for device_id in self._registry.devices_in(identity):
                with suppress(UnknownDevice):  # removed meanwhile
                    await self._registry.update(device_id, {"site": location.site, "room": location.room})
        return location

    async def remove(self, identity: str) -> None:
        """Remove a location. Raises `UnknownLocation`, `StoreUnavailable`, and `LocationInUse` if devices refer to it."""
        async with self._lock:
            location = self.get(identity)
            if devices := sorted(self._registry.devices_in(identity)):
                named = ", ".join(devices[:_NAMED_LIMIT]) + (", …" if len(devices) > _NAMED_LIMIT else "")
                raise LocationInUse(f"location {identity!r} is that of {len(devices)} devices ({named}): move them first")
            await self._confirm()
            await self._store.remove(identity)
            del self._loaded[identity]
            self._publish("deleted", location)

    def _publish(self, action: Action, location: NamedLocation) -> None:
        data = {"action": _ACTIONS[action]}
        self._publisher.publish([EntityEvent("location", action, location.id, location.public(), data)])
