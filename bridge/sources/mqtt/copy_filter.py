"""Recognizes copies: brokers may deliver a message once for each overlapping subscription that matches its topic."""

from collections.abc import Collection, Sequence

from bridge.core.topic import TopicPattern
from bridge.sources.mqtt.publish_parser import Publish
from bridge.sources.mqtt.subscriptions import Filter, SubscriptionPlan

_CACHE_LIMIT = 10_000  # topics; they are chosen by untrusted senders
_TOPIC_LENGTH = 256  # longer topics are matched each time and not cached


class CopyFilter:
    """The subscriptions of a session, and which copy of a message is processed; the others are only acknowledged.

    It is the copy of the filter that has been subscribed for the longest time: all messages of the session that match it have
    been delivered for it, even those that the broker queued before a change of the settings. So no message is left without a
    copy. Without subscription identifiers the filters are merged, and messages that match none of the settings are dropped.
    """

    def __init__(self, plan: SubscriptionPlan) -> None:
        self.plan = plan
        self.copies = self.unwanted = 0
        """Copies dropped since start, and messages of merged filters that match no pattern of the settings."""
        self.also: Collection[str] = ()
        """Single topics that are subscribed to beside the plan."""
        self._filters = plan.filters
        self._active: list[Filter] = []
        self._is_order_known = True
        self._is_merged = False
        self._matches: dict[str, Filter | None] = {}

    def replanned(self, plan: SubscriptionPlan) -> "CopyFilter":
        """Return a filter for another plan, with the same counts."""
        other = CopyFilter(plan)
        other.copies, other.unwanted = self.copies, self.unwanted
        return other

    def start(self, subscribed: Sequence[str] | None, *, identified: bool) -> None:
        """Begin a connection; `subscribed` are the filters of the session so far, the oldest first; None if unknown."""
        self._is_order_known = subscribed is not None
        self._filters, self._is_merged = self.plan.filters, False
        planned = {one.text: one for one in self._filters}
        self._active = [planned[text] for text in subscribed or () if text in planned]
        self._matches.clear()
        if not identified:
            self.merge()

    def merge(self) -> None:
        """Merge the filters: the broker does not support subscription identifiers."""
        if self.plan.overlapping and not self._is_merged:
            self._is_merged = True
            self._filters = self.plan.merged
            self._active = [one for one in self._filters if one in self._active]
            self._matches.clear()

    @property
    def is_merged(self) -> bool:
        return self._is_merged

    @property
    def filters(self) -> list[Filter]:
        """The filters to subscribe to, in this order: those of the session first."""
        return [*self._active, *(one for one in self._filters if one not in self._active)]

    def add(self, subscribed: Filter) -> None:
        """Count a filter as subscribed, from before the SUBSCRIBE is sent: the broker may send messages before its SUBACK."""
        if subscribed not in self._active:
            self._active.append(subscribed)
            self._matches.clear()

    def remove(self, refused: Filter) -> None:
        """No longer count a filter: the broker refused it."""
        if refused in self._active:
            self._active.remove(refused)
            self._matches.clear()

    @property
    def subscribed(self) -> list[str]:
        """The filters of the session, the oldest first."""
        return [one.text for one in self._active]

    def takes(self, publish: Publish) -> bool:
        """Whether to process a message; one that is not is counted."""
        if self._is_merged:
            takes = self._first(publish.topic) is not None or publish.topic in self.also
            self.unwanted += not takes
            return takes
        takes = not publish.identifiers or self._is_first(publish)
        self.copies += not takes
        return takes

    def _is_first(self, publish: Publish) -> bool:
        """Whether one of its identifiers is the first filter's, or belongs to a subscription of earlier settings. Without
        knowing which filter is the first, a message stored twice is better than one lost.
        """
        first = self._first(publish.topic)
        if first is None or first.identifier in publish.identifiers or not self._is_order_known:
            return True
        return not {one.identifier for one in self._active}.issuperset(publish.identifiers)

    def _first(self, topic: str) -> Filter | None:
        """Return the first filter that matches a topic, where filters are merged that of the settings."""
        if topic in self._matches:
            return self._matches[topic]
        filters = self.plan.filters if self._is_merged else self._active
        first = next((one for one in filters if TopicPattern.parse(one.text).match(topic) is not None), None)
        if len(topic) <= _TOPIC_LENGTH:
            if len(self._matches) >= _CACHE_LIMIT:
                self._matches.clear()
            self._matches[topic] = first
        return first
