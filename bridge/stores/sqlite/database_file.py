"""The file of a SQLite store: opened with care, and watched, since SQLite itself goes on in a file that was removed."""

import logging
import os
import sqlite3
import stat
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

from bridge.core.errors import StoreUnavailable

log = logging.getLogger(__name__)

_OTHERS_MODE = 0o077
_CREATE_LOCK = threading.Lock()
"""Closing a file drops the process's locks on it, SQLite's too: no thread connects while another creates the file."""
_SIDE_FILES = ("-wal", "-shm")
_REMEDY = "nothing is stored until it is moved back (a copy is not enough) or the bridge restarts"
_NO_DATABASE = (
    "is not a SQLite database and was left unchanged: store.url (BRIDGE_STORE__URL) must name a SQLite file, an empty file, "
    "or one that does not exist"
)
_SMALLEST_BYTES = 512
"""The smallest SQLite file: one page of the smallest size."""
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)

Identity = tuple[int, int]
"""Device and inode."""


class DatabaseFile:
    """The file, its folder, and the `-wal` and `-shm` beside it, with their identities since they were first opened.

    Every connection of a store comes from here. What SQLite writes after one of these was removed, moved or replaced would not
    be there after a restart, so `check` raises then, and `connect` neither takes another file nor creates one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.absolute()
        self._folder = self._file.parent
        self._lock = threading.Lock()
        self._connections = 0
        self._lasting: dict[Path, Identity] = {}
        self._side: dict[Path, Identity] = {}
        self._pinned: list[int] = []

    def check(self) -> None:
        """Raise `StoreUnavailable` if a path leads elsewhere than the open connections. Takes 12 µs."""
        self._compare(self._lasting)
        if self._connections:
            self._compare(self._side)

    def _compare(self, identities: dict[Path, Identity]) -> None:
        for path, identity in identities.items():
            try:
                status = path.stat()
            except (FileNotFoundError, NotADirectoryError):
                self._fail(f"{self._named(path)} was removed or moved while the bridge runs: {_REMEDY}")
            except OSError as error:
                self._fail(f"{self._named(path)} cannot be examined: {error.strerror}; nothing is stored until it can")
            if (status.st_dev, status.st_ino) != identity:
                self._fail(f"{self._named(path)} was replaced by another one while the bridge runs: {_REMEDY}")

    def _named(self, path: Path) -> str:
        if path == self._folder:
            return f"its folder {path}"
        return "the file" if path == self._file else f"its {path.name[-4:]} file"

    def _fail(self, text: str) -> NoReturn:
        raise StoreUnavailable(f"SQLite, {self.path}: {text}")

    def connect(self, timeout_seconds: float, pragmas: Sequence[str]) -> sqlite3.Connection:
        """Open a connection, to be closed by `disconnect`. The first one creates the file unless it exists.

        Raises `StoreUnavailable` if the path names no SQLite file, or not that of earlier connections.
        """
        with self._lock:
            self.check()
            if not self._lasting:
                self._create()
            self._check_rights()
            # `rw`, so that SQLite does not create a file that was removed just now.
            address = f"file:{quote(os.fsencode(self._file))}?mode=rw"
            connection = sqlite3.connect(address, timeout=timeout_seconds, uri=True)
            try:
                self._read_header(connection)
                if not self._lasting:
                    self._restrict_modes()
                for pragma in pragmas:
                    connection.execute(f"PRAGMA {pragma}")
                connection.execute("PRAGMA user_version").fetchone()  # a read: from now on there is a `-shm`
                self._record()
                self.check()
                self._connections += 1
            except BaseException:
                connection.close()
                raise
            return connection

    def _create(self) -> None:
        """Create the file unless it exists, readable by its owner only: it holds secrets. SQLite gives `-wal` the same mode."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _CREATE_LOCK, suppress(FileExistsError):
            os.close(os.open(self._file.resolve(), os.O_CREAT | os.O_EXCL, 0o600))
        status = self._file.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = next((name for is_kind, name in _KINDS if is_kind(status.st_mode)), "not a regular file")
            self._fail(f"is {kind}: store.url (BRIDGE_STORE__URL) must name a file")
        if 0 < status.st_size < _SMALLEST_BYTES:  # SQLite takes some of these for empty
            self._fail(_NO_DATABASE)

    def _check_rights(self) -> None:
        """SQLite would open a file without write permission all the same, and leave side files that stay read-only."""
        for path, rights in ((self._file, os.R_OK | os.W_OK), (self._folder, os.W_OK | os.X_OK)):
            if not os.access(path, rights, effective_ids=os.access in os.supports_effective_ids):
                self._fail(
                    f"{self._named(path)} is read-only or not accessible for the bridge's user (uid {os.geteuid()}): "
                    "correct its owner or mode"
                )

    def _read_header(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("PRAGMA schema_version").fetchone()
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_NOTADB:
                raise
            self._fail(_NO_DATABASE)

    def _restrict_modes(self) -> None:
        """Make files of an earlier version readable by their owner only, if the file system has modes."""
        with suppress(OSError):
            for file in (self._file, *self._side_files()):
                status = file.stat()
                if status.st_mode & _OTHERS_MODE and status.st_uid == os.geteuid():
                    file.chmod(status.st_mode & 0o700)
                    if file == self._file:
                        log.warning("sqlite: %s readable by other users: access restricted to its owner", self.path)

    def _record(self) -> None:
        """Record the identities. SQLite removes and creates the side files with the last and the first connection."""
        if not self._lasting:
            self._pin()
            self._lasting = {path: _identity(path) for path in (self._folder, self._file)}
        if not self._connections:
            self._side = {path: _identity(path) for path in self._side_files() if path.exists()}

    def _side_files(self) -> list[Path]:
        """SQLite puts them beside the file that a symbolic link leads to."""
        file = self._file.resolve()
        return [file.with_name(file.name + ending) for ending in _SIDE_FILES]

    def _pin(self) -> None:
        """Keep the inodes, so that their numbers are not reused: `O_PATH` holds no lock, and none is lost when it is closed."""
        if flag := getattr(os, "O_PATH", 0):
            self._pinned = [os.open(path, flag) for path in (self._folder, self._file)]

    def disconnect(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            self._connections -= 1
            connection.close()

    def close(self) -> None:
        """Forget the file. No connection is open."""
        while self._pinned:
            os.close(self._pinned.pop())
        self._lasting, self._side = {}, {}


def _identity(path: Path) -> Identity:
    status = path.stat()
    return status.st_dev, status.st_ino
