"""Readings out of a store into a file, and back. Both can be stopped at any moment and repeated: none is lost or doubled."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bson.objectid import ObjectId
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bridge.core.errors import RecordError, StoreUnavailable, TransferError
from bridge.core.query import ReadingsQuery
from bridge.core.readings.identity import Cursor
from bridge.core.readings.reading import Reading
from bridge.maintenance.files import FileFormat, LineReader, ResumePoint, format_of, opened_lines, record_file
from bridge.pipeline.loop import now_us
from bridge.ports import Store
from bridge.settings import StoreSettings
from bridge.stores import open_store

BATCH = 1000

BadLine = Callable[[int, str], None]


# --- export ----------------------------------------------------------------------------------------------------------


async def export_to(
    path: Path,
    settings: StoreSettings,
    query: ReadingsQuery,
    console: Console,
    *,
    named: FileFormat | None = None,
    resume: bool = False,
    force: bool = False,
) -> int:
    """Write the readings asked for, in cursor order; how many. Progress goes to `console`; raises `TransferError`."""
    form = format_of(path, named)
    with _reader_may_leave(), record_file(path, form, resume=resume, force=force) as (file, place):
        async with open_store(settings) as store:
            await store.prepare()
            asked = replace(query, since=place.seq)
            written = 0
            with _progress(console, MofNCompleteColumn()) as progress:
                task = progress.add_task("exporting", total=await _count(store, asked))
                async for readings in pages(store, asked, place):
                    file.write(readings)
                    written += len(readings)
                    progress.update(task, completed=written)
                progress.update(task, total=written)
            return written
    return 0


async def pages(store: Store, query: ReadingsQuery, place: ResumePoint | None = None) -> AsyncIterator[list[Reading]]:
    """All readings asked for, by rising `seq`, some at a time; `place` says which are had already.

    Two bridges on one store may give out the same `seq`: the next page begins with the last one's, without what was had.
    """
    since, had = (max(place.seq - 1, 0), place.ids) if place else (query.since or 0, frozenset[ObjectId]())
    while True:
        page = await store.readings(replace(query, since=since, limit=BATCH + len(had)))
        fresh = [reading for reading in page if reading.id not in had]
        if not fresh:
            return
        yield fresh
        last = fresh[-1].seq
        had = frozenset(one.id for one in fresh if one.seq == last) | (had if since == last - 1 else frozenset())
        since = last - 1


async def _count(store: Store, query: ReadingsQuery) -> int | None:
    """For the progress only: where counting takes too long, nobody waits for it."""
    try:
        return await store.count(query)
    except StoreUnavailable:
        return None


@contextmanager
def _reader_may_leave() -> Iterator[None]:
    """`sensor-bridge export - | head` is no error."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# --- import ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class ImportResult:
    """What became of the lines."""

    stored: int = 0
    duplicate: int = 0
    bad: int = 0


async def import_from(
    path: Path, settings: StoreSettings, console: Console, *, named: FileFormat | None = None, strict: bool = False
) -> ImportResult:
    """Store the readings of a file; bad lines are told on `console`. With `strict` the first of them raises `TransferError`."""
    reader = LineReader(format_of(path, named))
    with opened_lines(path) as source:
        async with open_store(settings) as store:
            with _progress(console, DownloadColumn()) as progress:
                task = progress.add_task("importing", total=source.total)

                def bad(number: int, why: str) -> None:
                    if strict:
                        raise TransferError(f"{path}: line {number}: {why}")
                    progress.console.print(f"line {number}: {why}", markup=False, highlight=False, soft_wrap=True)

                importing = _Import(store, Cursor(await store.prepare()), bad)
                for lines in _batches(source.lines):
                    await importing.add(importing.read(reader, lines))
                    progress.update(task, completed=source.position())
                return importing.imported


def _batches(lines: Iterator[bytes]) -> Iterator[list[tuple[int, bytes]]]:
    """Lines with their numbers; what was read before an error comes before it."""
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


class _Import:
    """Stores lines batch by batch and keeps the account."""

    def __init__(self, store: Store, cursor: Cursor, bad: BadLine) -> None:
        self._store = store
        self._cursor = cursor
        self._bad = bad
        self.imported = ImportResult()

    def read(self, reader: LineReader, lines: Sequence[tuple[int, bytes]]) -> list[tuple[int, Reading]]:
        """The readings of some lines, with their line numbers."""
        found = []
        for number, line in lines:
            try:
                reading = reader.read(line)
            except RecordError as error:
                self._refuse(number, str(error))
            else:
                if reading is not None:
                    reading.seq = self._cursor.next(now_us())
                    found.append((number, reading))
        return found

    async def add(self, numbered: Sequence[tuple[int, Reading]]) -> None:
        """Store them; what is there by its `_id` is a duplicate."""
        written = await self._store.write([reading for _, reading in numbered], (), ())
        self.imported.stored += len(written.stored)
        self.imported.duplicate += len(numbered) - len(written.stored) - len(written.refused)
        for number, reading in numbered:
            if reading.seq in written.refused:
                self._refuse(number, f"the store refused it: {written.refused[reading.seq]}")

    def _refuse(self, number: int, why: str) -> None:
        self.imported.bad += 1
        self._bad(number, why)


def _progress(console: Console, *columns: BarColumn | DownloadColumn | MofNCompleteColumn) -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), *columns, TimeRemainingColumn(), console=console)
