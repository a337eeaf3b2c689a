"""The subscriptions in force: those of the settings, stored ones, and the single topics that devices announced.

Changes apply to decoder and broker without a restart. A message never arrives without its route: a route is added before its
subscription, and removed after it.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from bridge.core.decode import Route
from bridge.settings import SubscriptionSettings

_APPLY_SECONDS = 2.0


class RoutedDecoder(Protocol):
    def set_routes(self, routes: Sequence[Route], topics: Mapping[str, Route]) -> None:
        """Replace the routes by pattern and those of single topics."""


class SubscribedSource(Protocol):
    def subscribe_also(self, subscriptions: Sequence[SubscriptionSettings], topics: Iterable[str]) -> None:
        """Replace the additional subscriptions and single topics."""

    async def applied(self, seconds: float) -> None:
        """Wait until the broker has them, at most for some seconds, and not while it is unavailable."""


class ActiveRoutes:
    def __init__(self, decoder: RoutedDecoder, source: SubscribedSource, first: Sequence[Route], last: Sequence[Route]) -> None:
        """`first` are the routes before the additional ones, those of the settings; `last` are behind them."""
        self._decoder = decoder
        self._source = source
        self._first, self._last = tuple(first), tuple(last)
        self._stored: tuple[SubscriptionSettings, ...] = ()
        self._topics: dict[str, Route] = {}
        self._stored_changed = asyncio.Event()

    async def changed(self) -> None:
        """Wait for a change of the stored subscriptions."""
        self._stored_changed.clear()
        await self._stored_changed.wait()

    @property
    def routes(self) -> tuple[Route, ...]:
        """The routes by pattern, in their order."""
        return (*self._first, *(one.route for one in self._stored), *self._last)

    @property
    def topics(self) -> Mapping[str, Route]:
        return self._topics

    async def set_stored(self, subscriptions: Sequence[SubscriptionSettings]) -> None:
        before, self._stored = self._stored, tuple(subscriptions)
        self._stored_changed.set()
        await self._apply((*self._stored, *before), self._topics)

    async def set_topics(self, topics: Mapping[str, Route]) -> None:
        """Replace the single topics. One that a pattern matches is left to the pattern."""
        before, self._topics = self._topics, dict(topics)
        await self._apply(self._stored, before | self._topics)

    async def _apply(self, stored: Sequence[SubscriptionSettings], topics: Mapping[str, Route]) -> None:
        """Change routes and subscriptions; `stored` and `topics` are the old and the new ones."""
        transition = (*self._first, *(one.route for one in stored), *self._last)
        self._decoder.set_routes(transition, topics)
        patterns = [route.pattern for route in self.routes]
        singles = [topic for topic in self._topics if not any(pattern.delivers(topic) for pattern in patterns)]
        self._source.subscribe_also(self._stored, singles)
        await self._source.applied(_APPLY_SECONDS)
        self._decoder.set_routes(self.routes, self._topics)
