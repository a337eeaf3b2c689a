"""Users, API keys and the audit log, for admins."""

from functools import partial
from typing import Annotated, Any

from aiohttp import web
from bson.objectid import ObjectId
from pydantic import BaseModel, ConfigDict, Field

from bridge.access.service import AuthService, MadeKeys
from bridge.api.bodies import read_object
from bridge.api.describe import describes
from bridge.api.middleware.auth import identity_of
from bridge.api.middleware.problems import json_response
from bridge.api.openapi.models import AuditPage, KeyCreated, KeysPage, MadeKeysResponse, UserResponse, UsersPage
from bridge.core.access.accounts import ApiKey, scope_with
from bridge.core.access.audit import EVENTS_LIMIT, AuditQuery
from bridge.core.access.channels import CHANNELS, channels_of
from bridge.core.access.permissions import Permission, ResourceScope, Role
from bridge.core.errors import AccountError, Forbidden
from bridge.devices.registry import Registry
from bridge.http.proxies import client_address_of
from bridge.ports import AuditStore
from bridge.settings import HttpSettings

_describes = partial(describes, tag="access", permission=Permission.ADMIN)
_USERS, _KEYS = "/api/v1/users", "/api/v1/keys"
_Channels = Annotated[
    list[Annotated[str, Field(json_schema_extra={"enum": [*CHANNELS]})]] | None, Field(max_length=len(CHANNELS))
]
ScopeNames = Annotated[list[Annotated[str, Field(max_length=128)]], Field(max_length=64)]
_STRICT = ConfigDict(extra="forbid", hide_input_in_errors=True)


class _ScopeFields(BaseModel):
    model_config = _STRICT

    devices: ScopeNames | None = None
    sites: ScopeNames | None = None
    scope: Annotated[None, Field(description="null is every device; not together with devices or sites")] = None

    @property
    def has_scope(self) -> bool:
        return self.devices is not None or self.sites is not None or "scope" in self.model_fields_set

    def new_scope(self, current: ResourceScope | None) -> ResourceScope | None:
        """Return the scope that replaces `current`. Raises `AccountError` for an empty or ambiguous one."""
        if self.devices is None and self.sites is None:
            return None if self.has_scope else current
        if "scope" in self.model_fields_set:
            raise AccountError("scope", "null is every device: omit devices and sites")
        return scope_with(current, self.devices, self.sites)


class NewUser(_ScopeFields):
    name: Annotated[str, Field(max_length=64)]
    password: Annotated[str, Field(max_length=256, repr=False)]
    role: Role = Role.VIEWER
    channels: _Channels = None


class ChangedUser(_ScopeFields):
    """Changes of a user. Absent fields stay unchanged: devices if only sites are given, and vice versa.

    `channels` null is every channel.
    """

    password: Annotated[str | None, Field(max_length=256, repr=False)] = None
    role: Role | None = None
    channels: _Channels = None
    disabled: Annotated[bool | None, Field(strict=True, description="true: the user cannot log in")] = None

    def changes(self, current: ResourceScope | None) -> dict[str, Any]:
        """Return the fields that change, for a user whose scope is `current`."""
        fields: dict[str, Any] = {
            name: value for name in ("password", "role", "disabled") if (value := getattr(self, name)) is not None
        }
        if "channels" in self.model_fields_set:
            fields["channels"] = channels_of(self.channels)
        return fields | ({"scope": self.new_scope(current)} if self.has_scope else {})


class KeysParameters(BaseModel):
    """With `keepKeys`, keys that may administer do not end when the admin who made them is removed or given another role."""

    model_config = _STRICT

    keep_keys: Annotated[bool, Field(alias="keepKeys")] = False


class NewKey(_ScopeFields):
    """A new API key of a program; without devices and sites, for every device, without channels for every channel.

    With `device` true, `name` is the id of a device, and the key may only publish as that device.
    """

    name: Annotated[str, Field(max_length=128)]
    rights: list[Permission] = [Permission.READ]
    device: bool = False
    channels: _Channels = None
    days: Annotated[float | None, Field(gt=0, le=3650)] = None


class AuditParameters(BaseModel):
    """The query of `GET /api/v1/audit`; `before` is the id of the oldest event of the previous page."""

    model_config = _STRICT

    act: Annotated[str | None, Field(max_length=64)] = None
    by: Annotated[str | None, Field(max_length=200)] = None
    about: Annotated[str | None, Field(max_length=200)] = None
    before: Annotated[str | None, Field(pattern="^[0-9a-f]{24}$")] = None
    limit: Annotated[int, Field(ge=1, le=EVENTS_LIMIT)] = 100


