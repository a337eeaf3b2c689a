"""Shared links, for admins, and the exchange of a link's token for an access token, for anyone who has it."""

from functools import partial
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from bridge.access.service import AuthService
from bridge.api.accounts import ScopeNames
from bridge.api.bodies import read_object
from bridge.api.describe import Auth, describes
from bridge.api.middleware.auth import identity_of
from bridge.api.middleware.problems import json_response
from bridge.api.openapi.models import LinkTokenResponse, SharedLinkCreated, SharedLinksPage
from bridge.core.access.accounts import scope_of
from bridge.core.access.permissions import Permission
from bridge.core.access.shared_links import DAYS_DEFAULT, DAYS_LIMIT, TITLE_LENGTH, VIEW_LENGTH
from bridge.core.errors import AccountError, Forbidden
from bridge.core.timestamp import iso
from bridge.http.proxies import client_address_of
from bridge.settings import HttpSettings

_PATH = "/api/v1/links"
_BODY_BYTES = 4096
_describes = partial(describes, tag="access", permission=Permission.ADMIN)


class NewLink(BaseModel):
    """A link to a view of the dashboard: `view` is the fragment of its address, `devices` and `sites` are what it shows."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    devices: ScopeNames = []
    sites: ScopeNames = []
    title: Annotated[str, Field(max_length=TITLE_LENGTH)]
    view: Annotated[str, Field(max_length=VIEW_LENGTH)]
    days: Annotated[float, Field(gt=0, le=DAYS_LIMIT)] = DAYS_DEFAULT


class LinkRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    token: Annotated[str, Field(max_length=128, repr=False)]


class SharedLinksApi:
    def __init__(self, access: AuthService, http: HttpSettings, read_seconds: float) -> None:
        """The body of an exchange must arrive within `read_seconds`."""
        self._access = access
        self._http = http
        self._read_seconds = read_seconds

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(_PATH, self._list),
            web.post(_PATH, self._add),
            web.delete(_PATH + "/{id}", self._revoke),
            web.post("/auth/link", self._exchange),
        ]

    @_describes("List shared links, the newest first", answers={200: SharedLinksPage}, problems=(403, 503))
    async def _list(self, _: web.Request) -> web.Response:
        self._check_required()
        return json_response({"links": [link.public() for link in await self._access.links.all()]})

    @_describes(
        "Create a link that shows one view of the dashboard without a login; its token is returned only once",
        body=NewLink,
        answers={201: SharedLinkCreated},
        problems=(413, 422, 503),
    )
    async def _add(self, request: web.Request) -> web.Response:
        self._check_required()
        new, creator = NewLink.model_validate(await read_object(request)), identity_of(request)
        scope = scope_of(new.devices, new.sites)
        if scope is None:
            raise AccountError("devices", "name at least one device or site that the link shows")
        link, token = await self._access.links.make(
            new.title, new.view, scope, days=new.days, by=f"{creator.kind}:{creator.name}"
        )
        self._record(request, "link added", link.id, title=link.title, until=iso(link.expires_ms))
        response = json_response(link.public() | {"token": token}, status=201)
        response.headers["Cache-Control"] = "no-store"
        return response

    @_describes("Revoke a shared link; the connections of those who opened it end", answers={204: None}, problems=(404, 503))
    async def _revoke(self, request: web.Request) -> web.Response:
        self._check_required()
        link = await self._access.links.revoke(request.match_info["id"])
        self._record(request, "link removed", link.id, title=link.title)
        return web.Response(status=204)

    @describes(
        "Exchange the token of a shared link for an access token that may read what the link shows",
        body=LinkRequest,
        answers={200: LinkTokenResponse},
        problems=(401, 403, 408, 413, 415, 429, 503),
        tag="access",
        permission=Auth.NONE,
    )
    async def _exchange(self, request: web.Request) -> web.Response:
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(text="the body must be JSON, with Content-Type application/json")
        if (request.content_length or 0) > _BODY_BYTES:
            raise web.HTTPRequestEntityTooLarge(_BODY_BYTES, request.content_length or 0)
        asked = LinkRequest.model_validate(await read_object(request, self._read_seconds))
        link, token, seconds = await self._access.open_link(asked.token, client_address_of(request, self._http))
        response = json_response(
            {
                "access_token": token,
                "token_type": "bearer",
                "expires_in": int(seconds),
                "title": link.title,
                "view": link.view,
                "until": iso(link.expires_ms),
            }
        )
        response.headers["Cache-Control"] = "no-store"
        return response

    def _check_required(self) -> None:
        if not self._access.required:
            raise Forbidden('access is open, so everyone sees everything: set access.mode = "required" to share parts of it')

    def _record(self, request: web.Request, action: str, target: str, **details: str) -> None:
        self._access.audit.record(
            action, actor=identity_of(request), address=client_address_of(request, self._http), target=target, **details
        )
