"""What the bridge learns about a device from its messages, and what a person set about them.

Parts: sensors of one device that measure the same quantity are series of their own, `device.part`. Which sensor is the device's
own series is learned once per device. Zone: the distance of a clock without a zone from UTC. All of it must be stored: after a
restart, or when a sensor fails, every sensor keeps its series and every time its meaning.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b

PARTS_LIMIT = 64
"""Parts of one device that are remembered; one more always is a series of its own."""

DEVICES_LIMIT = 10_000
_ID_LENGTH = 128
_PART_LENGTH = 64
_UNSAFE = re.compile(r"[\s/+#]+|[^\w.:-]+")
SEPARATOR = "."


@dataclass(slots=True)
class DeviceProfile:
    """What is known of one device. `own` says of each part whether it is a series of its own; `fields` names the part that
    measures each field of the device's own series, "" for the device itself. `zone_minutes` is how far its clock is ahead of UTC,
    None if that is not known. `units` are the units by field that a person set.
    """

    own: dict[str, bool] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)
    zone_minutes: int | None = None
    zone_is_set: bool = False
    """By a person; it is not learned anew."""
    units: dict[str, str] = field(default_factory=dict)


class Profiles:
    """The profiles of every device, bounded; `changed` names the devices whose profiles are to be stored."""

    def __init__(self) -> None:
        self._devices: dict[str, DeviceProfile] = {}
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

    def units(self, device_id: str) -> dict[str, str]:
        """Return the units that a person set for a device, by field."""
        profile = self._devices.get(device_id)
        return {} if profile is None else profile.units

    def claim(self, device_id: str, fields: Iterable[str]) -> None:
        """Record that the device itself measures `fields`: a part that shared the device's series with one of them leaves it."""
        device = self._devices.get(device_id)
        if device is None:
            return
        for name in fields:
            part = device.fields.get(name)
            if part != "":
                device.fields[name] = ""
                if part is not None:
                    device.own[part] = True
                self.changed.add(device_id)

    def needs_own_series(self, device_id: str, part: str, fields: Iterable[str], *, shares: bool) -> bool:
        """Whether `part`, which measures `fields`, is a series of its own; learned at the first message of the part."""
        device = self.obtain(device_id)
        if device is None:
            return True
        own = device.own.get(part)
        if own is None:
            own = not shares or len(device.own) >= PARTS_LIMIT or any(device.fields.get(name, part) != part for name in fields)
            if len(device.own) < PARTS_LIMIT:
                device.own[part] = own
                self.changed.add(device_id)
        if not own and any(name not in device.fields for name in fields):
            device.fields |= {name: part for name in fields if name not in device.fields}
            self.changed.add(device_id)
        return own


def part_id(device_id: str, part: str) -> str:
    """Return the id of a part: `cold.DS18B20-2`. Characters that no id may have become `_`; a name that is too long is cut, with
    a hash of the whole.
    """
    name = _UNSAFE.sub("_", part).strip("_.") or "part"
    room = min(_PART_LENGTH, _ID_LENGTH - len(device_id) - 1)
    if len(name) > room or len(device_id) > _ID_LENGTH - 10:
        name = name[: max(room - 9, 0)] + blake2b(part.encode(), digest_size=4).hexdigest()
    return f"{device_id[: _ID_LENGTH - len(name) - 1]}{SEPARATOR}{name}"