class AccountsApi:
    def __init__(self, access: AuthService, registry: Registry, audit: AuditStore, http: HttpSettings) -> None:
        self._access = access
        self._registry = registry
        self._audit_store = audit
        self._http = http

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(_USERS, self._users),
            web.post(_USERS, self._add_user),
            web.patch(_USERS + "/{name}", self._change_user),
            web.delete(_USERS + "/{name}", self._remove_user),
            web.get(_KEYS, self._keys),
            web.post(_KEYS, self._add_key),
            web.post(_KEYS + "/{id}/rotate", self._rotate_key),
            web.delete(_KEYS + "/{id}", self._remove_key),
            web.get("/api/v1/audit", self._audit),
        ]

    @_describes("List users", answers={200: UsersPage}, problems=(403, 503))
    async def _users(self, _: web.Request) -> web.Response:
        self._check_required()
        return json_response({"users": [user.public() for user in await self._access.users.all()]})

    @_describes("Add a user", body=NewUser, answers={201: UserResponse}, problems=(409, 413, 422, 503))
    async def _add_user(self, request: web.Request) -> web.Response:
        self._check_required()
        new = NewUser.model_validate(await read_object(request))
        scope, channels = new.new_scope(None), channels_of(new.channels)
        user = await self._access.users.add(new.name, new.password, new.role, scope, channels)
        self._record(request, "user added", user.id, role=user.role)
        return json_response(user.public(), status=201)

    @_describes(
        "Change a user, or disable them; their sessions end. Administering keys end if their maker may administer no longer",
        query=KeysParameters,
        body=ChangedUser,
        answers={200: UserResponse},
        problems=(404, 409, 413, 422, 503),
    )
    async def _change_user(self, request: web.Request) -> web.Response:
        self._check_required()
        keep_keys = KeysParameters.model_validate(dict(request.query)).keep_keys
        changed, name = ChangedUser.model_validate(await read_object(request)), request.match_info["name"]
        existing = await self._access.users.get(name.strip().lower())
        changes = changed.changes(existing.scope) if existing else {}
        user, keys = await self._access.change_user(name, changes, keep_keys=keep_keys)
        self._record(request, "user changed", user.id, what=" ".join(sorted(changes)), role=user.role)
        self._record_ended(request, keys, user.id)
        return json_response(user.public() | (_made_keys(keys) if keys != MadeKeys() else {}))

    @_describes(
        "Remove a user; their sessions end. 200 with the keys they made, if any: those that may administer end too",
        query=KeysParameters,
        answers={200: MadeKeysResponse, 204: None},
        problems=(404, 409, 503),
    )
    async def _remove_user(self, request: web.Request) -> web.Response:
        self._check_required()
        keep_keys = KeysParameters.model_validate(dict(request.query)).keep_keys
        name = request.match_info["name"].lower()
        keys = await self._access.remove_user(name, keep_keys=keep_keys)
        self._record(request, "user removed", name)
        self._record_ended(request, keys, name)
        return web.Response(status=204) if keys == MadeKeys() else json_response(_made_keys(keys))

    @_describes("List API keys", answers={200: KeysPage}, problems=(403, 503))
    async def _keys(self, _: web.Request) -> web.Response:
        self._check_required()
        return json_response({"keys": [key.public() for key in await self._access.keys.all()]})

    @_describes(
        "Create an API key of a program or a device; the key is returned only once",
        body=NewKey,
        answers={201: KeyCreated},
        problems=(413, 422, 503),
    )
    async def _add_key(self, request: web.Request) -> web.Response:
        self._check_required()
        new = NewKey.model_validate(await read_object(request))
        scope, creator = new.new_scope(None), identity_of(request)
        key, text = await self._access.keys.make(
            new.name,
            new.rights,
            scope,
            channels=channels_of(new.channels),
            device=new.device,
            days=new.days,
            by=f"{creator.kind}:{creator.name}",
        )
        if new.device:
            self._registry.expect((key.name,))
        self._record(request, "key added", key.id, name=key.name, rights=" ".join(sorted(key.permissions)))
        return _created(key, text)

    @_describes(
        "Replace an API key by one with the same rights and lifetime, which is returned only once; the old one is revoked",
        answers={201: KeyCreated},
        problems=(404, 503),
    )
    async def _rotate_key(self, request: web.Request) -> web.Response:
        self._check_required()
        old_id = request.match_info["id"]
        key, text = await self._access.keys.rotate(old_id)
        self._record(request, "key rotated", key.id, name=key.name, replaces=old_id)
        return _created(key, text)

    @_describes("Revoke an API key", answers={204: None}, problems=(404, 503))
    async def _remove_key(self, request: web.Request) -> web.Response:
        self._check_required()
        key = await self._access.keys.remove(request.match_info["id"])
        self._record(request, "key removed", key.id, name=key.name)
        return web.Response(status=204)

    @_describes("The audit log, newest first", query=AuditParameters, answers={200: AuditPage}, problems=(503,))
    async def _audit(self, request: web.Request) -> web.Response:
        self._check_required()
        query = AuditParameters.model_validate(dict(request.query))
        before = None if query.before is None else ObjectId(query.before)
        events = await self._audit_store.find(AuditQuery(query.act, query.by, query.about, before, query.limit))
        following = str(events[-1].id) if len(events) == query.limit else None
        return json_response({"acts": [event.public() for event in events], "next": following})

    def _check_required(self) -> None:
        """Raise `Forbidden` while access is open: anyone could create an admin for later."""
        if not self._access.required:
            raise Forbidden('access is open: set access.mode = "required", or use `sensor-bridge user` on the command line')

    def _record_ended(self, request: web.Request, keys: MadeKeys, user: str) -> None:
        for key in keys.ended:
            self._record(request, "key removed", key.id, name=key.name, why=f"made by {user}")
        for link in keys.links:
            self._record(request, "link removed", link.id, title=link.title, why=f"made by {user}")

    def _record(self, request: web.Request, action: str, target: str, **details: str) -> None:
        self._access.audit.record(
            action, actor=identity_of(request), address=client_address_of(request, self._http), target=target, **details
        )


def _created(key: ApiKey, text: str) -> web.Response:
    response = json_response(key.public() | {"key": text}, status=201)
    response.headers["Cache-Control"] = "no-store"
    return response


def _made_keys(keys: MadeKeys) -> dict[str, Any]:
    return {
        "keysEnded": [key.public() for key in keys.ended],
        "keysKept": [key.public() for key in keys.remaining],
        "linksEnded": [link.public() for link in keys.links],
    }
