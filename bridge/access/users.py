"""People: added, changed and removed. What changes what somebody may do ends his sessions, so no token says otherwise.

They are ended before and after: whatever fails in between, nobody keeps what he is to lose.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bridge.access.passwords import Passwords
from bridge.access.sessions import LoginSessions
from bridge.core.access.accounts import User, user_name
from bridge.core.access.permissions import ResourceScope, Role
from bridge.core.errors import AccountError, AccountExists, LastAdmin, UnknownAccount
from bridge.ports import UserStore


class Users:
    """Each call may raise `StoreUnavailable`, and `AccountError` for what cannot be kept."""

    def __init__(
        self, kept: UserStore, sessions: LoginSessions, passwords: Passwords, clock: Callable[[], float] = time.time
    ) -> None:
        """`sessions` are those of the same store."""
        self._kept = kept
        self._sessions = sessions
        self._passwords = passwords
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()

    async def all(self) -> list[User]:
        """By name."""
        return await self._kept.all()

    async def get(self, name: str) -> User | None:
        """The one of this name."""
        return await self._kept.get(name)

    async def add(self, name: str, password: str, role: Role, scope: ResourceScope | None = None) -> User:
        """A new one; raises `AccountExists`."""
        user = User(user_name(name), role, "", scope, round(self._clock() * 1000))
        user = replace(user, password=await self._passwords.hashed(password))
        if not await self._kept.add(user):
            raise AccountExists(f"there is a user {user.id} already")
        return user

    async def check(self, name: str, password: str) -> tuple[User | None, bool]:
        """Who is called so, and whether it is his password. It takes as long where nobody is."""
        try:
            user = await self._kept.get(user_name(name))
        except AccountError:
            user = None
        return user, await self._passwords.matches(password, user.password if user else None)

    async def change(self, name: str, changes: Mapping[str, Any]) -> User:
        """`password`, `role`, `scope`; what is not named authenticated. Raises `UnknownAccount` and `LastAdmin`."""
        if "password" in changes:
            changes = {**changes, "password": await self._passwords.hashed(changes["password"])}
        async with self._one_at_a_time:
            before = await self._known(name)
            after = replace(before, **changes)
            if before.role is Role.ADMIN and after.role is not Role.ADMIN:
                await self._check_other_admin(before)
            await self._sessions.end_all(after.id)
            if not await self._kept.save(after):
                raise _unknown(name)
        await self._sessions.end_all(after.id)
        return after

    async def remove(self, name: str) -> None:
        """Raises `UnknownAccount` and `LastAdmin`."""
        async with self._one_at_a_time:
            user = await self._known(name)
            if user.role is Role.ADMIN:
                await self._check_other_admin(user)
            await self._sessions.end_all(user.id)
            await self._kept.remove(user.id)
        await self._sessions.end_all(user.id)

    async def _known(self, name: str) -> User:
        try:
            user = await self._kept.get(user_name(name))
        except AccountError:
            user = None
        if user is None:
            raise _unknown(name)
        return user

    async def _check_other_admin(self, user: User) -> None:
        if not any(one.role is Role.ADMIN and one.id != user.id for one in await self._kept.all()):
            raise LastAdmin(f"{user.id} is the only admin: make another one first")


def _unknown(name: str) -> UnknownAccount:
    return UnknownAccount(f"there is no user {name[:64]!a}")
