"""What to subscribe to: the filters of the settings without those that another covers, and what to say about overlaps.

Brokers may deliver a message once for each overlapping subscription. With MQTT 5 each copy has the identifier of its
subscription; without identifiers nothing distinguishes a copy from another message, so overlapping filters are merged into one.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bridge.core.topic import TopicPattern
from bridge.core.topic_filter import covers, overlaps, union
from bridge.settings import SubscriptionSettings

_IDENTIFIER_BITS = 0x0FFF_FFFF  # MQTT 5: a variable byte integer of at most four bytes, not 0


_SHARE_PREFIX = "$share/"


def shared_filter(text: str, share: str | None) -> str:
    """Return the filter to subscribe with, so that the broker gives each message to one member of the group `share`.

    Without a group, and for a filter that is shared already, that is the filter itself.
    """
    return text if share is None or text.startswith(_SHARE_PREFIX) else f"{_SHARE_PREFIX}{share}/{text}"


def filter_in_share(subscribed: str, share: str | None) -> str:
    """Inverse of `shared_filter`. The filter of another group, or of none, is returned as it is."""
    return subscribed if share is None else subscribed.removeprefix(f"{_SHARE_PREFIX}{share}/")


@dataclass(frozen=True, slots=True)
class Filter:
    """A topic filter to subscribe to. `identifier` is its MQTT 5 subscription identifier, 0 where no other filter overlaps."""

    text: str
    qos: int
    identifier: int = 0


@dataclass(frozen=True, slots=True)
class SubscriptionPlan:
    """The filters in the order of the settings, and a sentence for each pair of patterns with common topics."""

    filters: tuple[Filter, ...]
    remarks: tuple[str, ...]

    @classmethod
    def of(cls, subscriptions: Sequence[SubscriptionSettings]) -> "SubscriptionPlan":
        """Plan the subscriptions of the settings.

        A filter that another covers is not subscribed to. Where filters overlap, each has the largest QoS among them, so that
        any one of the copies of a message is as safe as the safest.
        """
        requested = [(one.route.pattern.topic_filter, one.qos) for one in subscriptions]
        uncovered = _uncovered(list(dict.fromkeys(text for text, _ in requested)))
        overlapping = [text for text in uncovered if any(overlaps(text, other) for other in uncovered if other != text)]
        identifiers = _identifiers(overlapping)
        return cls(
            tuple(
                Filter(text, max(qos for other, qos in requested if overlaps(text, other)), identifiers.get(text, 0))
                for text in uncovered
            ),
            tuple(_remarks([one.route.pattern for one in subscriptions])),
        )

    @property
    def merged(self) -> tuple[Filter, ...]:
        """Filters that match at least the same topics, and of which no two overlap."""
        merged: list[Filter] = []
        for one in self.filters:
            text, qos = one.text, one.qos
            while found := next((other for other in merged if overlaps(text, other.text)), None):
                merged.remove(found)
                text, qos = union(text, found.text), max(qos, found.qos)
            merged.append(Filter(text, qos))
        return tuple(merged)

    @property
    def overlapping(self) -> bool:
        """Whether a broker may deliver several copies of one message."""
        return any(one.identifier for one in self.filters)


def _uncovered(texts: list[str]) -> list[str]:
    """Return the filters that no other covers; the first one of those that cover each other."""
    return [
        text
        for index, text in enumerate(texts)
        if not any(
            covers(other, text) and (at < index or not covers(text, other)) for at, other in enumerate(texts) if at != index
        )
    ]


def _identifiers(texts: list[str]) -> dict[str, int]:
    """Return an identifier for each filter, computed from its text: queued messages carry the one of an earlier run."""
    by_identifier: dict[int, str] = {}
    for text in texts:
        seed = text
        while (identifier := zlib.crc32(seed.encode()) & _IDENTIFIER_BITS) in by_identifier or not identifier:
            seed += "\0"
        by_identifier[identifier] = text
    return {text: identifier for identifier, text in by_identifier.items()}


def _remarks(patterns: Sequence[TopicPattern]) -> Iterator[str]:
    """Say how patterns with common topics are applied. The filters of patterns without any may overlap: they are wider."""
    for index, first in enumerate(patterns):
        for second in patterns[index + 1 :]:
            if first.covers(second):
                yield (
                    f"{second.text} is never used: {first.text} matches the same topics and is listed before it; "
                    f"list {second.text} first"
                )
            elif first.overlaps(second):
                yield (
                    f"{first.text} and {second.text} overlap: a message on a topic of both is taken once, "
                    f"as {first.text} says, which is listed first"
                )
