"""The authentication service on a store in memory, with a given clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import pytest
from pydantic import SecretStr

from bridge.access.oidc import (
    AGE_SECONDS,
    REFRESH_SECONDS,
    WAIT_SECONDS,
    OidcVerifier,
    permissions_from_claim,
    public_keys,
    scope_from_claims,
)
from bridge.access.service import AuthService
from bridge.access.sessions import PER_USER_LIMIT
from bridge.access.tokens import read_header
from bridge.core.access.audit import AuditQuery
from bridge.core.access.permissions import ANYONE, ROLE_PERMISSIONS, Identity, IdentityKind, Permission, ResourceScope, Role
from bridge.core.errors import (
    AccountError,
    AccountExists,
    Forbidden,
    LastAdmin,
    StoreUnavailable,
    TemporarilyUnavailable,
    TooManyAttempts,
    Unauthorized,
)
from bridge.settings import AccessSettings, DevicesSettings
from tests.access.parts import DEVICE_SECRET, PASSWORD, Provider, access_settings
from tests.fakes import MemoryStore
from tests.servers import until

HERE = "192.0.2.1"
DEVICES = DevicesSettings.model_validate({"credentials": {"esp01": DEVICE_SECRET}})


class Clock:
    """Seconds since the epoch, set by the test."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def control(clock: Clock) -> AuthService:
    made = AuthService(access_settings(admin_password=SecretStr(PASSWORD)), DEVICES, MemoryStore(), clock=clock)
    await made.load()
    return made


async def refused(code: str, control: AuthService, shown: str) -> None:
    with pytest.raises(Unauthorized) as caught:
        await control.identify(shown, HERE)
    assert caught.value.code == code


async def test_token_of_a_login_identifies_the_user_until_it_expires(control: AuthService, clock: Clock) -> None:
    given = await control.login(" Admin ", PASSWORD, HERE)
    who = await control.identify(given.token, HERE)
    assert who == Identity(IdentityKind.PERSON, "admin", ROLE_PERMISSIONS[Role.ADMIN], None, clock.now + 3600)
    clock.now += 3599
    assert control.is_valid(who)
    clock.now += 1
    assert not control.is_valid(who)
    await refused("expired", control, given.token)


@pytest.mark.parametrize(("name", "password"), [("admin", "wrong"), ("nobody", PASSWORD), ("", ""), ("$where", PASSWORD)])
async def test_unknown_user_and_wrong_password_get_the_same_answer(control: AuthService, name: str, password: str) -> None:
    with pytest.raises(Unauthorized, match="user or password is wrong"):
        await control.login(name, password, HERE)


async def test_guesses_are_slowed_without_locking_out_a_known_user(control: AuthService, clock: Clock) -> None:
    await control.login("admin", PASSWORD, "203.0.113.5")
    for _ in range(3):
        with pytest.raises(Unauthorized):
            await control.login("admin", "wrong password", HERE)
    with pytest.raises(TooManyAttempts) as caught:
        await control.login("admin", PASSWORD, HERE)
    assert 0 < caught.value.seconds <= 2
    await control.login("admin", PASSWORD, "203.0.113.5")
    clock.now += 3
    await control.login("admin", PASSWORD, HERE)


async def test_login_that_failed_without_a_store_is_not_counted_as_a_guess(clock: Clock) -> None:
    store = MemoryStore()
    control = AuthService(access_settings(admin_password=SecretStr(PASSWORD)), DEVICES, store, clock=clock)
    await control.load()
    store.users.away = True
    for _ in range(10):
        with pytest.raises(StoreUnavailable):
            await control.login("admin", PASSWORD, HERE)
    store.users.away = False
    assert (await control.login("admin", PASSWORD, HERE)).user.id == "admin"


async def test_refresh_token_works_once_and_a_replay_ends_the_session(control: AuthService) -> None:
    first = await control.login("admin", PASSWORD, HERE)
    second = await control.refresh(first.refresh, HERE)
    third = await control.refresh(second.refresh, HERE)
    who = await control.identify(third.token, HERE)
    with pytest.raises(Unauthorized) as caught:
        await control.refresh(second.refresh, HERE)
    assert caught.value.code == "replayed"
    assert not control.is_valid(who)
    await refused("revoked", control, third.token)
    with pytest.raises(Unauthorized):
        await control.refresh(third.refresh, HERE)


