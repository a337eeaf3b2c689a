"""Export readings to a file and import them. Both can be interrupted and repeated: no reading is lost or duplicated."""

import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from bson.objectid import ObjectId

from bridge.cluster.shared_writer import SharedWriter
from bridge.core.errors import RecordError, StoreUnavailable, TransferError, UnknownDevice
from bridge.core.query import ReadingsQuery
from bridge.core.readings.identity import Cursor
from bridge.core.readings.reading import Reading
from bridge.maintenance.export_files import (
    DeviceLabel,
    FileFormat,
    LineReader,
    ResumePoint,
    detect_format,
    open_lines,
    open_output,
)
from bridge.maintenance.imported_devices import ImportedDevices
from bridge.pipeline.loop import now_us
from bridge.ports import ReadingWriter, Store
from bridge.settings import DevicesSettings, StoreSettings
from bridge.stores import open_store

BATCH = 1000
_DEVICES_LIMIT = 100_000
_SIMILAR = 3

Progress = Callable[[int, int | None], None]
"""Called with the amount done so far and the total (None: unknown): readings of an export, bytes of an import."""

BadLine = Callable[[int, str], None]
"""Called with the number of a line that was not stored, and the reason; may raise to stop the import."""


# --- export ----------------------------------------------------------------------------------------------------------


async def export_readings(
    path: Path,
    settings: StoreSettings,
    query: ReadingsQuery,
    progress: Progress,
    *,
    file_format: FileFormat | None = None,
    resume: bool = False,
    force: bool = False,
) -> int:
    """Write the matching readings in cursor order; return how many.

    Raises `TransferError`, and `UnknownDevice` for one that is neither registered nor has a reading, before FILE is opened.
    """
    file_format = detect_format(path, file_format)
    async with open_store(settings) as store:
        await store.prepare()
        devices = await store.devices.all(_DEVICES_LIMIT)
        await _check_devices(store, query.devices or (), [device.id for device in devices])
        labels = {device.id: DeviceLabel(device.name or "", device.room or "") for device in devices}
        written = 0
        with (
            _ignore_broken_pipe(),
            open_output(path, file_format, resume=resume, force=force, labels=labels) as (file, resume_point),
        ):
            query = replace(query, since=resume_point.seq)
            total = await _count(store, query)
            progress(written, total)
            async for readings in pages(store, query, resume_point):
                file.write(readings)
                written += len(readings)
                progress(written, total)
            progress(written, written)
        return written


async def _check_devices(store: Store, ids: Sequence[str], known: Sequence[str]) -> None:
    for device_id in ids:
        if device_id in known or await store.readings(ReadingsQuery((device_id,), limit=1)):
            continue
        similar = get_close_matches(device_id, known, _SIMILAR)
        hint = f"did you mean {' or '.join(map(repr, similar))}?" if similar else "`sensor-bridge tail` shows those that send"
        raise UnknownDevice(f"unknown device {device_id!r}: it has no stored readings; {hint}")


async def pages(store: Store, query: ReadingsQuery, resume_point: ResumePoint | None = None) -> AsyncIterator[list[Reading]]:
    """Yield all matching readings by rising `seq`, without those that `resume_point` lists.

    Two bridges on one store may assign the same `seq`, so each page starts at the last `seq` of the page before it and leaves
    out the readings that were already yielded.
    """
    if resume_point:
        since, seen = max(resume_point.seq - 1, 0), resume_point.ids
    else:
        since, seen = query.since or 0, frozenset[ObjectId]()
    while True:
        page = await store.readings(replace(query, since=since, limit=BATCH + len(seen)))
        fresh = [reading for reading in page if reading.id not in seen]
        if not fresh:
            return
        yield fresh
        last = fresh[-1].seq
        seen = frozenset(reading.id for reading in fresh if reading.seq == last) | (seen if since == last - 1 else frozenset())
        since = last - 1


async def _count(store: Store, query: ReadingsQuery) -> int | None:
    """Return None if counting takes too long: the number is for the progress bar only."""
    try:
        return await store.count(query)
    except StoreUnavailable:
        return None


@contextmanager
def _ignore_broken_pipe() -> Iterator[None]:
    """`sensor-bridge export - | head` is not an error."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# --- import ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class ImportResult:
    """The outcomes, in lines."""

    stored: int = 0
    duplicate: int = 0
    bad: int = 0


async def import_readings(
    path: Path,
    settings: StoreSettings,
    devices: DevicesSettings,
    progress: Progress,
    bad_line: BadLine,
    *,
    file_format: FileFormat | None = None,
) -> ImportResult:
    """Store the readings of a file, and register their devices. Raises `TransferError`."""
    reader = LineReader(detect_format(path, file_format))
    with open_lines(path) as source:
        async with open_store(settings) as store:
            progress(0, source.total)
            writer, cursor = await SharedWriter.for_command(store, "import")
            importer = _Importer(writer, cursor, ImportedDevices(store, devices), bad_line)
            for lines in _batches(source.lines):
                await importer.store(importer.parse(reader, lines))
                progress(source.bytes_read(), source.total)
            await importer.devices.close()
            return importer.result


def _batches(lines: Iterator[bytes]) -> Iterator[list[tuple[int, bytes]]]:
    """Yield numbered lines in batches. Lines before a read error are yielded before it is raised."""
    batch: list[tuple[int, bytes]] = []
    try:
        for numbered in enumerate(lines, start=1):
            batch.append(numbered)
            if len(batch) == BATCH:
                yield batch
                batch = []
    except TransferError:
        yield batch
        raise
    yield batch


class _Importer:
    """Stores lines batch by batch and counts the outcomes."""

    def __init__(self, store: ReadingWriter, cursor: Cursor, devices: ImportedDevices, bad_line: BadLine) -> None:
        self._store = store
        self._cursor = cursor
        self.devices = devices
        self._bad_line = bad_line
        self.result = ImportResult()

    def parse(self, reader: LineReader, lines: Sequence[tuple[int, bytes]]) -> list[tuple[int, Reading]]:
        readings = []
        for number, line in lines:
            try:
                reading = reader.read(line)
            except RecordError as error:
                self._reject(number, str(error))
            else:
                if reading is not None:
                    reading.seq = self._cursor.next(now_us())
                    readings.append((number, reading))
        return readings

    async def store(self, numbered: Sequence[tuple[int, Reading]]) -> None:
        """Store readings; one whose `_id` exists is a duplicate."""
        written = await self._store.write([reading for _, reading in numbered], (), ())
        self.result.stored += len(written.stored)
        self.result.duplicate += len(numbered) - len(written.stored) - len(written.refused)
        for number, reading in numbered:
            if reading.seq in written.refused:
                self._reject(number, f"the store refused it: {written.refused[reading.seq]}")
            else:
                self.devices.add(reading)
        await self.devices.save_new()

    def _reject(self, number: int, reason: str) -> None:
        self.result.bad += 1
        self._bad_line(number, reason)
