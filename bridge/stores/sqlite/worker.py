"""A thread that owns a connection to a SQLite file and translates the library's errors."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from bridge.core.errors import StoreUnavailable
from bridge.stores.sqlite.database_file import DatabaseFile

T = TypeVar("T")

Connection = sqlite3.Connection
UNFIT = (sqlite3.DataError, sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError, OverflowError, ValueError)
"""Errors that SQLite raises because of a row: a number, text or type it cannot hold, a constraint, a trigger."""

_CHECK_INSTRUCTIONS = 100_000  # of SQLite's virtual machine: some milliseconds


class Worker:
    """One connection, opened on first use and again after a disk error."""

    def __init__(self, file: DatabaseFile, timeout_seconds: float, name: str, pragmas: Sequence[str]) -> None:
        """`pragmas` are set on every connection; `timeout_seconds` limits the wait for a lock."""
        self._file = file
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
                self._connection = self._file.connect(self._timeout_seconds, self._pragmas)
            with self._connection:
                result = work(self._connection)
        except (sqlite3.Error, OSError) as error:
            self._close()
            raise StoreUnavailable(f"SQLite, {self._file.path}: {error}") from error
        self._file.check()  # after the commit: nothing counts as stored that a restart would not find
        return result

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._file.disconnect(connection)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()
