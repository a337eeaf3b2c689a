"""What the bridge learns about a device from its messages, and what a person set about them.

Parts: sensors of one device that measure the same quantity are series of their own, `device.part`. Which sensor is the device's
own series is learned once per device. Ids: what payloads call the device of a topic; as soon as there are two of them, each is
a part. Zone: the distance of a clock without a zone from UTC. All of it must be stored: after a
restart, or when a sensor fails, every sensor keeps its series and every time its meaning.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from bridge.core.readings.identity import INVISIBLE, normalize_device_id

PARTS_LIMIT = 64
"""Parts of one device that are remembered; one more always is a series of its own."""

DEVICES_LIMIT = 10_000
_OWN_IDS_LIMIT = 100_000
_ID_LENGTH = 128
_PART_LENGTH = 64
_UNSAFE = re.compile(rf"([^\w.:-]|[{INVISIBLE}])+")
SEPARATOR = "."


@dataclass(slots=True)
class DeviceProfile:
    """What is known of one device.

    `own` says of each part whether it is a series of its own; `fields` names the part that measures each field of the device's
    own series, "" for the device itself. `zone_minutes` is how far its clock, which states no zone, was learned to be ahead of
    UTC; None if that is not known. `units` are the units by field that a person set, or that its messages showed.
    """

    own: dict[str, bool] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)
    zone_minutes: int | None = None
    zone_name: str | None = None
    """The time zone that a person set, an IANA name or an offset such as `+02:00`; it wins over what was learned."""
    units: dict[str, str] = field(default_factory=dict)
    stated_id: str | None = None
    """The first id, other than the device's own, that a payload stated below its topic."""
    has_several_ids: bool = False
    """Payloads below its topic stated several ids: each other than the device's own is a part."""


