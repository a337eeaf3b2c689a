"""The subscriptions in force: those of the settings file, to read, and stored ones, which people add and remove."""

from functools import partial
from typing import Annotated, Any

import orjson
from aiohttp import web
from pydantic import BaseModel, Field

from bridge.api.bodies import read_object
from bridge.api.describe import describes
from bridge.api.middleware.auth import check_unscoped, identity_of
from bridge.api.middleware.problems import json_response
from bridge.api.openapi import models
from bridge.core.access.permissions import Permission
from bridge.core.reasons import with_cause
from bridge.devices.discovery.message_rates import MessageRates
from bridge.devices.discovery.stored_subscriptions import SUBSCRIPTION_BYTES, ActiveSubscription, StoredSubscriptions
from bridge.http.proxies import client_address_of
from bridge.ports import AuditLog
from bridge.settings import HttpSettings, SubscriptionSettings
from bridge.sources.mqtt.source import MqttSource

_describes = partial(describes, tag="subscriptions", permission=Permission.MANAGE)
_PATH = "/api/v1/subscriptions"


class SubscriptionPath(BaseModel):
    id: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]


class SubscriptionsApi:
    def __init__(
        self,
        subscriptions: StoredSubscriptions,
        source: MqttSource,
        rates: MessageRates,
        audit: AuditLog,
        http: HttpSettings,
    ) -> None:
        self._subscriptions = subscriptions
        self._source = source
        self._rates = rates
        self._audit = audit
        self._http = http

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(_PATH, self._all),
            web.post(_PATH, self._add),
            web.delete(f"{_PATH}/{{id}}", self._remove),
        ]

    @_describes("All subscriptions, in the order in which they apply", answers={200: models.SubscriptionsPage})
    async def _all(self, request: web.Request) -> web.Response:
        check_unscoped(request)
        return json_response({"subscriptions": [self._public(one) for one in self._subscriptions.all()]})

    @_describes(
        "Add a subscription; it applies at once and is stored",
        body=SubscriptionSettings,
        answers={201: models.SubscriptionResponse},
        problems=(409, 413, 507),
    )
    async def _add(self, request: web.Request) -> web.Response:
        check_unscoped(request)
        body = await read_object(request)
        if len(orjson.dumps(body)) > SUBSCRIPTION_BYTES:
            text = f"the subscription has more than {SUBSCRIPTION_BYTES} bytes, the limit"
            raise web.HTTPRequestEntityTooLarge(SUBSCRIPTION_BYTES, 0, text=text)
        added = await self._subscriptions.add(SubscriptionSettings.model_validate(body))
        self._record(request, "subscription added", added.settings)
        return json_response(self._public(added), status=201)

    @_describes(
        "Remove a stored subscription; it ends at once",
        path=SubscriptionPath,
        answers={204: None},
        problems=(404,),
    )
    async def _remove(self, request: web.Request) -> web.Response:
        check_unscoped(request)
        removed = await self._subscriptions.remove(request.match_info["id"])
        self._record(request, "subscription removed", removed)
        return web.Response(status=204)

    def _public(self, one: ActiveSubscription) -> dict[str, Any]:
        refused = self._source.refused.get(one.settings.route.pattern.topic_filter)
        pattern = one.settings.pattern
        public = {
            "id": one.id,
            "origin": "file" if one.id is None else "stored",
            **one.settings.model_dump(mode="json"),
            "messages": self._rates.messages(pattern),
            "perMinute": self._rates.per_minute(pattern),
        }
        return public if refused is None else with_cause({**public, "refused": refused}, "refused")

    def _record(self, request: web.Request, action: str, subscription: SubscriptionSettings) -> None:
        self._audit.record(
            action,
            actor=identity_of(request),
            address=client_address_of(request, self._http),
            target=subscription.pattern[:200],
            format=subscription.format,
        )
