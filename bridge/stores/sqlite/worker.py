"""A thread that owns a connection to a SQLite file; the library's errors as ours."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from bridge.core.errors import StoreUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

Connection = sqlite3.Connection
UNFIT = (sqlite3.DataError, sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError, OverflowError, ValueError)
"""What SQLite raises for a row's own sake: a number, text or type it cannot hold, a constraint, a trigger that refuses."""

_STEPS_BETWEEN_LOOKS = 100_000  # of SQLite's machine: some milliseconds

_OTHERS = 0o077
_MAKING = threading.Lock()
"""Closing a file takes a process's locks on it away, SQLite's too: nobody connects before it is made and closed."""


class Worker:
    """One connection, opened when first used and again after an error of the disk."""

    def __init__(self, path: Path, timeout_seconds: float, name: str, pragmas: Sequence[str]) -> None:
        """`pragmas` are set on every connection; `timeout_seconds` is how long a call waits for a lock."""
        self._path = path
        self._timeout_seconds = timeout_seconds
        self._pragmas = pragmas
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._connection: sqlite3.Connection | None = None

    async def call(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` in the thread, as one transaction."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._work, work)

    async def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of one statement."""
        return await self.call(lambda connection: connection.execute(sql, values).fetchall())

    async def rows_within(self, seconds: float, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """The same, broken off after so many seconds: `StoreUnavailable`."""

        def rows(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
            end = time.monotonic() + seconds
            connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS_BETWEEN_LOOKS)
            try:
                return connection.execute(sql, values).fetchall()
            finally:
                connection.set_progress_handler(None, 0)

        return await self.call(rows)

    async def change(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Do one statement; how many rows it changed."""
        return await self.call(lambda connection: connection.execute(sql, values).rowcount)

    async def change_stepwise(self, sql: str, values: Sequence[Any], step: int) -> int:
        """Do a statement that changes at most `step` rows until there are no more; between two of them others have a turn."""
        total = 0
        while True:
            changed = await self.change(sql, values)
            total += changed
            if changed < step:
                return total

    def _work(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._connection is None:
                self._connection = self._open()
            with self._connection:
                return work(self._connection)
        except (sqlite3.Error, OSError) as error:
            self._close()
            raise StoreUnavailable(f"SQLite, {self._path}: {error}") from error

    def _open(self) -> sqlite3.Connection:
        with _MAKING:
            _make(self._path)
            _narrow(self._path)
        connection = sqlite3.connect(self._path, timeout=self._timeout_seconds)
        for pragma in self._pragmas:
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def close(self) -> None:
        """Finish what is under way and close."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()


def _make(path: Path) -> None:
    """A file that its owner alone may read, if there is none: it holds secrets. SQLite makes those beside it likewise."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))


def _narrow(path: Path) -> None:
    """What an earlier version made for everybody to read, if it is ours and the disk knows modes."""
    with suppress(OSError):
        for one in (path, *(path.with_name(path.name + ending) for ending in ("-wal", "-shm"))):
            there = one.stat()
            if there.st_mode & _OTHERS and there.st_uid == os.geteuid():
                one.chmod(there.st_mode & 0o700)
                if one is path:
                    log.warning("%s could be read by others on this machine; now its owner alone can", path)