async def test_forged_refresh_token_ends_no_session(control: AuthService) -> None:
    given = await control.login("admin", PASSWORD, HERE)
    forged = given.refresh.split("_")
    with pytest.raises(Unauthorized) as caught:
        await control.refresh("_".join([forged[0], forged[1], "0" * 32, forged[3]]), HERE)
    assert caught.value.code == "invalid"
    assert (await control.refresh(given.refresh, HERE)).token


async def test_session_ends_after_its_lifetime_however_often_it_was_renewed(control: AuthService, clock: Clock) -> None:
    given = await control.login("admin", PASSWORD, HERE)
    clock.now += 29 * 86_400
    given = await control.refresh(given.refresh, HERE)
    assert given.refresh_seconds == pytest.approx(86_400)
    clock.now += 86_400
    with pytest.raises(Unauthorized):
        await control.refresh(given.refresh, HERE)


async def test_logout_voids_every_token_of_the_session(control: AuthService) -> None:
    given, other = await control.login("admin", PASSWORD, HERE), await control.login("admin", PASSWORD, HERE)
    who = await control.identify(given.token, HERE)
    await control.logout(who, "", HERE)
    await refused("revoked", control, given.token)
    with pytest.raises(Unauthorized):
        await control.refresh(given.refresh, HERE)
    await control.logout(None, other.refresh, HERE)
    await refused("revoked", control, other.token)
    await control.logout(None, other.refresh, HERE)


async def test_revocation_holds_after_a_restart_and_in_other_bridges(clock: Clock) -> None:
    store = MemoryStore()
    settings = access_settings(admin_password=SecretStr(PASSWORD))
    first, other = (AuthService(settings, DEVICES, store, clock=clock) for _ in range(2))
    await first.load()
    await other.load()
    given = await first.login("admin", PASSWORD, HERE)
    key, text = await first.keys.make("k", [Permission.READ])
    there = [await other.identify(given.token, HERE), await other.identify(text, HERE)]
    await first.users.add("second", PASSWORD, Role.ADMIN)
    await first.users.remove("admin")
    await first.keys.remove(key.id)
    assert all(map(other.is_valid, there))
    await other._revocations.sync()
    assert not any(map(other.is_valid, there))
    again = AuthService(settings, DEVICES, store, clock=clock)
    await again.load()
    for one in (other, again):
        await refused("revoked", one, given.token)
        await refused("invalid", one, text)


async def test_unwritten_revocation_reaches_other_bridges_once_the_store_is_available(clock: Clock) -> None:
    store = MemoryStore()
    here, there = (
        AuthService(access_settings(admin_password=SecretStr(PASSWORD)), DEVICES, store, clock=clock) for _ in range(2)
    )
    for one in (here, there):
        await one.load()
    given = await here.login("admin", PASSWORD, HERE)
    known = await there.identify(given.token, HERE)
    store.sessions.away = True
    with pytest.raises(StoreUnavailable):
        await here.logout(await here.identify(given.token, HERE), "", HERE)
    with pytest.raises(StoreUnavailable):
        await here._revocations.sync()
    assert there.is_valid(known)
    store.sessions.away = False
    await here._revocations.sync()
    await there._revocations.sync()
    assert not there.is_valid(known)


@pytest.mark.parametrize("kind", ["key", "user"])
async def test_removal_that_failed_halfway_voids_the_credentials_and_can_be_repeated(clock: Clock, kind: str) -> None:
    store = MemoryStore()
    here, there = (
        AuthService(access_settings(admin_password=SecretStr(PASSWORD)), DEVICES, store, clock=clock) for _ in range(2)
    )
    for one in (here, there):
        await one.load()
    if kind == "key":
        key, shown = await here.keys.make("grafana", {Permission.READ})
        remove: Callable[[], Awaitable[object]] = partial(here.keys.remove, key.id)
    else:
        await here.users.add("bob", PASSWORD, Role.OPERATOR)
        shown = (await here.login("bob", PASSWORD, HERE)).token
        remove = partial(here.users.remove, "bob")
    known = await there.identify(shown, HERE)
    store.sessions.away = True
    with pytest.raises(StoreUnavailable):
        await remove()
    store.sessions.away = False
    await remove()
    await there._revocations.sync()
    assert not there.is_valid(known)


