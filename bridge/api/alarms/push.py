"""Web Push: the key to subscribe with, and the subscriptions of the user's browsers."""

import time
from functools import partial
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from bridge.api.bodies import read_object
from bridge.api.describe import describes
from bridge.api.middleware.auth import identity_of
from bridge.api.middleware.problems import json_response
from bridge.api.openapi.models import Response
from bridge.core.access.permissions import Identity, IdentityKind, Permission
from bridge.core.errors import Forbidden, UnknownSubscription
from bridge.notify.notifier import Notifier
from bridge.notify.web_push import PushStores, VapidKeys, is_installed, subscription_of

_describes = partial(describes, tag="alarms", permission=Permission.READ)
_PATH = "/api/v1/push"
_SUBSCRIBERS = (IdentityKind.PERSON, IdentityKind.ANYONE)


PushReadiness = Literal["ready", "no-target", "not-installed", "no-user"]


class PushKeyResponse(Response):
    """`publicKey` is what a browser needs as `applicationServerKey`, in base64url.

    `state` says whether a browser of this caller would be told. `no-user`: the caller is no user of the bridge, as with a token
    of an identity provider; `no-target`: no target of the rules file has `push = true`; `not-installed`: the bridge has no
    pywebpush.
    """

    publicKey: str  # noqa: N815 - a wire contract
    state: PushReadiness


class PushKeys(BaseModel):
    p256dh: Annotated[str, Field(max_length=200)]
    auth: Annotated[str, Field(max_length=200)]


class PushBody(BaseModel):
    """What `PushSubscription.toJSON()` of a browser gives."""

    model_config = ConfigDict(extra="ignore")

    endpoint: Annotated[str, Field(max_length=2048)]
    keys: PushKeys


class PushSubscriptionResponse(Response):
    id: str


class PushPath(BaseModel):
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{24}$")]


class PushApi:
    def __init__(self, store: PushStores, notifier: Notifier) -> None:
        self._store = store
        self._notifier = notifier
        self._keys = VapidKeys(store)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(_PATH, self._key),
            web.post(f"{_PATH}/subscriptions", self._subscribe),
            web.delete(f"{_PATH}/subscriptions/{{id:[0-9a-f]{{24}}}}", self._unsubscribe),
        ]

    @_describes(
        "The key to subscribe a browser to Web Push with, and whether it would be told",
        answers={200: PushKeyResponse},
        problems=(503,),
    )
    async def _key(self, request: web.Request) -> web.Response:
        return json_response({"publicKey": await self._keys.public_key(), "state": self._state(identity_of(request))})

    def _state(self, identity: Identity) -> PushReadiness:
        if identity.kind not in _SUBSCRIBERS:
            return "no-user"
        if not any(target.push for target in self._notifier.targets):
            return "no-target"
        return "ready" if is_installed() else "not-installed"

    @_describes(
        "Tell this browser of alarms: of the devices that its user may see",
        body=PushBody,
        answers={201: PushSubscriptionResponse},
        problems=(403, 413, 422, 503),
    )
    async def _subscribe(self, request: web.Request) -> web.Response:
        user = _user(identity_of(request))
        body: dict[str, Any] = await read_object(request)
        subscription = subscription_of(body, user, time.time_ns() // 1_000_000)
        known = await self._store.push.get(subscription.id)
        if known is not None and known.user != user:
            raise Forbidden("this browser is subscribed for another user: unsubscribe it there first")
        await self._store.push.add(subscription)
        return json_response({"id": subscription.id}, status=201)

    @_describes("Tell a browser no longer", path=PushPath, answers={204: None}, problems=(403, 404, 503))
    async def _unsubscribe(self, request: web.Request) -> web.Response:
        identity, user = request.match_info["id"], _user(identity_of(request))
        subscription = await self._store.push.get(identity)
        if subscription is None or subscription.user != user:
            raise UnknownSubscription(f"no browser of yours has the subscription {identity}")
        await self._store.push.remove(identity)
        return web.Response(status=204)


def _user(identity: Identity) -> str:
    """Return the name of the user; empty while access is open. Raises `Forbidden`.

    A user of an identity provider is known by a token alone. Once it expires, the bridge cannot tell whether the user still has
    the rights, and telling a browser only until then would leave people who wait for an alarm without one.
    """
    if identity.kind not in _SUBSCRIBERS:
        raise Forbidden("only users of this bridge who have logged in can subscribe a browser")
    return identity.name if identity.kind is IdentityKind.PERSON else ""
