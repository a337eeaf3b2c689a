"""The authentication service: identifies credentials, validates identities, logs users in and out."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from bridge.access.api_keys import PREFIX, ApiKeys
from bridge.access.audit import AuditTrail
from bridge.access.device_secrets import DeviceSecrets
from bridge.access.first_admin import FirstAdminSetup
from bridge.access.lockout import Lockout, LoginAttempt
from bridge.access.oidc import OidcVerifier
from bridge.access.passwords import Passwords, check_password
from bridge.access.revocations import Revocations
from bridge.access.sessions import LoginSessions
from bridge.access.shared_links import SharedLinks
from bridge.access.tokens import ALGORITHM, COOKIE, JAR, LIMIT, Tokens, malformed, read_header
from bridge.access.users import Users
from bridge.core.access.accounts import ApiKey, User
from bridge.core.access.permissions import ANYONE, NOBODY, Identity, IdentityKind, Permission
from bridge.core.access.shared_links import SharedLink
from bridge.core.errors import (
    AccountError,
    Forbidden,
    StoreUnavailable,
    TemporarilyUnavailable,
    TooManyAttempts,
    Unauthorized,
    UnknownAccount,
)
from bridge.core.readings.identity import normalize_device_id
from bridge.ports import StateStore
from bridge.settings import AccessSettings, DevicesSettings

log = logging.getLogger(__name__)

SYNC_SECONDS = 1.0
_LAST_WRITE_SECONDS = 1.0
_DAY_SECONDS = 86_400
_SECRET_BYTES = 48
_COOKIE_ID_LENGTH = 8


@dataclass(frozen=True, slots=True)
class IssuedTokens:
    """The tokens of a login or refresh, and their lifetimes. `cookie` is the access token that counts in a cookie only."""

    user: User
    token: str = field(repr=False)
    cookie: str = field(repr=False)
    token_seconds: float
    refresh: str = field(repr=False)
    refresh_seconds: float


@dataclass(frozen=True, slots=True)
class MadeKeys:
    """The keys that a user made who is an admin no longer: those that ended with it, and those that still work.

    `links` are the public links that they made, which ended too.
    """

    ended: tuple[ApiKey, ...] = ()
    remaining: tuple[ApiKey, ...] = ()
    links: tuple[SharedLink, ...] = ()


class AuthService:
    """`ports.Authentication`, with the logins, users, keys and audit log behind the API and the command line.

    While access is open every client may do everything, and logins serve the secure channel only: the state is loaded on first
    use. Until `load` was called, calls that need it raise `StoreUnavailable`.
    """

    def __init__(
        self,
        settings: AccessSettings,
        devices: DevicesSettings,
        store: StateStore,
        *,
        any_device: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`any_device`: devices need no secret while access is open. `clock` gives seconds since the epoch."""
        self._settings = settings
        self._store = store
        self._clock = clock
        self._tokens: Tokens | None = None
        self._may_load = False
        self._loading = asyncio.Lock()
        self._revocations = Revocations(store.sessions, clock)
        self._sessions = LoginSessions(store.sessions, self._revocations, settings.refresh_days * _DAY_SECONDS, clock)
        self._oidc = OidcVerifier(settings)
        self.lockout = Lockout()
        self._link_lockout = Lockout()  # of its own: links that have expired on screens must not delay logins
        self._device_secrets = DeviceSecrets(devices, self.lockout, clock, any_device=any_device)
        self.users = Users(store.users, self._sessions, Passwords(), clock)
        self.keys = ApiKeys(store.keys, self._revocations, clock)
        self.links = SharedLinks(store.links, self._revocations, clock)
        self.first_admin = FirstAdminSetup(settings, self.users, store, clock)
        self.audit = AuditTrail(store.audit, enabled=settings.required, clock=clock)
        self._revocations.on_revoked = self._on_revoked
        self.counts: dict[str, int] = {}
        """Refused credentials, by reason."""
        self.on_write: Callable[[str | None], None] = lambda _: None
        """Called after each attempt of `run` to write, with the reason if the store was unavailable: it will be tried again."""

    @property
    def required(self) -> bool:
        return self._settings.required

    @property
    def token_seconds(self) -> float:
        """How long access tokens are valid."""
        return self._settings.token_seconds

    @property
    def cookie_id(self) -> str | None:
        return None if self._tokens is None else self._tokens.key_id[:_COOKIE_ID_LENGTH]

    async def load(self) -> None:
        """Read the state and set up the first admin, where access is required. Raises `StoreUnavailable`; safe to repeat."""
        if self.required:
            await self._load()
        self._may_load = True

    async def _load(self) -> None:
        if self._settings.secret is not None:
            secret = self._settings.secret.get_secret_value()
        else:  # the same for all bridges on this store, even if two start at once
            secret = await self._store.put_if_absent("access_secret", secrets.token_urlsafe(_SECRET_BYTES))
        await self._revocations.sync()
        await self.keys.load()
        if self.required:
            await self.first_admin.prepare()
        self._tokens = Tokens(secret, self._settings.token_seconds)

    async def run(self) -> None:
        """Read the revocations of other bridges, write the audit log and keep the provider's keys fresh, until cancelled.

        All of it every `SYNC_SECONDS`; keys are fetched in a task of their own, which `close` ends.
        """
        while True:
            await asyncio.sleep(SYNC_SECONDS)
            if self._tokens is None:
                continue
            self._oidc.refresh_if_old()
            try:
                await self._revocations.sync()
                await self.audit.write()
            except StoreUnavailable as error:
                log.debug("access: store unavailable (%s): revocations and audit events wait", error)
                self.on_write(str(error))
            else:
                self.on_write(None)

    async def close(self) -> None:
        """Write the waiting audit events, within a second."""
        await self._oidc.close()
        waiting = self.audit.waiting
        try:
            async with asyncio.timeout(_LAST_WRITE_SECONDS):
                await self.audit.write(last=True)
        except (StoreUnavailable, TimeoutError):
            log.warning("audit: up to %d events not written before shutdown: store unavailable", waiting)

    async def _opened(self) -> Tokens:
        """Return the tokens, loaded on first use while access is open. Raises `StoreUnavailable`."""
        if self._tokens is None and self._may_load:
            async with self._loading:
                if self._tokens is None:
                    await self._load()
        return self._loaded()

    # --- identities ----------------------------------------------------------------------------------------------------------

    async def identify(self, credential: str | None, address: str, *, in_cookie: bool = False) -> Identity:
        if not self.required:
            return ANYONE
        return await self.authenticate(credential, address, in_cookie=in_cookie)

    async def authenticate(self, credential: str | None, address: str, *, in_cookie: bool = False) -> Identity:
        if not credential:
            raise Unauthorized("missing", "log in, or send a token or an API key")
        tokens = await self._opened()
        try:
            identity = await self._identify(tokens, credential, address, in_cookie=in_cookie)
            self._check_valid(identity)
        except Unauthorized as error:
            self._count(error.code)
            raise
        return identity

    async def _identify(self, tokens: Tokens, credential: str, address: str, *, in_cookie: bool) -> Identity:
        """Identify an API key, a token of ours, a secret from the settings, or a token of the provider, by its form."""
        if len(credential) > LIMIT:
            raise malformed()
        if credential.startswith(PREFIX):
            return await self.keys.identify(credential, address)
        if (known := tokens.known(credential, self._clock(), in_cookie=in_cookie)) is not None:
            return known
        if credential.count(".") != 2 and self._device_secrets.configured:
            return self._device_secrets.identify(None, credential, address)
        header = read_header(credential)
        if header.algorithm == ALGORITHM:
            return tokens.read(credential, header, self._clock(), in_cookie=in_cookie)
        return await self._oidc.read(credential, header, self._clock())

    async def identify_device(self, name: str | None, secret: str, address: str) -> Identity:
        if not self.required:
            return ANYONE
        self._loaded()
        try:
            if secret.startswith(PREFIX):
                return _check_device(await self.keys.identify(secret, address), name and normalize_device_id(name))
            return self._device_secrets.identify(name, secret, address)
        except Unauthorized as error:
            self._count(error.code)
            raise

    def identify_device_while_open(self, name: str | None, secret: str) -> Identity:
        return self._device_secrets.identify_while_open(name, secret)

    def csrf_token(self, identity: Identity) -> str:
        kind, _, session_id = identity.grant.partition(":")
        return self._loaded().csrf_token(session_id) if kind == "session" else ""

    def is_of_program(self, cookie: str) -> bool:
        return self._loaded().use_of(cookie) == JAR

    def is_valid(self, identity: Identity) -> bool:
        if identity.kind is IdentityKind.ANYONE:
            return not self.required
        return (identity.expires is None or self._clock() < identity.expires) and identity.grant not in self._revocations

    def _check_valid(self, identity: Identity) -> None:
        if not self.is_valid(identity):
            raise Unauthorized("revoked", "these credentials were revoked: log in again")

    def _loaded(self) -> Tokens:
        if self._tokens is None:
            raise StoreUnavailable("users and keys have not been read from the store yet")
        return self._tokens

    def _on_revoked(self, grant: str) -> None:
        kind, _, name = grant.partition(":")
        if kind == "key":
            self.keys.drop(name)

    def _count(self, code: str) -> None:
        self.counts[code] = self.counts.get(code, 0) + 1

    # --- accounts ------------------------------------------------------------------------------------------------------------

    async def remove_user(self, name: str, *, keep_keys: bool = False) -> MadeKeys:
        """Remove a user, and revoke the public links and the keys they made that may administer; return all keys they made.

        With `keep_keys` none is revoked. Raises `UnknownAccount`, `LastAdmin` and `StoreUnavailable`.
        """
        user = await self.users.removable(name)
        before = await self._end_made_keys(user, keep_keys=keep_keys)
        await self.users.remove(user.id)
        return await self._end_made_keys(user, keep_keys=keep_keys, before=before)

    async def change_user(self, name: str, changes: Mapping[str, Any], *, keep_keys: bool = False) -> tuple[User, MadeKeys]:
        """Change a user as `Users.change` does. The keys of a user who administers no longer end as in `remove_user`."""
        before = await self.users.get(name.strip().lower())
        user = await self.users.change(name, changes)
        if before is None or not before.administers or user.administers:
            return user, MadeKeys()
        return user, await self._end_made_keys(user, keep_keys=keep_keys)

    async def _end_made_keys(self, user: User, *, keep_keys: bool, before: MadeKeys = MadeKeys()) -> MadeKeys:
        """Called before and after the change: a session may have made a key meanwhile, and the store may fail in between."""
        maker, ended = f"{IdentityKind.PERSON}:{user.id}", before.ended
        made = await self.keys.made_by(maker)
        ends = () if keep_keys else tuple(key for key in made if Permission.ADMIN in key.permissions)
        links = () if keep_keys else await self._revoke_links({maker, *(f"{key.kind}:{key.name}" for key in ends)})
        for key in ends:
            with suppress(UnknownAccount):  # removed meanwhile
                await self.keys.remove(key.id)
        known = {key.id for key in ended}
        remaining = tuple(key for key in made if key not in ends and key.id not in known)
        return MadeKeys((*ended, *ends), remaining, (*before.links, *links))

    async def _revoke_links(self, makers: Collection[str]) -> tuple[SharedLink, ...]:
        """Revoke the links of these makers. A link records the name of the key that made it, as a key does."""
        links = tuple(link for link in await self.links.all() if link.by in makers)
        for link in links:
            with suppress(UnknownAccount):  # revoked meanwhile
                await self.links.revoke(link.id)
        return links

    # --- logins --------------------------------------------------------------------------------------------------------------

    async def login(
        self, name: str, password: str, address: str, *, in_cookie: bool = False, by_program: bool = False
    ) -> IssuedTokens:
        """Log a user in; `in_cookie`: the refresh token counts in a cookie only. `by_program`: the cookie is in no browser.

        Raises `Unauthorized`, `TooManyAttempts`, `TemporarilyUnavailable` and `StoreUnavailable`.
        """
        tokens = await self._opened()
        attempt = self._attempt(f"user:{name.strip().lower()[:64]}", address)
        try:
            user, right = await self.users.check(name, password)
        except (StoreUnavailable, TemporarilyUnavailable):
            attempt.cancel()
            raise
        if user is None or not right:
            self._count("password")
            # An unknown name is not recorded: it may be a password, typed into the wrong field.
            self.audit.record("login refused", actor=NOBODY, address=address, target=user.id if user else "")
            raise Unauthorized("password", "user or password is wrong")
        attempt.succeeded()
        if user.disabled:
            self._count("disabled")
            self.audit.record("login refused", actor=_person(user), address=address, target=user.id, why="disabled")
            raise Unauthorized("disabled", "this account is disabled: ask an admin to enable it")
        self.audit.record("login", actor=_person(user), address=address)
        return await self._begin(tokens, user, in_cookie=in_cookie, by_program=by_program)

    async def change_password(self, identity: Identity, current: str, new: str, address: str) -> None:
        """Change the password of the logged-in user. Their other sessions end; this one stays.

        Raises `Forbidden` for others than users, `AccountError`, `TooManyAttempts`, `TemporarilyUnavailable` and
        `StoreUnavailable`.
        """
        kind, _, session_id = identity.grant.partition(":")
        if identity.kind is not IdentityKind.PERSON or kind != "session":
            raise Forbidden("only a user who logged in with a password can change it: log in at this bridge")
        attempt = self._attempt(f"user:{identity.name}", address)
        try:
            check_password(new, "new")
            user, is_right = await self.users.check(identity.name, current)
        except (StoreUnavailable, TemporarilyUnavailable, AccountError):
            attempt.cancel()
            raise
        if user is None or not is_right:
            self._count("password")
            self.audit.record("password refused", actor=identity, address=address, target=identity.name)
            raise AccountError("current", "the current password is wrong")
        attempt.succeeded()
        await self.users.change_password(user, new, session_id)
        self.audit.record("password changed", actor=identity, address=address, target=user.id)

    async def create_first_admin(self, secret: str, password: str, address: str) -> IssuedTokens:
        """Create the first admin with the setup link's secret, and log them in, with cookies.

        Raises as `login` does, and `AccountError`.
        """
        if not self.required:
            raise Forbidden("access is open: there is no setup link")
        tokens = self._loaded()
        attempt = self._attempt("", address)
        try:
            user = await self.first_admin.finish(secret, password)
        except AccountError:  # the secret was valid
            attempt.succeeded()
            raise
        except (StoreUnavailable, TemporarilyUnavailable):
            attempt.cancel()
            raise
        attempt.succeeded()
        self.audit.record("user added", actor=_person(user), address=address, target=user.id, role=str(user.role))
        return await self._begin(tokens, user, in_cookie=True)

    async def refresh(self, refresh_token: str, address: str, *, in_cookie: bool = False) -> IssuedTokens:
        """Exchange a refresh token, once, for new tokens. Raises `Unauthorized` and `StoreUnavailable`."""
        tokens = await self._opened()
        try:
            session, following = await self._sessions.renew(refresh_token, in_cookie=in_cookie)
        except Unauthorized as error:
            self._count(error.code)
            if error.code == "replayed":
                self.audit.record("refresh replayed", actor=NOBODY, address=address)
            raise
        user = await self.users.get(session.user)
        if user is None or user.disabled:
            await self._sessions.end(session.id)
            raise Unauthorized("revoked", "this user was removed or disabled")
        left = session.expires_ms / 1000 - self._clock()
        return self._issued(tokens, user, session.id, following, left)

    async def extend(self, identity: Identity, cookie: str) -> str | None:
        """A new token for a session's cookie if at most half of its token's time is left and the session has not ended."""
        kind, _, session_id = identity.grant.partition(":")
        now = self._clock()
        if kind != "session" or identity.expires is None or identity.expires - now > self.token_seconds / 2:
            return None
        session = await self._sessions.current(session_id)
        user = None if session is None or not session.in_cookie else await self.users.get(session.user)
        tokens = self._loaded()
        return None if user is None or user.disabled else tokens.make(user, session_id, now, tokens.use_of(cookie) or COOKIE)

    async def logout(self, identity: Identity | None, refresh: str, address: str) -> None:
        """End a session, by the identity of its access token or by its refresh token. Does nothing if it has ended."""
        kind, _, session_id = identity.grant.partition(":") if identity else ("", "", "")
        if kind != "session":
            try:
                session_id = (await self._sessions.find(refresh)).id
            except Unauthorized:
                return
        await self._sessions.end(session_id)
        if identity is not None:
            self.audit.record("logout", actor=identity, address=address)

    async def open_link(self, token: str, address: str) -> tuple[SharedLink, str, float]:
        """Exchange the token of a shared link for an access token; returns the link, the token and its seconds.

        Guesses are slowed down as those of passwords are. Raises `Unauthorized`, `Forbidden`, `TooManyAttempts` and
        `StoreUnavailable`.
        """
        if not self.required:
            raise Forbidden("access is open: there are no shared links")
        tokens = self._loaded()
        attempt = self._attempt("", address, self._link_lockout)
        try:
            link = await self.links.open(token)
        except StoreUnavailable:
            attempt.cancel()
            raise
        except Unauthorized as error:
            if error.code == "expired":  # a link that was right is no guess
                attempt.cancel()
            self._count(error.code)
            self.audit.record("refused", actor=NOBODY, address=address, target="POST /auth/link", why=error.code)
            raise
        attempt.cancel()
        return link, *tokens.make_for_link(link, self._clock())

    def _attempt(self, user: str, address: str, lockout: Lockout | None = None) -> LoginAttempt:
        attempt = (lockout or self.lockout).begin(user, address, self._clock())
        if isinstance(attempt, float):
            self._count("attempts")
            self.audit.record("login delayed", actor=NOBODY, address=address)
            raise TooManyAttempts(attempt)
        return attempt

    def _issued(
        self, tokens: Tokens, user: User, session_id: str, refresh: str, left: float, use: str = COOKIE
    ) -> IssuedTokens:
        now = self._clock()
        token, cookie = tokens.make(user, session_id, now), tokens.make(user, session_id, now, use)
        return IssuedTokens(user, token, cookie, tokens.seconds, refresh, left)

    async def _begin(self, tokens: Tokens, user: User, *, in_cookie: bool, by_program: bool = False) -> IssuedTokens:
        session, refresh = await self._sessions.begin(user.id, in_cookie=in_cookie)
        if await self.users.get(user.id) != user:  # changed since the password was verified, so their sessions were ended
            await self._sessions.end(session.id)
            raise Unauthorized("revoked", "this user was changed at the same time: log in again")
        left = session.expires_ms / 1000 - self._clock()
        return self._issued(tokens, user, session.id, refresh, left, JAR if by_program else COOKIE)


def _check_device(identity: Identity, name: str | None) -> Identity:
    if identity.kind is not IdentityKind.DEVICE or name not in (None, identity.name):
        raise Unauthorized("invalid", "this API key does not belong to this device")
    return identity


def _person(user: User) -> Identity:
    return Identity(IdentityKind.PERSON, user.id, frozenset())
