"""A thread that owns a connection to a SQLite file and translates the library's errors."""

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
"""Errors that SQLite raises because of a row: a number, text or type it cannot hold, a constraint, a trigger."""

_CHECK_INSTRUCTIONS = 100_000  # of SQLite's virtual machine: some milliseconds

_OTHERS_MODE = 0o077
_CREATE_LOCK = threading.Lock()
"""Closing a file drops the process's locks on it, SQLite's too: no thread connects while another creates the file."""


class Worker:
    """One connection, opened on first use and again after a disk error."""

    def __init__(self, path: Path, timeout_seconds: float, name: str, pragmas: Sequence[str]) -> None:
        """`pragmas` are set on every connection; `timeout_seconds` limits the wait for a lock."""
        self._path = path
        self._timeout_seconds = timeout_seconds
        self._pragmas = pragmas
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._connection: sqlite3.Connection | None = None

    async def call(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in the thread, as one transaction."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._work, work)

    async def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return await self.call(lambda connection: connection.execute(sql, values).fetchall())

    async def rows_within(self, seconds: float, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Return all rows of a statement; raise `StoreUnavailable` if it takes longer than `seconds`."""

        def rows(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
            end = time.monotonic() + seconds
            connection.set_progress_handler(lambda: time.monotonic() > end, _CHECK_INSTRUCTIONS)
            try:
                return connection.execute(sql, values).fetchall()
            finally:
                connection.set_progress_handler(None, 0)

        return await self.call(rows)

    async def change(self, sql: str, values: Sequence[Any] = ()) -> int:
        return await self.call(lambda connection: connection.execute(sql, values).rowcount)

    async def change_stepwise(self, sql: str, values: Sequence[Any], step: int) -> int:
        """Repeat a statement that changes at most `step` rows until it changes fewer, letting other calls run in between."""
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
        with _CREATE_LOCK:
            _create(self._path)
            _restrict_mode(self._path)
        connection = sqlite3.connect(self._path, timeout=self._timeout_seconds)
        for pragma in self._pragmas:
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()


def _create(path: Path) -> None:
    """Create the file unless it exists, readable by its owner only: it holds secrets. SQLite gives `-wal` the same mode."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))


def _restrict_mode(path: Path) -> None:
    """Make files of an earlier version readable by their owner only, if the file system has modes."""
    with suppress(OSError):
        for file in (path, *(path.with_name(path.name + ending) for ending in ("-wal", "-shm"))):
            status = file.stat()
            if status.st_mode & _OTHERS_MODE and status.st_uid == os.geteuid():
                file.chmod(status.st_mode & 0o700)
                if file is path:
                    log.warning("sqlite: %s readable by other users: access restricted to its owner", path)
