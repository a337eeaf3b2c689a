"""Passwords: argon2id in a thread, so that hashing one does not hold up the loop, and few at a time."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from pwdlib import PasswordHash
from pwdlib.exceptions import PwdlibError
from pwdlib.hashers.argon2 import Argon2Hasher

from bridge.core.errors import AccountError, TemporarilyUnavailable
from bridge.settings import PASSWORD_LENGTHS

# What OWASP asks for at least. More memory each would let a flood of logins take more: 2 x 19 MiB is all it gets.
_MEMORY_KIB, _PASSES, _LANES = 19 * 1024, 2, 1
_AT_ONCE = 2
_WAITING = 32
_NICE = 10
"""A login may take its time: readings go first where there is not enough for both."""


def check_password(password: str) -> None:
    """Raises `AccountError`. Length is all that is asked: rules about signs make passwords worse."""
    fewest, most = PASSWORD_LENGTHS
    if not fewest <= len(password) <= most:
        raise AccountError("password", f"must have {fewest} to {most} characters")


class Passwords:
    """Hashes and compares; raises `TemporarilyUnavailable` when too many wait."""

    def __init__(self) -> None:
        """Nothing is hashed yet."""
        self._hash = PasswordHash((Argon2Hasher(time_cost=_PASSES, memory_cost=_MEMORY_KIB, parallelism=_LANES),))
        self._threads = ThreadPoolExecutor(_AT_ONCE, "passwords", _step_back)
        self._waiting = 0
        self._nobodys: str | None = None

    async def hashed(self, password: str) -> str:
        """Its argon2id hash; raises `AccountError` for one that is too short or too long."""
        check_password(password)
        return await self._in_thread(password, None)

    async def matches(self, password: str, kept: str | None) -> bool:
        """Whether it is the one whose hash is kept. With None, nobody's, it takes as long and is not."""
        if len(password) > PASSWORD_LENGTHS[1]:
            return False
        if kept is None and self._nobodys is None:
            self._nobodys = await self._in_thread(secrets.token_hex(), None)
        return bool(await self._in_thread(password, kept or self._nobodys)) and kept is not None

    async def _in_thread(self, password: str, kept: str | None) -> str:
        if self._waiting >= _WAITING:
            raise TemporarilyUnavailable("too many logins at once; try again soon")
        self._waiting += 1
        try:
            job = partial(self._work, password.encode("utf-8", "replace"), kept)
            return await asyncio.get_running_loop().run_in_executor(self._threads, job)
        finally:
            self._waiting -= 1

    def _work(self, password: bytes, kept: str | None) -> str:
        """The hash, or with one that is kept the same again if it matches, else nothing."""
        if kept is None:
            return self._hash.hash(password)
        try:
            return kept if self._hash.verify(password, kept) else ""
        except PwdlibError:  # what is kept is no hash
            return ""


def _step_back() -> None:
    """This thread alone; elsewhere than on Linux a priority is a process's."""
    if sys.platform == "linux":
        with suppress(OSError):  # a sandbox may forbid it; without a thread nobody could log in
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