async def test_every_change_of_a_user_ends_their_sessions(control: AuthService) -> None:
    await control.users.add("bob", PASSWORD, Role.VIEWER)
    for changes in ({"role": Role.OPERATOR}, {"scope": ResourceScope(frozenset({"a"}))}, {"password": "another password"}):
        given = await control.login("bob", PASSWORD, HERE)
        await control.users.change("bob", changes)
        await refused("revoked", control, given.token)
    with pytest.raises(Unauthorized):
        await control.login("bob", PASSWORD, HERE)
    assert (await control.login("bob", "another password", HERE)).user.role is Role.OPERATOR


async def test_last_admin_cannot_be_removed_and_an_admin_has_no_scope(control: AuthService) -> None:
    for job in (control.users.remove("admin"), control.users.change("admin", {"role": Role.VIEWER})):
        with pytest.raises(LastAdmin):
            await job
    with pytest.raises(AccountError):
        await control.users.add("x", PASSWORD, Role.ADMIN, ResourceScope(frozenset({"a"})))
    with pytest.raises(AccountError):
        await control.users.change("admin", {"scope": ResourceScope(frozenset({"a"}))})
    with pytest.raises(AccountExists):
        await control.users.add("ADMIN", PASSWORD, Role.VIEWER)


@pytest.mark.parametrize("name", ["", "a b", "$where", "a\0", ".a", "ü", "x" * 65])
async def test_invalid_user_name_is_refused(control: AuthService, name: str) -> None:
    with pytest.raises(AccountError):
        await control.users.add(name, PASSWORD, Role.VIEWER)


@pytest.mark.parametrize("password", ["", "short", "x" * 257])
async def test_password_of_a_wrong_length_is_refused(control: AuthService, password: str) -> None:
    with pytest.raises(AccountError):
        await control.users.add("bob", password, Role.VIEWER)


async def test_oldest_session_ends_beyond_the_limit_per_user(control: AuthService, clock: Clock) -> None:
    sessions = []
    for _ in range(PER_USER_LIMIT + 1):
        clock.now += 1
        sessions.append((await control._sessions.begin("admin"))[1])
    with pytest.raises(Unauthorized):
        await control._sessions.renew(sessions[0])
    await control._sessions.renew(sessions[1])


async def test_key_expires_and_a_device_key_publishes_as_its_device(control: AuthService, clock: Clock) -> None:
    _, text = await control.keys.make(
        "lab", [Permission.READ, Permission.PUBLISH], ResourceScope(frozenset(), frozenset({"Kitchen"})), days=1
    )
    who = await control.identify(text, HERE)
    assert (who.kind, who.name, who.may(Permission.PUBLISH, "x", "Kitchen"), who.may(Permission.PUBLISH, "x")) == (
        IdentityKind.PROGRAM,
        "lab",
        True,
        False,
    )
    clock.now += 86_400
    assert not control.is_valid(who)
    await refused("expired", control, text)
    _, text = await control.keys.make("esp02", [], device=True)
    for device in (await control.identify_device("esp02", text, HERE), await control.identify_device(None, text, HERE)):
        assert (device.kind, device.permissions, device.scope) == (
            IdentityKind.DEVICE,
            frozenset({Permission.PUBLISH}),
            ResourceScope(frozenset({"esp02"})),
        )
    with pytest.raises(Unauthorized):
        await control.identify_device("esp03", text, HERE)


async def test_key_created_by_another_process_is_found(clock: Clock) -> None:
    store = MemoryStore()
    ours, theirs = (AuthService(access_settings(), DEVICES, store, clock=clock) for _ in range(2))
    await ours.load()
    _, text = await theirs.keys.make("k", [Permission.READ])
    assert (await ours.identify(text, HERE)).name == "k"


async def test_guessed_key_ids_are_limited_to_a_few_lookups(control: AuthService) -> None:
    answers = []
    for number in range(100):
        try:
            await control.identify(f"sbk_{number:016x}_{'A' * 43}", HERE)
        except (Unauthorized, TemporarilyUnavailable) as error:
            answers.append(type(error))
    assert answers.count(Unauthorized) == 20


