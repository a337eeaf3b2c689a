"""Password hashing: argon2id, in two threads, so that the event loop is not blocked and memory is bounded.

Hashes of bcrypt, which other systems have made, are verified and never made.
"""

import asyncio
import os
import re
import secrets
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from pwdlib import PasswordHash
from pwdlib.exceptions import PwdlibError
from pwdlib.hashers.argon2 import Argon2Hasher
from pwdlib.hashers.bcrypt import BcryptHasher

from bridge.core.errors import AccountError, TemporarilyUnavailable
from bridge.settings import PASSWORD_LENGTHS

# The minimum that OWASP recommends. A flood of logins takes 2 x 19 MiB at most; more memory per hash would raise that.
_MEMORY_KIB, _PASSES, _LANES = 19 * 1024, 2, 1
_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}", re.ASCII)
_BCRYPT_ROUNDS = (4, 14)
"""14 takes about a second; each more takes twice as long, in one of two threads."""
_BCRYPT_BYTES = 72  # bcrypt ignores the rest of a password
_THREADS = 2
_WAITING = 32
_NICE = 10
"""Priority of the threads: readings come first if there is not enough CPU for both."""


def check_password(password: str, field: str = "password") -> None:
    """Raise `AccountError` for a wrong length, with the `field` that the password came in.

    Composition rules are omitted: they weaken passwords (NIST 800-63B).
    """
    shortest, longest = PASSWORD_LENGTHS
    if not shortest <= len(password) <= longest:
        raise AccountError(field, f"must have {shortest} to {longest} characters")


def check_bcrypt(text: str) -> str:
    """Return a bcrypt hash. Raises `AccountError` for anything else, and for one that takes too long to verify."""
    low, high = _BCRYPT_ROUNDS
    match = _BCRYPT.fullmatch(text)
    if match is None:
        raise AccountError("password_hash", "is not a bcrypt hash: 60 characters that begin with $2b$, $2a$ or $2y$")
    if not low <= int(match[1]) <= high:
        raise AccountError("password_hash", f"bcrypt with {match[1]} rounds is not supported: {low} to {high} are")
    return text


def is_bcrypt(hashed: str) -> bool:
    return _BCRYPT.fullmatch(hashed) is not None


class Passwords:
    """Hashes and verifies passwords. Raises `TemporarilyUnavailable` if more than 32 wait."""

    def __init__(self) -> None:
        argon2 = Argon2Hasher(time_cost=_PASSES, memory_cost=_MEMORY_KIB, parallelism=_LANES)
        self._hash = PasswordHash((argon2, BcryptHasher()))  # the first makes new hashes
        self._threads = ThreadPoolExecutor(_THREADS, "passwords", _lower_priority)
        self._waiting = 0
        self._dummy: str | None = None  # a random password's hash, verified for unknown users

    async def hashed(self, password: str) -> str:
        """The argon2id hash of a password. Raises `AccountError` if it is too short or too long."""
        check_password(password)
        return await self.rehashed(password)

    async def rehashed(self, password: str) -> str:
        """The argon2id hash of a password that was right, whatever its length: it was chosen elsewhere."""
        return await self._in_thread(password, None)

    async def matches(self, password: str, hashed: str | None) -> bool:
        """Whether a password has this hash. With None it is False after the same time, so names cannot be enumerated."""
        if len(password) > PASSWORD_LENGTHS[1]:
            return False
        if hashed is None and self._dummy is None:
            self._dummy = await self._in_thread(secrets.token_hex(), None)
        return bool(await self._in_thread(password, hashed or self._dummy)) and hashed is not None

    async def _in_thread(self, password: str, hashed: str | None) -> str:
        if self._waiting >= _WAITING:
            raise TemporarilyUnavailable("too many logins at once: try again soon")
        self._waiting += 1
        try:
            job = partial(self._work, password.encode("utf-8", "replace"), hashed)
            return await asyncio.get_running_loop().run_in_executor(self._threads, job)
        finally:
            self._waiting -= 1

    def _work(self, password: bytes, hashed: str | None) -> str:
        """Return the password's hash without `hashed`; with it, `hashed` itself if it matches, else an empty string."""
        if hashed is None:
            return self._hash.hash(password)
        if is_bcrypt(hashed):
            password = password[:_BCRYPT_BYTES]
        try:
            return hashed if self._hash.verify(password, hashed) else ""
        except PwdlibError:  # not a valid hash
            return ""


def _lower_priority() -> None:
    """Lower the priority of the current thread. Linux only: elsewhere this would affect the whole process."""
    if sys.platform == "linux":
        with suppress(OSError):  # a sandbox may forbid it, and an error would end the thread and every login with it
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