class Profiles:
    """The profiles of every device, bounded; `changed` names the devices whose profiles are to be stored."""

    def __init__(self) -> None:
        self._devices: dict[str, DeviceProfile] = {}
        self._own_fields: dict[str, set[str]] = {}
        """The fields that each device itself was seen to measure since the start."""
        self._own_ids: set[str] = set()
        """The devices whose payloads were seen to state the id of their topic since the start."""
        self.is_other_device: Callable[[str, str], bool] = lambda _series, _device: False
        """Whether the id of a series belongs to another device than the second one: a part must not write into its series."""
        self.changed: set[str] = set()

    def __iter__(self) -> Iterator[tuple[str, DeviceProfile]]:
        return iter(self._devices.items())

    def get(self, device_id: str) -> DeviceProfile | None:
        return self._devices.get(device_id)

    def put(self, device_id: str, profile: DeviceProfile) -> None:
        self._devices[device_id] = profile

    def remove(self, device_id: str) -> None:
        self._devices.pop(device_id, None)
        self.changed.discard(device_id)

    def obtain(self, device_id: str) -> DeviceProfile | None:
        """Return the profile of a device, a new one if need be; None if there are too many."""
        profile = self._devices.get(device_id)
        if profile is None and len(self._devices) < DEVICES_LIMIT:
            profile = self._devices[device_id] = DeviceProfile()
        return profile

    def is_sole_id(self, device_id: str, stated: object) -> bool:
        """Whether an id that a payload states is the only one known below the topic of a device."""
        device = self._devices.get(device_id)
        if stated == device_id:
            return device_id in self._own_ids and (device is None or device.stated_id is None)
        return device is not None and device.stated_id == stated and not device.has_several_ids

    def learn_id(self, device_id: str, stated: str) -> bool:
        """Record an id that a payload states below the topic of a device; return whether it is the one that shows the device to
        have several.
        """
        is_own = stated == device_id
        device = self._devices.get(device_id) if is_own else self.obtain(device_id)
        if is_own:
            if len(self._own_ids) >= _OWN_IDS_LIMIT:
                self._own_ids.clear()
            self._own_ids.add(device_id)
        if device is None or device.has_several_ids:
            return False
        first, this = device.stated_id, None if is_own else _short_id(device_id, stated)
        device.has_several_ids = first not in (None, this) or (this is not None and device_id in self._own_ids)
        device.stated_id = first or this
        if device.has_several_ids or first is None:
            self.changed.add(device_id)
        return device.has_several_ids

    def has_several_ids(self, device_id: str) -> bool:
        """Whether each id that payloads state below the topic of a device is a part; so are all where no more profiles fit."""
        device = self._devices.get(device_id)
        return len(self._devices) >= DEVICES_LIMIT if device is None else device.has_several_ids

    def units(self, device_id: str) -> dict[str, str]:
        """Return the units that a person set for a device, by field."""
        profile = self._devices.get(device_id)
        return {} if profile is None else profile.units

    def learn_units(self, device_id: str, units: Mapping[str, str]) -> None:
        """Record units that messages of a device show it to use, where none is known."""
        device = self.obtain(device_id)
        if device is not None and (new := {name: unit for name, unit in units.items() if name not in device.units}):
            device.units = device.units | new
            self.changed.add(device_id)

    def claim(self, device_id: str, fields: Iterable[str]) -> bool:
        """Record that the device itself measures `fields`; return whether it has no units of its own.

        A part that measured one of the fields in the device's series leaves it. Costs 0.2 µs.
        """
        known = self._own_fields.get(device_id)
        if known is None:
            if len(self._own_fields) >= DEVICES_LIMIT:
                self._own_fields.clear()
            self._own_fields[device_id] = known = set()
        device = self._devices.get(device_id) if self._devices else None
        if not known.issuperset(fields):
            known.update(fields)
            if device is not None:
                self._take_from_parts(device_id, device, fields)
        return device is None or not device.units

    def _take_from_parts(self, device_id: str, device: DeviceProfile, fields: Iterable[str]) -> None:
        for name in fields:
            part = device.fields.get(name)
            if part is not None and part != "":
                device.own[part] = True
            if part != "":
                device.fields[name] = ""
                self.changed.add(device_id)

    def needs_own_series(self, device_id: str, part: str, fields: Iterable[str], *, shares: bool) -> bool:
        """Whether `part`, which measures `fields`, is a series of its own; learned at the first message of the part."""
        device = self.obtain(device_id)
        if device is None:
            return True
        own = device.own.get(part)
        if own is None:
            self._take_from_parts(device_id, device, self._own_fields.get(device_id, ()))
            own = not shares or len(device.own) >= PARTS_LIMIT or any(device.fields.get(name, part) != part for name in fields)
            if len(device.own) < PARTS_LIMIT:
                device.own[part] = own
                self.changed.add(device_id)
        if not own and any(name not in device.fields for name in fields):
            device.fields |= {name: part for name in fields if name not in device.fields}
            self.changed.add(device_id)
        return own

    def part_id(self, device_id: str, part: str) -> str:
        """Return the id of a part: `cold.DS18B20-2`; with a hash if another device has that id."""
        series = part_id(device_id, part)
        return hashed_part_id(device_id, part) if self.is_other_device(series, device_id) else series


def _short_id(device_id: str, stated: str) -> str:
    """Return an id from a payload in a form that every store takes, and that another id has only by chance."""
    return stated if len(stated) <= _PART_LENGTH and stated.isprintable() else part_id(device_id, stated)


def part_id(device_id: str, part: str) -> str:
    """Return the usual id of a part: `cold.DS18B20-2`. Characters that no id may have become `_`; a long one has a hash."""
    name = normalize_device_id(_UNSAFE.sub("_", part)).strip("_.") or "part"
    if len(name) > _PART_LENGTH or len(device_id) + 1 + len(name) > _ID_LENGTH:
        return hashed_part_id(device_id, part)
    return f"{device_id}{SEPARATOR}{name}"


def hashed_part_id(device_id: str, part: str) -> str:
    """Return an id that no device has by chance: the device's, as far as there is room, and a hash of device and part."""
    digest = blake2b(f"{device_id}\0{part}".encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    return f"{device_id[: _ID_LENGTH - len(digest) - 1]}{SEPARATOR}{digest}"