async def test_guessed_key_ids_do_not_keep_a_new_key_from_being_found(clock: Clock) -> None:
    store = MemoryStore()
    ours, theirs = (AuthService(access_settings(), DEVICES, store, clock=clock) for _ in range(2))
    await ours.load()
    for number in range(100):
        with pytest.raises((Unauthorized, TemporarilyUnavailable)):
            await ours.identify(f"sbk_{number:016x}_{'A' * 43}", HERE)
    _, text = await theirs.keys.make("k", [Permission.READ])
    assert (await ours.identify(text, "198.51.100.7")).name == "k"


async def test_guesses_at_a_device_secret_are_slowed(control: AuthService) -> None:
    who = await control.identify_device("esp01", DEVICE_SECRET, HERE)
    assert who.scope == ResourceScope(frozenset({"esp01"}))
    assert (await control.identify(DEVICE_SECRET, HERE)).name == "esp01"
    outcomes = []
    for number in range(20):
        try:
            await control.identify_device("esp01", f"guess {number}", "198.51.100.7")
        except (Unauthorized, TooManyAttempts) as error:
            outcomes.append(type(error))
    assert outcomes.count(Unauthorized) == 3
    assert (await control.identify_device("esp01", DEVICE_SECRET, HERE)).name == "esp01"


async def test_equal_events_are_one_counted_record(control: AuthService) -> None:
    for _ in range(2):
        with pytest.raises(Unauthorized):
            await control.login("admin", "wrong password", HERE)
    with pytest.raises(Unauthorized):
        await control.login("my password", "x", "198.51.100.7")
    await control.audit.write()
    acts = await control._store.audit.find(AuditQuery())
    assert [(one.action, one.target, one.count) for one in acts] == [("login refused", "", 1), ("login refused", "admin", 2)]


async def test_events_wait_for_the_store_and_those_without_room_are_counted(control: AuthService) -> None:
    class Away:
        async def add(self, _: object) -> None:
            raise StoreUnavailable("away")

    kept = control.audit._store
    control.audit._store = Away()  # type: ignore[assignment]
    for number in range(10_001):
        control.audit.record("command", actor=ANYONE, target=f"d{number}")
    with pytest.raises(StoreUnavailable):
        await control.audit.write()
    assert (len(control.audit._waiting), control.audit.lost) == (10_000, 1)
    control.audit._store = kept
    await control.audit.write()
    assert len(await kept.find(AuditQuery(limit=20_000))) == 10_000


async def test_setup_link_works_once_and_for_an_hour(clock: Clock) -> None:
    store, links = MemoryStore(), list[str]()
    control = AuthService(access_settings(), DEVICES, store, clock=clock)
    control.first_admin.on_link = links.append
    await control.load()
    await control.load()
    (link,) = links
    with pytest.raises(Unauthorized):
        await control.create_first_admin("x" * 43, PASSWORD, HERE)
    with pytest.raises(AccountError):
        await control.create_first_admin(link, "short", HERE)
    given = await control.create_first_admin(link, PASSWORD, HERE)
    assert (await control.identify(given.token, HERE)).permissions == ROLE_PERMISSIONS[Role.ADMIN]
    with pytest.raises(Unauthorized):
        await control.create_first_admin(link, PASSWORD, "198.51.100.7")
    late = AuthService(access_settings(), DEVICES, MemoryStore(), clock=clock)
    late.first_admin.on_link = links.append
    await late.load()
    clock.now += 3600
    with pytest.raises(Unauthorized):
        await late.create_first_admin(links[1], PASSWORD, HERE)


async def test_signing_secret_is_generated_once_per_store(clock: Clock) -> None:
    store = MemoryStore()
    settings = AccessSettings.model_validate({"mode": "required", "admin_password": PASSWORD})
    first = AuthService(settings, DEVICES, store, clock=clock)
    await first.load()
    given = await first.login("admin", PASSWORD, HERE)
    again = AuthService(settings, DEVICES, store, clock=clock)
    await again.load()
    assert (await again.identify(given.token, HERE)).name == "admin"
    other = AuthService(settings, DEVICES, MemoryStore(), clock=clock)
    await other.load()
    await refused("invalid", other, given.token)


