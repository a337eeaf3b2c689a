"""Profiles are stored before the readings that depend on them: what a reading means must not be lost with a restart."""

from collections.abc import Sequence
from itertools import islice

from bridge.core.devices.profiles import Profiles
from bridge.core.message import DeviceStatus, Rejection
from bridge.core.query import WriteResult
from bridge.core.readings.reading import Reading
from bridge.ports import ProfileStore, ReadingWriter

BATCH = 500


class ProfileWriter:
    """Writes changed profiles, then readings."""

    def __init__(self, store: ReadingWriter, profiles: Profiles, documents: ProfileStore) -> None:
        self._store = store
        self._profiles = profiles
        self._documents = documents

    async def write(
        self, readings: Sequence[Reading], rejections: Sequence[Rejection], statuses: Sequence[DeviceStatus], /
    ) -> WriteResult:
        """As `ReadingWriter.write`; nothing is written until the profiles are."""
        while self._profiles.changed:
            await self._save(list(islice(self._profiles.changed, BATCH)))
        return await self._store.write(readings, rejections, statuses)

    async def _save(self, device_ids: Sequence[str]) -> None:
        """Save some profiles. One that changes meanwhile is saved again."""
        self._profiles.changed.difference_update(device_ids)
        try:
            await self._documents.save(
                {name: profile for name in device_ids if (profile := self._profiles.get(name)) is not None}
            )
        except BaseException:
            self._profiles.changed.update(device_ids)
            raise
