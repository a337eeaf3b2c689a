"""Checkpoints of anomalies: the states of all devices after the same reading, and the cursor of that reading, the mark.

Devices are saved one after the other, and the mark last. A kill in between leaves some devices ahead of the mark. For their own
readings that is no matter, for they skip what they contain; but neighbours are compared with them when readings are folded
again. So a device in a room keeps the state of the last complete checkpoint beside the new one.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from bridge.analysis.anomaly.fold import AnomalyFold
from bridge.ports import DeviceRecord, Store

log = logging.getLogger(__name__)

MARK = "anomalies.mark"

_BATCH = 20
"""This many devices are encoded without a break, in about 2 ms."""


@dataclass(frozen=True, slots=True)
class RestoredDevice:
    """The state of a device after the reading with the cursor `seq`, and its room; None: none."""

    device_id: str
    seq: int
    state: dict[str, Any]
    room: str | None


class AnomalyCheckpoints:
    def __init__(self, store: Store, devices_limit: int) -> None:
        self._store = store
        self._devices_limit = devices_limit
        self._mark = 0

    async def mark(self) -> int | None:
        """Return the cursor of the last complete checkpoint; None before the first one. Raises `StoreUnavailable`."""
        text = await self._store.get(MARK)
        if text is None:
            return None
        try:
            self._mark = int(orjson.loads(text)["seq"])
        except (KeyError, TypeError, ValueError):
            log.warning("anomalies: the mark of the last checkpoint is damaged: readings since then are left out")
            return None
        return self._mark

    async def set_mark(self, seq: int) -> None:
        """Raises `StoreUnavailable`."""
        await self._store.put(MARK, orjson.dumps({"seq": seq}).decode())
        self._mark = seq

    async def devices(self) -> list[RestoredDevice]:
        """Return the devices as they were at the mark; a device without a room may be ahead. Raises `StoreUnavailable`."""
        records = await self._store.anomaly_states.all(self._devices_limit)
        return [found for one in records if (found := self._restored(one)) is not None]

    def _restored(self, record: DeviceRecord) -> RestoredDevice | None:
        body: Any = record.body
        if record.seq > self._mark and "before" in record.body:
            body = record.body["before"]
        if body is None:  # it is new since the mark
            return None
        found = RestoredDevice(record.device_id, 0, {}, None)  # of a damaged document: `AnomalyFold.restore` refuses it
        if isinstance(body, dict) and isinstance(body.get("state"), dict) and body["state"].get("device") == record.device_id:
            room, seq = body.get("room"), body.get("seq")
            if isinstance(seq, int) and (room is None or isinstance(room, str)):
                found = RestoredDevice(record.device_id, seq, body["state"], room)
        return found

    async def save(self, fold: AnomalyFold, seq: int, removed: Iterable[str]) -> None:
        """Write a checkpoint after the reading with the cursor `seq`; nothing may be folded meanwhile.

        Raises `StoreUnavailable`; what is written by then is no checkpoint, and the call can be repeated.
        """
        changed = sorted(fold.changed)
        async for records in self._records(fold, seq, changed):
            await self._store.anomaly_states.save(records)
        for device_id in removed:
            if device_id not in fold:
                await self._store.anomaly_states.remove(device_id)
        await self.set_mark(seq)
        fold.changed.difference_update(changed)

    async def _records(self, fold: AnomalyFold, seq: int, changed: Sequence[str]) -> AsyncIterator[list[DeviceRecord]]:
        for start in range(0, len(changed), _BATCH):
            ids = changed[start : start + _BATCH]
            in_rooms = [one for one in ids if fold.room(one) is not None]
            before = {one.device_id: one for one in await self._store.anomaly_states.get(in_rooms)} if in_rooms else {}
            records = []
            for device_id in ids:
                body: dict[str, Any] = {"seq": seq, "state": fold.document(device_id), "room": fold.room(device_id)}
                if body["room"] is not None:
                    body["before"] = self._before(before.get(device_id))
                records.append(DeviceRecord(device_id, seq, body))
            yield records
            await asyncio.sleep(0)

    def _before(self, stored: DeviceRecord | None) -> dict[str, Any] | None:
        """Return the state that a record has for the mark; None for a device that is new since."""
        if stored is None:
            return None
        if stored.seq > self._mark and "before" in stored.body:
            before: dict[str, Any] | None = stored.body["before"]
            return before
        return {name: stored.body.get(name) for name in ("seq", "state", "room")}
