"""Users: people with a name, a password, a role and a scope.

Each change of a user's permissions ends their sessions, so that no token grants more. Sessions are ended before and after the
change is stored: even if something fails in between, no token outlives the change.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bridge.access.passwords import Passwords, check_bcrypt, is_bcrypt
from bridge.access.sessions import LoginSessions
from bridge.core.access.accounts import User, user_name
from bridge.core.access.permissions import ResourceScope, Role
from bridge.core.errors import AccountError, AccountExists, LastAdmin, TemporarilyUnavailable, UnknownAccount
from bridge.ports import UserStore

_ATTEMPTS = 10


class Users:
    """The users of a store. Each call may raise `StoreUnavailable`, and `AccountError` for invalid names and passwords."""

    def __init__(
        self, store: UserStore, sessions: LoginSessions, passwords: Passwords, clock: Callable[[], float] = time.time
    ) -> None:
        """`clock` gives seconds since the epoch."""
        self._store = store
        self._sessions = sessions
        self._passwords = passwords
        self._clock = clock
        self._lock = asyncio.Lock()

    async def all(self) -> list[User]:
        return await self._store.all()

    async def has_any(self) -> bool:
        """Whether there is a user, also one whose document is damaged."""
        return await self._store.has_any()

    async def get(self, name: str) -> User | None:
        return await self._store.get(name)

    async def add(
        self,
        name: str,
        password: str,
        role: Role,
        scope: ResourceScope | None = None,
        channels: frozenset[str] | None = None,
    ) -> User:
        """Create a user. Raises `AccountExists`."""
        user = User(user_name(name), role, "", scope, round(self._clock() * 1000), channels)
        user = replace(user, password=await self._passwords.hashed(password))
        if not await self._store.add(user):
            raise AccountExists(f"user {user.id} already exists")
        return user

    async def check(self, name: str, password: str) -> tuple[User | None, bool]:
        """The user of this name, if any, and whether the password is theirs. Takes equally long for an unknown name.

        An imported bcrypt hash, which takes longer, is replaced when its password was right.
        """
        try:
            user = await self._store.get(user_name(name))
        except AccountError:
            user = None
        is_right = await self._passwords.matches(password, user.password if user else None)
        if user is not None and is_right and is_bcrypt(user.password):
            user = await self._rehash(user, password)
        return user, is_right

    async def _rehash(self, user: User, password: str) -> User:
        hashed = await self._passwords.rehashed(password)
        async with self._lock:
            current = await self._store.get(user.id)
            if current is None or current.password != user.password:  # changed or replaced meanwhile
                return current or user
            user = _changed(current, password=hashed)
            return user if await self._store.change(current, user) else current

    async def add_imported(self, name: str, bcrypt_hash: str, role: Role) -> User | None:
        """Create a user with the bcrypt hash of another system; None, and nothing changes, if there is one of this name."""
        user = User(user_name(name), role, check_bcrypt(bcrypt_hash), None, round(self._clock() * 1000))
        return user if await self._store.add(user) else None

    async def change(self, name: str, changes: Mapping[str, Any]) -> User:
        """Change `password`, `role`, `scope`, `channels` or `disabled`, and nothing else.

        Raises `UnknownAccount`, `LastAdmin` and `TemporarilyUnavailable`.
        """
        if "password" in changes:
            changes = {**changes, "password": await self._passwords.hashed(changes["password"])}
        async with self._lock:
            after = await self._change(name, changes)
        await self._sessions.end_all(after.id)
        return after

    async def _change(self, name: str, changes: Mapping[str, Any]) -> User:
        """Change a user as they are now: another bridge may change them at the same time."""
        for _ in range(_ATTEMPTS):
            before = await self._known(name)
            after = _changed(before, **changes)
            is_demotion = before.administers and not after.administers
            if is_demotion:
                await self._check_other_admin(before)
            await self._sessions.end_all(after.id)
            if await self._store.change(before, after):
                if is_demotion:
                    await self._keep_an_admin(after, before)
                return after
        raise TemporarilyUnavailable(f"user {name[:64]!a} is being changed by others: try again")

    async def _keep_an_admin(self, changed: User, before: User) -> None:
        """Undo a change if meanwhile another bridge demoted or removed the other admins. Raises `LastAdmin` then."""
        try:
            await self._check_other_admin(before)
        except LastAdmin:
            await self._store.change(changed, _changed(before))
            raise

    async def change_password(self, user: User, password: str, session_id: str) -> User:
        """Change the password of a user whose old one was verified; their sessions end, except the one named.

        Raises `UnknownAccount` if the user was changed or removed since.
        """
        hashed = await self._passwords.hashed(password)
        async with self._lock:
            if await self._store.get(user.id) != user:
                raise _unknown(user.id)
            after = _changed(user, password=hashed)
            await self._sessions.end_all(user.id, keep=session_id)
            if not await self._store.change(user, after):
                raise _unknown(user.id)
        await self._sessions.end_all(user.id, keep=session_id)
        return after

    async def remove(self, name: str) -> None:
        """Remove a user. Raises `UnknownAccount` and `LastAdmin`."""
        async with self._lock:
            user = await self.removable(name)
            await self._sessions.end_all(user.id)
            await self._store.remove(user.id)
            if user.administers:
                await self._restore_last_admin(user)
        await self._sessions.end_all(user.id)

    async def _restore_last_admin(self, user: User) -> None:
        """Undo a removal as `_keep_an_admin` undoes a change."""
        try:
            await self._check_other_admin(user)
        except LastAdmin:
            await self._store.add(user)
            raise

    async def removable(self, name: str) -> User:
        """Return a user who may be removed. Raises as `remove` does."""
        user = await self._known(name)
        if user.administers:
            await self._check_other_admin(user)
        return user

    async def _known(self, name: str) -> User:
        try:
            user = await self._store.get(user_name(name))
        except AccountError:
            user = None
        if user is None:
            raise _unknown(name)
        return user

    async def _check_other_admin(self, user: User) -> None:
        if not any(other.administers and other.id != user.id for other in await self._store.all()):
            raise LastAdmin(f"{user.id} is the only admin who can log in: create another admin first")


def _changed(user: User, **changes: Any) -> User:  # noqa: ANN401
    return replace(user, **changes, revision=secrets.token_hex(8))


def _unknown(name: str) -> UnknownAccount:
    return UnknownAccount(f"no user {name[:64]!a}")
