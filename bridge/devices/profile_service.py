"""Profiles of devices for people: shown with the device, and changed by them."""

from collections.abc import Collection, Mapping
from typing import Any

from bridge.core.devices.device import Device
from bridge.core.devices.profiles import DEVICES_LIMIT, DeviceProfile, Profiles
from bridge.core.errors import DeviceError
from bridge.devices.profile_changes import PROFILE_NAMES, change_profile, public_profile
from bridge.devices.registry import Registry
from bridge.ports import ProfileStore


async def load_profiles(store: ProfileStore, profiles: Profiles) -> Profiles:
    """Read all profiles into `profiles` and return it. Raises `StoreUnavailable`."""
    for device_id, profile in (await store.all(DEVICES_LIMIT)).items():
        profiles.put(device_id, profile)
    return profiles


class ProfileService:
    def __init__(self, profiles: Profiles, store: ProfileStore, registry: Registry) -> None:
        """`profiles` are those of the decoder."""
        self._profiles = profiles
        self._store = store
        self._registry = registry
        profiles.is_other_device = registry.is_other_device

    async def load(self) -> None:
        """Read the profiles from the store; to be called before the first message is decoded. Raises `StoreUnavailable`."""
        await load_profiles(self._store, self._profiles)

    def detail(self, device: Device) -> dict[str, Any]:
        """Return a device with everything that is known of it."""
        profile = self._profiles.get(device.id)
        shown = {} if profile is None else public_profile(profile, lambda part: self._profiles.part_id(device.id, part))
        return device.public() | shown | device.also_sends_public()

    async def update(self, device_id: str, attributes: Mapping[str, Any]) -> Device:
        """Change a device and its profile: both, or none. Raises as `Registry.update` does."""
        changes = {name: value for name, value in attributes.items() if name in PROFILE_NAMES}
        others = {name: value for name, value in attributes.items() if name not in PROFILE_NAMES}
        device = self._registry.get(device_id)
        changed = self._changed(device, changes) if changes else None
        if others or not changes:
            device = await self._registry.update(device_id, others)
        if changed is not None:
            await self._store.save({device_id: changed})
            self._profiles.put(device_id, self._changed(device, changes))  # it may have changed while the store was writing
            self._profiles.changed.add(device_id)
        return device

    def _changed(self, device: Device, changes: Mapping[str, Any]) -> DeviceProfile:
        if device.part_of is not None:
            raise DeviceError(dict.fromkeys(changes, f"belongs to the device of this part: set it for {device.part_of}"))
        profile = self._profiles.obtain(device.id)
        if profile is None:
            raise DeviceError(dict.fromkeys(changes, f"the limit of {DEVICES_LIMIT} devices with a profile is reached"))
        return change_profile(profile, changes, lambda part: self._fields_of_part(device.id, profile, part))

    def _fields_of_part(self, device_id: str, profile: DeviceProfile, part: str) -> Collection[str]:
        if not profile.own.get(part):
            return [name for name, owner in profile.fields.items() if owner == part]
        series = self._profiles.part_id(device_id, part)
        reading = self._registry.get(series).last_reading if series in self._registry else None
        return () if reading is None else list(reading.values)

    async def remove(self, device_id: str) -> None:
        """Remove a device and forget its profile. Raises as `Registry.remove` does."""
        await self._registry.remove(device_id)
        self._profiles.remove(device_id)
        await self._store.remove(device_id)
