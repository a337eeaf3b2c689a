"""People and keys, and who did what: for admins."""

from __future__ import annotations

from typing import Annotated, Any

from aiohttp import web
from bson.objectid import ObjectId
from pydantic import BaseModel, ConfigDict, Field

from bridge.access.service import AuthService
from bridge.api.bodies import read_object
from bridge.api.describe import describes
from bridge.api.middleware.auth import identity_of
from bridge.api.middleware.problems import json_response
from bridge.api.openapi.models import AuditPage, KeyCreated, KeysPage, UserResponse, UsersPage
from bridge.core.access.accounts import ApiKey, User, scope_to_document, scope_with
from bridge.core.access.audit import EVENTS_LIMIT, AuditQuery
from bridge.core.access.permissions import Permission, ResourceScope, Role
from bridge.core.errors import AccountError, Forbidden
from bridge.core.timestamp import iso
from bridge.http.proxies import client_address_of
from bridge.ports import AuditStore
from bridge.settings import HttpSettings

_USERS, _KEYS = "/api/v1/users", "/api/v1/keys"
_Names = Annotated[list[Annotated[str, Field(max_length=128)]], Field(max_length=64)]
_STRICT = ConfigDict(extra="forbid", hide_input_in_errors=True)


class _Bounds(BaseModel):
    model_config = _STRICT

    devices: _Names | None = None
    sites: _Names | None = None
    scope: Annotated[None, Field(description="null is every device; without devices and sites")] = None

    @property
    def named(self) -> bool:
        """Whether anything is said of devices."""
        return self.devices is not None or self.sites is not None or "scope" in self.model_fields_set

    def after(self, before: ResourceScope | None) -> ResourceScope | None:
        """The scope that is meant, where it was `before`; raises `AccountError` for one that would be of nothing."""
        if self.devices is None and self.sites is None:
            return None if self.named else before
        if "scope" in self.model_fields_set:
            raise AccountError("scope", "null is every device: name no devices and sites beside it")
        return scope_with(before, self.devices, self.sites)


class NewUser(_Bounds):
    """A person; without devices and sites, of all."""

    name: Annotated[str, Field(max_length=64)]
    password: Annotated[str, Field(max_length=256, repr=False)]
    role: Role = Role.VIEWER


class ChangedUser(_Bounds):
    """What is to be another; the rest stays as it is, also devices where sites are named, and sites where devices are."""

    password: Annotated[str | None, Field(max_length=256, repr=False)] = None
    role: Role | None = None

    def changes(self, before: ResourceScope | None) -> dict[str, Any]:
        """What was named, of one whose scope was `before`."""
        named: dict[str, Any] = {"password": self.password, "role": self.role}
        found = {name: value for name, value in named.items() if value is not None}
        return found | ({"scope": self.after(before)} if self.named else {})


class NewKey(_Bounds):
    """A key of a program; without devices and sites, of all.

    With `device` true, `name` is the id of a device, and the key sends as it and does no more.
    """

    name: Annotated[str, Field(max_length=128)]
    rights: list[Permission] = [Permission.READ]
    device: bool = False
    days: Annotated[float | None, Field(gt=0, le=3650)] = None


class AuditParameters(BaseModel):
    """The query of `GET /api/v1/audit`; `before` is the id of the oldest act of the page before."""

    model_config = _STRICT

    act: Annotated[str | None, Field(max_length=64)] = None
    by: Annotated[str | None, Field(max_length=200)] = None
    about: Annotated[str | None, Field(max_length=200)] = None
    before: Annotated[str | None, Field(pattern="^[0-9a-f]{24}$")] = None
    limit: Annotated[int, Field(ge=1, le=EVENTS_LIMIT)] = 100