async def test_store_must_be_read_first_unless_access_is_open() -> None:
    with pytest.raises(StoreUnavailable):
        await AuthService(access_settings(), DEVICES, MemoryStore()).identify("x", HERE)
    store = MemoryStore()
    opened = AuthService(AccessSettings(), DEVICES, store)
    await opened.load()
    assert await opened.identify(None, HERE) is await opened.identify_device("a", "b", HERE) is ANYONE
    assert opened.is_valid(ANYONE)
    assert (store.state, store.users.by_id) == ({}, {})
    with pytest.raises(Unauthorized):
        await opened.authenticate("x.y.z", HERE)
    with pytest.raises(Unauthorized):
        await opened.login("admin", PASSWORD, HERE)
    with pytest.raises(Forbidden):
        await opened.create_first_admin("secret", PASSWORD, HERE)
    assert (list(store.state), store.users.by_id) == (["access_secret"], {}), "logins are for the secure channel"


# --- the identity provider -----------------------------------------------------------------------------------------------


async def test_jwks_is_fetched_once_and_for_unknown_keys_every_ten_seconds() -> None:
    elapsed, provider = [0.0], Provider()
    async with provider.serving():
        tokens = OidcVerifier(access_settings(provider), monotonic=lambda: elapsed[0])

        async def read(token: str) -> Identity:
            return await tokens.read(token, read_header(token), time.time())

        who = await read(provider.token(roles=["staff", "boss", "other"]))
        assert (who.kind, who.name, who.permissions) == (IdentityKind.EXTERNAL, "eve", frozenset(Permission))
        await read(provider.token("ES256", "e1"))
        assert provider.asked == 1
        for number in range(20):
            with pytest.raises(Unauthorized):
                await read(provider.token(key_id=f"r{number + 2}"))
        assert provider.asked == 1
        provider.keys.append(provider.jwk(provider.rsa, "r2"))
        elapsed[0] += REFRESH_SECONDS
        await read(provider.token(key_id="r2"))
        assert provider.asked == 2
        provider.status = 500
        elapsed[0] += 3601
        await read(provider.token())
        await until(lambda: provider.asked == 3, what="a fetch beside the request")
        elapsed[0] += 86_400
        with pytest.raises(TemporarilyUnavailable):
            await read(provider.token())


async def test_key_removed_from_the_jwks_is_void_an_hour_later() -> None:
    elapsed, provider = [0.0], Provider()
    async with provider.serving():
        tokens = OidcVerifier(access_settings(provider), monotonic=lambda: elapsed[0])
        token = provider.token()
        await tokens.read(token, read_header(token), time.time())
        provider.keys = provider.keys[1:]
        elapsed[0] += 3601
        tokens.refresh_if_old()  # as the service does every second
        await until(lambda: tokens._age() == 0, what="the new JWKS")
        with pytest.raises(Unauthorized):
            await tokens.read(token, read_header(token), time.time())


async def test_service_fetches_old_keys_again_without_a_request() -> None:
    provider = Provider()
    async with provider.serving():
        service = AuthService(access_settings(provider), DEVICES, MemoryStore())
        await service.load()
        await service.identify(provider.token(), HERE)
        service._oidc._tried_at = service._oidc._fetched_at = time.monotonic() - AGE_SECONDS - 1
        running = asyncio.create_task(service.run())
        await until(lambda: provider.asked == 2, what="a fetch by the service")
        running.cancel()
        await service.close()


