"""The door: who shows what is who, and whether he may stay."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bridge.access.api_keys import PREFIX, ApiKeys
from bridge.access.audit import AuditTrail
from bridge.access.device_secrets import DeviceSecrets
from bridge.access.first_admin import FirstAdminSetup
from bridge.access.lockout import Lockout, LoginAttempt
from bridge.access.oidc import OidcVerifier
from bridge.access.passwords import Passwords
from bridge.access.revocations import Revocations
from bridge.access.sessions import LoginSessions
from bridge.access.signing_secret import signing_secret
from bridge.access.tokens import ALGORITHM, LIMIT, Tokens, malformed, read_header
from bridge.access.users import Users
from bridge.core.access.accounts import User
from bridge.core.access.permissions import ANYONE, NOBODY, Identity, IdentityKind
from bridge.core.errors import AccountError, Forbidden, StoreUnavailable, TemporarilyUnavailable, TooManyAttempts, Unauthorized
from bridge.ports import Store
from bridge.settings import AccessSettings, DevicesSettings

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
_LAST_WRITE_SECONDS = 1.0
_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class IssuedTokens:
    """What somebody who has logged in is given."""

    user: User
    token: str = field(repr=False)
    token_seconds: float
    refresh: str = field(repr=False)
    refresh_seconds: float


class AuthService:
    """`ports.Access`, and what a login page, an operator and the command line need of it.

    While access is open nothing is loaded and nothing runs. While it is required and not loaded yet, nobody can be told apart:
    `StoreUnavailable`.
    """

    def __init__(
        self,
        settings: AccessSettings,
        devices: DevicesSettings,
        store: Store,
        *,
        any_device: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`any_device`: devices need no secret while access is open. `clock` gives seconds since the epoch."""
        self._settings = settings
        self._store = store
        self._clock = clock
        self._tokens: Tokens | None = None
        self._revocations = Revocations(store.sessions, clock)
        self._sessions = LoginSessions(store.sessions, self._revocations, settings.refresh_days * _DAY_SECONDS, clock)
        self._external = OidcVerifier(settings)
        self.lockout = Lockout()
        self._device_secrets = DeviceSecrets(devices, self.lockout, clock, any_device=any_device)
        self.users = Users(store.users, self._sessions, Passwords(), clock)
        self.keys = ApiKeys(store.keys, self._revocations, clock)
        self.first_admin = FirstAdminSetup(settings, self.users, clock)
        self.audit = AuditTrail(store.audit, keeps=settings.required, clock=clock)
        self._revocations.on_revoked = self._forget
        self.counts: dict[str, int] = {}
        """Who was not let in, by why."""

    @property
    def required(self) -> bool:
        """Whether somebody must show who he is."""
        return self._settings.required

    async def load(self) -> None:
        """Read what the store keeps, and see to the first admin. Raises `StoreUnavailable`; safe to repeat."""
        if not self.required:
            return
        secret = await signing_secret(self._settings, self._store)
        await self._revocations.look()
        await self.keys.load()
        await self.first_admin.prepare()
        self._tokens = Tokens(secret, self._settings.token_seconds)

    async def run(self) -> None:
        """Until cancelled: learn what was taken back elsewhere, write down who did what."""
        while self.required:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._revocations.look()
                await self.audit.write()
            except StoreUnavailable as error:
                log.debug("the store of access is away: %s", error)

    async def close(self) -> None:
        """Write what waits, if the store takes it at once."""
        try:
            async with asyncio.timeout(_LAST_WRITE_SECONDS):
                await self.audit.write(last=True)
        except (StoreUnavailable, TimeoutError):
            log.warning("what was done last is not in the audit: the store is away")

    # --- who is it -----------------------------------------------------------------------------------------------------------

    async def identify(self, shown: str | None, address: str) -> Identity:
        """As `ports.Access` says. May also raise `TooManyAttempts` and `TemporarilyUnavailable`."""
        if not self.required:
            return ANYONE
        if not shown:
            raise Unauthorized("missing", "log in, or show a token or a key")
        tokens = self._loaded()
        try:
            identity = await self._identified(tokens, shown, address)
            self._check_valid(identity)
        except Unauthorized as error:
            self._count(error.code)
            raise
        return identity

    async def _identified(self, tokens: Tokens, shown: str, address: str) -> Identity:
        if len(shown) > LIMIT:
            raise malformed()
        if shown.startswith(PREFIX):
            return await self.keys.identify(shown, address)
        if (known := tokens.known(shown, self._clock())) is not None:
            return known
        if shown.count(".") != 2 and self._device_secrets.configured:
            return self._device_secrets.identify(None, shown, address)
        header = read_header(shown)
        if header.algorithm == ALGORITHM:
            return tokens.read(shown, header, self._clock())
        return await self._external.read(shown, header, self._clock())

    async def identify_device(self, name: str | None, secret: str, address: str) -> Identity:
        """As `ports.Access` says."""
        if not self.required:
            return ANYONE
        self._loaded()
        try:
            if secret.startswith(PREFIX):
                return _of_device(await self.keys.identify(secret, address), name)
            return self._device_secrets.identify(name, secret, address)
        except Unauthorized as error:
            self._count(error.code)
            raise

    def identify_device_while_open(self, name: str | None, secret: str) -> Identity:
        """As `ports.Authentication` says."""
        return self._device_secrets.identify_while_open(name, secret)

    def is_valid(self, identity: Identity) -> bool:
        """As `ports.Access` says."""
        if identity.kind is IdentityKind.ANYONE:
            return not self.required
        return (identity.expires is None or self._clock() < identity.expires) and identity.grant not in self._revocations

    def _check_valid(self, identity: Identity) -> None:
        if not self.is_valid(identity):
            raise Unauthorized("revoked", "this was taken back: log in again")

    def _loaded(self) -> Tokens:
        if not self.required:
            raise Forbidden("access is open: nobody has to log in, and nobody can")
        if self._tokens is None:
            raise StoreUnavailable("who may come in was not read yet")
        return self._tokens

    def _forget(self, grant: str) -> None:
        kind, _, name = grant.partition(":")
        if kind == "key":
            self.keys.drop(name)

    def _count(self, code: str) -> None:
        self.counts[code] = self.counts.get(code, 0) + 1

    # --- logging in ----------------------------------------------------------------------------------------------------------

    async def login(self, name: str, password: str, address: str) -> IssuedTokens:
        """By password. Raises `Unauthorized`, `TooManyAttempts`, `TemporarilyUnavailable` and `StoreUnavailable`."""
        tokens = self._loaded()
        attempt = self._attempt(f"user:{name.strip().lower()[:64]}", address)
        try:
            user, right = await self.users.check(name, password)
        except (StoreUnavailable, TemporarilyUnavailable):
            attempt.cancel()
            raise
        if user is None or not right:
            self._count("password")
            # What is no user's name may be a password, typed into the wrong field.
            self.audit.record("login refused", actor=NOBODY, address=address, target=user.id if user else "")
            raise Unauthorized("password", "user or password is wrong")
        attempt.succeeded()
        self.audit.record("login", actor=_person(user), address=address)
        return await self._begin(tokens, user)

    async def create_first_admin(self, shown: str, password: str, address: str) -> IssuedTokens:
        """By the link that is printed where there is no user yet."""
        tokens = self._loaded()
        attempt = self._attempt("", address)
        try:
            user = await self.first_admin.finish(shown, password)
        except AccountError:  # the link was right
            attempt.succeeded()
            raise
        except (StoreUnavailable, TemporarilyUnavailable):
            attempt.cancel()
            raise
        attempt.succeeded()
        self.audit.record("user added", actor=_person(user), address=address, target=user.id, role=str(user.role))
        return await self._begin(tokens, user)

    async def refresh(self, shown: str, address: str) -> IssuedTokens:
        """By what a login or a refresh gave; each is good for once."""
        tokens = self._loaded()
        try:
            session, following = await self._sessions.renew(shown)
        except Unauthorized as error:
            self._count(error.code)
            if error.code == "replayed":
                self.audit.record("refresh replayed", actor=NOBODY, address=address)
            raise
        user = await self.users.get(session.user)
        if user is None:
            await self._sessions.end(session.id)
            raise Unauthorized("revoked", "this user is no more")
        left = session.expires_ms / 1000 - self._clock()
        return IssuedTokens(user, tokens.make(user, session.id, self._clock()), tokens.seconds, following, left)

    async def logout(self, identity: Identity | None, refresh: str, address: str) -> None:
        """End a session, by its token or by what renews it; nothing happens if it has ended."""
        kind, _, session_id = identity.grant.partition(":") if identity else ("", "", "")
        if kind != "session":
            try:
                session_id = (await self._sessions.find(refresh)).id
            except Unauthorized:
                return
        await self._sessions.end(session_id)
        if identity is not None:
            self.audit.record("logout", actor=identity, address=address)

    def _attempt(self, user: str, address: str) -> LoginAttempt:
        attempt = self.lockout.begin(user, address, self._clock())
        if isinstance(attempt, float):
            self._count("attempts")
            self.audit.record("login delayed", actor=NOBODY, address=address)
            raise TooManyAttempts(attempt)
        return attempt

    async def _begin(self, tokens: Tokens, user: User) -> IssuedTokens:
        session, refresh = await self._sessions.begin(user.id)
        if await self.users.get(user.id) != user:  # changed since the password was looked at, so sessions were ended
            await self._sessions.end(session.id)
            raise Unauthorized("revoked", "this user was changed just now: log in again")
        token = tokens.make(user, session.id, self._clock())
        return IssuedTokens(user, token, tokens.seconds, refresh, session.expires_ms / 1000 - self._clock())


def _of_device(identity: Identity, name: str | None) -> Identity:
    if identity.kind is not IdentityKind.DEVICE or name not in (None, identity.name):
        raise Unauthorized("invalid", "this key is not of this device")
    return identity


def _person(user: User) -> Identity:
    return Identity(IdentityKind.PERSON, user.id, frozenset())