class AccountsApi:
    """Users, keys, audit."""

    def __init__(self, control: AuthService, kept: AuditStore, http: HttpSettings) -> None:
        """`kept` is where the audit is."""
        self._control = control
        self._kept = kept
        self._http = http

    def routes(self) -> list[web.RouteDef]:
        """The paths it answers."""
        return [
            web.get(_USERS, self._users),
            web.post(_USERS, self._add_user),
            web.patch(_USERS + "/{name}", self._change_user),
            web.delete(_USERS + "/{name}", self._remove_user),
            web.get(_KEYS, self._keys),
            web.post(_KEYS, self._add_key),
            web.delete(_KEYS + "/{id}", self._remove_key),
            web.get("/api/v1/audit", self._audit),
        ]

    @describes("Who may log in", answers={200: UsersPage}, problems=(403, 503), tag="access", right=Permission.ADMIN)
    async def _users(self, _: web.Request) -> web.Response:
        self._check_required()
        return json_response({"users": [_user(one) for one in await self._control.users.all()]})

    @describes(
        "Add a person",
        body=NewUser,
        answers={201: UserResponse},
        problems=(409, 413, 422, 503),
        tag="access",
        right=Permission.ADMIN,
    )
    async def _add_user(self, request: web.Request) -> web.Response:
        self._check_required()
        asked = NewUser.model_validate(await read_object(request))
        user = await self._control.users.add(asked.name, asked.password, asked.role, asked.after(None))
        self._note(request, "user added", user.id, role=user.role)
        return json_response(_user(user), status=201)

    @describes(
        "Change a person's password, role or devices; his sessions end",
        body=ChangedUser,
        answers={200: UserResponse},
        problems=(404, 409, 413, 422, 503),
        tag="access",
        right=Permission.ADMIN,
    )
    async def _change_user(self, request: web.Request) -> web.Response:
        self._check_required()
        asked, name = ChangedUser.model_validate(await read_object(request)), request.match_info["name"]
        there = await self._control.users.get(name.strip().lower())
        changes = asked.changes(there.scope) if there else {}
        user = await self._control.users.change(name, changes)
        self._note(request, "user changed", user.id, what=" ".join(sorted(changes)), role=user.role)
        return json_response(_user(user))

    @describes(
        "Remove a person; his sessions end",
        answers={204: None},
        problems=(404, 409, 503),
        tag="access",
        right=Permission.ADMIN,
    )
    async def _remove_user(self, request: web.Request) -> web.Response:
        self._check_required()
        name = request.match_info["name"].lower()
        await self._control.users.remove(name)
        self._note(request, "user removed", name)
        return web.Response(status=204)

    @describes("The keys there are", answers={200: KeysPage}, problems=(403, 503), tag="access", right=Permission.ADMIN)
    async def _keys(self, _: web.Request) -> web.Response:
        self._check_required()
        return json_response({"keys": [_key(one) for one in await self._control.keys.all()]})

    @describes(
        "Make a key of a program or a device; it is shown this once",
        body=NewKey,
        answers={201: KeyCreated},
        problems=(413, 422, 503),
        tag="access",
        right=Permission.ADMIN,
    )
    async def _add_key(self, request: web.Request) -> web.Response:
        self._check_required()
        asked = NewKey.model_validate(await read_object(request))
        scope, by = asked.after(None), identity_of(request)
        key, text = await self._control.keys.make(
            asked.name, asked.rights, scope, device=asked.device, days=asked.days, by=f"{by.kind}:{by.name}"
        )
        self._note(request, "key added", key.id, name=key.name, rights=" ".join(sorted(key.permissions)))
        answer = json_response(_key(key) | {"key": text}, status=201)
        answer.headers["Cache-Control"] = "no-store"
        return answer

    @describes("Take a key back", answers={204: None}, problems=(404, 503), tag="access", right=Permission.ADMIN)
    async def _remove_key(self, request: web.Request) -> web.Response:
        self._check_required()
        key = await self._control.keys.remove(request.match_info["id"])
        self._note(request, "key removed", key.id, name=key.name)
        return web.Response(status=204)

    @describes(
        "Who did what, the newest first",
        query=AuditParameters,
        answers={200: AuditPage},
        problems=(503,),
        tag="access",
        right=Permission.ADMIN,
    )
    async def _audit(self, request: web.Request) -> web.Response:
        self._check_required()
        asked = AuditParameters.model_validate(dict(request.query))
        before = None if asked.before is None else ObjectId(asked.before)
        found = await self._kept.find(AuditQuery(asked.act, asked.by, asked.about, before, asked.limit))
        following = str(found[-1].id) if len(found) == asked.limit else None
        return json_response({"acts": [one.public() for one in found], "next": following})

    def _check_required(self) -> None:
        """While access is open whoever comes could make himself an admin for the time after."""
        if not self._control.required:
            raise Forbidden('access is open, so nobody is an admin here; access.mode = "required", or sensor-bridge user')

    def _note(self, request: web.Request, act: str, about: str, **more: str) -> None:
        self._control.audit.record(
            act, actor=identity_of(request), address=client_address_of(request, self._http), target=about, **more
        )


def _user(one: User) -> dict[str, Any]:
    return {"name": one.id, "role": one.role, "scope": scope_to_document(one.scope), "createdAt": iso(one.created_ms)}


def _key(one: ApiKey) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "kind": one.kind,
        "rights": sorted(one.permissions),
        "scope": scope_to_document(one.scope),
        "createdAt": iso(one.created_ms),
        "expires": None if one.expires_ms is None else iso(one.expires_ms),
        "by": one.by,
    }