async def test_old_keys_serve_while_the_provider_does_not_answer(caplog: pytest.LogCaptureFixture) -> None:
    elapsed, provider = [0.0], Provider()
    caplog.set_level("INFO", "bridge.access")
    async with provider.serving():
        tokens = OidcVerifier(access_settings(provider), monotonic=lambda: elapsed[0])

        async def seconds(token: str) -> float:
            """How long reading took; an unknown key id is refused."""
            began = time.monotonic()
            with suppress(Unauthorized):
                await tokens.read(token, read_header(token), time.time())
            return time.monotonic() - began

        await seconds(provider.token())
        provider.answers.clear()
        elapsed[0] += 3601
        waits = await asyncio.gather(*(seconds(provider.token()) for _ in range(20)))
        assert max(waits) < WAIT_SECONDS
        await until(lambda: provider.asked == 2, what="one fetch for all")
        unknown = await asyncio.gather(*(seconds(provider.token(key_id=f"r{number}")) for number in range(2, 6)))
        assert max(unknown) < 2 * WAIT_SECONDS
        later = [await seconds(provider.token(key_id="r9")), await seconds(provider.token())]
        assert max(later) < WAIT_SECONDS, "a fetch is waited for once"
        assert provider.asked == 2
        await until(lambda: "not fetched" in caplog.text, what="the deadline of the fetch")
        elapsed[0] += REFRESH_SECONDS
        provider.status = 500
        provider.answers.set()
        await seconds(provider.token())
        await until(lambda: tokens._failures == 2, what="a second attempt")
        elapsed[0] += 1.5 * REFRESH_SECONDS
        assert await seconds(provider.token()) < WAIT_SECONDS
        assert provider.asked == 3, "the interval doubles"
        provider.status = 200
        elapsed[0] += REFRESH_SECONDS
        await seconds(provider.token())
        await until(lambda: tokens._age() == 0, what="new keys")
        assert [record.levelname for record in caplog.records if "JWKS" in record.message] == ["WARNING", "INFO"]
        provider.answers.clear()
        elapsed[0] += 3601
        await seconds(provider.token())
        await tokens.close()
        assert tokens._fetch is None
        provider.answers.set()


def test_only_public_signing_keys_of_supported_algorithms_are_used() -> None:
    import orjson

    provider = Provider()
    good = provider.jwk(provider.rsa, "a")
    bad = [
        {"kty": "oct", "k": "AAAA", "kid": "b", "alg": "HS256"},
        good | {"kid": "c", "use": "enc"},
        good | {"kid": "d", "alg": "RS512"},
        good | {"kid": "e", "alg": "HS256"},
        good | {"kid": "f", "d": "AQAB"},
        good | {"kid": {"$gt": ""}},
        good | {"kid": "g", "n": "AQAB"},
        provider.jwk(provider.ec, "h", crv="P-384"),
        "text",
        None,
    ]
    assert set(public_keys(orjson.dumps({"keys": [*bad, good]}))) == {("a", "RS256")}
    for document in (b"[]", b"{}", b'{"keys": {}}', b"no"):
        with pytest.raises(ValueError):  # noqa: PT011
            public_keys(document)


def test_roles_are_read_from_the_claim() -> None:
    roles = {"a": Role.VIEWER, "b": Role.OPERATOR}
    assert permissions_from_claim({"roles": "x a"}, "roles", roles) == ROLE_PERMISSIONS[Role.VIEWER]
    assert (
        permissions_from_claim({"realm_access": {"roles": ["b"]}}, "realm_access.roles", roles)
        == ROLE_PERMISSIONS[Role.OPERATOR]
    )
    assert (
        permissions_from_claim({"https://x.example/roles": ["a"]}, "https://x.example/roles", roles)
        == ROLE_PERMISSIONS[Role.VIEWER]
    )
    assert permissions_from_claim({"roles": ["x a"]}, "roles", roles) == frozenset(), (
        "one of a list is one, whatever it is called"
    )
    for odd in ({}, {"roles": {"a": 1}}, {"roles": [["a"], None, 1]}, {"roles": True}):
        assert permissions_from_claim(odd, "roles", roles) == frozenset()


def test_sites_and_devices_are_read_from_the_claims() -> None:
    both = AccessSettings(site_claim="air.sites", sites={"p1": "Main hall", "all": "*"}, device_claim="devices")
    assert scope_from_claims({}, AccessSettings()) is None
    assert scope_from_claims({}, both) == ResourceScope()
    assert scope_from_claims({"air": {"sites": "p1"}, "devices": ["a", 1]}, both) == ResourceScope(
        frozenset({"a"}), frozenset({"Main hall"})
    )
    assert scope_from_claims({"air": {"sites": ["p1", "all"]}}, both) is None
    assert scope_from_claims({"devices": "*"}, both) is None
    for odd in (
        {"air": {"sites": ["*", "p2", "Main hall", ""]}},
        {"air": {"sites": {"p1": 1}}},
        {"devices": [["*"], True, ""]},
    ):
        assert scope_from_claims(odd, both) == ResourceScope(), odd
    assert scope_from_claims({"s": "Main hall"}, AccessSettings(site_claim="s")) == ResourceScope(
        sites=frozenset({"Main hall"})
    )
