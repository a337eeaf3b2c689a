"""Subscriptions that people add while the bridge runs, beside those of the settings file."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import orjson
from pydantic import ValidationError

from bridge.core.errors import SubscriptionExists, TooManySubscriptions, UnknownSubscription
from bridge.core.topic import TopicPattern
from bridge.ports import KeyValueStore
from bridge.settings import SubscriptionSettings

log = logging.getLogger(__name__)

SUBSCRIPTIONS_LIMIT = 200
SUBSCRIPTION_BYTES = 8192
_KEY = "subscriptions"


@dataclass(frozen=True, slots=True)
class ActiveSubscription:
    """A subscription of the settings, or a stored one with its id."""

    settings: SubscriptionSettings
    id: str | None = None


class StoredSubscriptions:
    """The stored subscriptions, in the order in which they were added. Changes are stored before they apply."""

    def __init__(
        self,
        store: KeyValueStore,
        configured: Sequence[SubscriptionSettings],
        apply: Callable[[Sequence[SubscriptionSettings]], Awaitable[None]],
        own_topics: Mapping[str, str] | None = None,
    ) -> None:
        """`configured` are those of the settings; `apply` is given all stored ones after each change.

        `own_topics` are topic filters of what the bridge publishes, each with its setting: such messages are not read.
        """
        self._store = store
        self._configured = tuple(configured)
        self._apply = apply
        self._own_topics = {setting: TopicPattern.parse(text) for setting, text in (own_topics or {}).items()}
        self._stored: dict[str, SubscriptionSettings] = {}
        self._changing = asyncio.Lock()
        self._text: str | None = None
        self.on_saved: Callable[[], object] = lambda: None
        """Called after each change of this bridge."""

    async def load(self) -> None:
        """Read the stored subscriptions, and apply them if they have changed. Raises `StoreUnavailable`."""
        async with self._changing:
            text = await self._store.get(_KEY) or "[]"
            if text != self._text:
                await self._load(text)

    async def _load(self, text: str) -> None:
        documents = orjson.loads(text)
        stored: dict[str, SubscriptionSettings] = {}
        for document in documents[:SUBSCRIPTIONS_LIMIT]:
            try:
                one = SubscriptionSettings.model_validate(document)
            except ValidationError as error:  # stored by another release
                log.warning(
                    "subscriptions: a stored one is not valid any more: it is not applied: %s", error.errors()[0]["msg"]
                )
            else:
                stored[_id(one)] = one
        self._stored, self._text = stored, text
        await self._apply(tuple(stored.values()))

    def all(self) -> list[ActiveSubscription]:
        """Return all subscriptions in the order in which they apply, those of the settings first."""
        configured = [ActiveSubscription(one) for one in self._configured]
        return configured + [ActiveSubscription(one, identity) for identity, one in self._stored.items()]

    async def add(self, subscription: SubscriptionSettings) -> ActiveSubscription:
        """Store and apply a subscription.

        Raises `SubscriptionExists`, `TooManySubscriptions` and `StoreUnavailable`.
        """
        async with self._changing:
            topic_filter = subscription.route.pattern.topic_filter
            for setting, own in self._own_topics.items():
                if own.covers(TopicPattern.parse(topic_filter)):
                    raise SubscriptionExists(
                        f"{subscription.pattern!r} has only topics of the bridge's own messages ({setting})"
                    )
            for one in self.all():
                if one.settings.route.pattern.topic_filter == topic_filter:
                    where = "in the settings file" if one.id is None else "stored"
                    raise SubscriptionExists(f"{one.settings.pattern!r} matches the same topics and is {where}")
            if len(self._stored) >= SUBSCRIPTIONS_LIMIT:
                raise TooManySubscriptions(f"the limit of {SUBSCRIPTIONS_LIMIT} stored subscriptions is reached: remove one")
            identity = _id(subscription)
            await self._save({**self._stored, identity: subscription})
        return ActiveSubscription(subscription, identity)

    async def remove(self, identity: str) -> SubscriptionSettings:
        """Remove a stored subscription. Raises `UnknownSubscription` and `StoreUnavailable`."""
        async with self._changing:
            removed = self._stored.get(identity)
            if removed is None:
                raise UnknownSubscription("no stored subscription has this id; those of the settings file are removed there")
            await self._save({key: one for key, one in self._stored.items() if key != identity})
        return removed

    async def _save(self, stored: dict[str, SubscriptionSettings]) -> None:
        documents = [one.model_dump(mode="json", exclude_defaults=True) for one in stored.values()]
        text = orjson.dumps(documents).decode()
        await self._store.put(_KEY, text)
        self._stored, self._text = stored, text
        self.on_saved()
        await self._apply(tuple(stored.values()))


def _id(subscription: SubscriptionSettings) -> str:
    return blake2b(subscription.pattern.encode(), digest_size=8).hexdigest()
