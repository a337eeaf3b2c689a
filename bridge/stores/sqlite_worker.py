"""A thread that owns a connection to a SQLite file; the library's errors as ours."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from bridge.core.errors import StoreUnavailable

T = TypeVar("T")

Connection = sqlite3.Connection
UNFIT = (sqlite3.DataError, sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError, OverflowError, ValueError)
"""What SQLite raises for a row's own sake: a number, text or type it cannot hold, a constraint, a trigger that refuses."""

_STEPS_BETWEEN_LOOKS = 100_000  # of SQLite's machine: some milliseconds


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
        self._path.parent.mkdir(parents=True, exist_ok=True)
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
