"""What the topics of a broker carry: their family, the devices and values that would be stored, and the subscriptions for them.

A survey is given messages and keeps a few of each topic, within limits. It decodes them as the bridge would: with the bridge's
routes, else with the format that recognizes them and the pattern that fits all topics of that format.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from bridge.core.decode import Decoder, Route
from bridge.core.discovery.catalog import EntityCatalog
from bridge.core.discovery.entities import parse_config
from bridge.core.discovery.findings import Finding, Findings, SeenTopic
from bridge.core.discovery.proposals import GENERAL, Proposal, agreed_proposals, best_proposal
from bridge.core.errors import FormatError
from bridge.core.formats.payload import Payload
from bridge.core.payload import PAYLOAD_LIMIT_BYTES, PayloadError
from bridge.core.topic import DEVICE_ID

TOPICS_LIMIT = 2000
BYTES_LIMIT = 8 * 1024 * 1024
_SAMPLES_LIMIT = 8  # payloads of one topic, each with other keys: gateways send several devices on one topic
_BRIDGE_LEVEL = "bridge"  # below the base topic of Zigbee2MQTT
_BRIDGE_TOPICS = ("state", "info", "devices", "groups", "logging", "extensions", "definitions", "health", "event")


class Survey:
    """Collects messages; `findings` says what they carry. `dropped` counts messages beyond the limits."""

    def __init__(self, *, prefix: str = "homeassistant", topics_limit: int = TOPICS_LIMIT) -> None:
        """`prefix` is that of Home Assistant discovery."""
        self._prefix = prefix
        self._topics: dict[str, SeenTopic] = {}
        self._topics_limit = topics_limit
        self._bytes = 0
        self.messages = 0
        self.dropped = 0

    @property
    def topic_count(self) -> int:
        return len(self._topics)

    def add(self, topic: str, payload: bytes, *, retained: bool = False) -> None:
        """Record a message. Never raises."""
        self.messages += 1
        seen = self._topics.get(topic)
        if seen is None:
            if len(self._topics) >= self._topics_limit:
                self.dropped += 1
                return
            seen = self._topics[topic] = SeenTopic(retained=retained)
        seen.count += 1
        shape = _shape(payload)
        before = seen.samples.get(shape)
        if before is None and len(seen.samples) >= _SAMPLES_LIMIT:
            return
        sample = payload[: PAYLOAD_LIMIT_BYTES + 1]
        size = len(sample) - len(before or b"")
        if self._bytes + size > BYTES_LIMIT:
            self.dropped += before is None
            return
        self._bytes += size
        seen.samples[shape] = sample

    def copy(self) -> "Survey":
        """Return a snapshot that later messages do not change, for another thread."""
        snapshot = Survey(prefix=self._prefix)
        snapshot._topics = {topic: replace(seen, samples=dict(seen.samples)) for topic, seen in self._topics.items()}
        return snapshot

    def findings(
        self, now_ms: int, routes: Sequence[Route] = (), topics: Mapping[str, Route] | None = None, *, discovery: bool = False
    ) -> list[Finding]:
        """Return what the topics carry: first new subscriptions, then those that exist, then what is no reading.

        `routes` are those of the bridge, `topics` those of single topics. `discovery`: it takes in what is announced.
        """
        found, trial = Findings(now_ms), Decoder(())
        announced = self._announced()
        proposals: dict[str, Proposal] = {}
        for topic, seen in self._topics.items():
            route = next((one for one in routes if one.pattern.match(topic) is not None), None)
            single = (topics or {}).get(topic) or announced.get(topic)
            if route is not None:
                found.add_subscribed(topic, seen, route)
            elif reason := self._reason_to_ignore(topic):
                found.add_unread(topic, seen, reason)
            else:
                best = best_proposal(trial, topic, seen.samples.values(), self._base_of(topic))
                if single is not None and (discovery or not isinstance(best, Proposal) or best.format in GENERAL):
                    found.add_announced(topic, seen, single, is_subscribed=discovery)
                elif isinstance(best, Proposal):
                    proposals[topic] = best
                else:
                    found.add_unread(topic, seen, best.reason, best.family)
        agreed = agreed_proposals(proposals, found.device_ids)
        for topic, proposal in agreed.items():  # what some messages mean is said by others: a unit, the name of an alias
            found.learn(topic, self._topics[topic], proposal)
        for topic, proposal in agreed.items():
            found.add_new(topic, self._topics[topic], proposal)
        return found.sorted()

    def _announced(self) -> dict[str, Route]:
        """Return the routes of state topics that Home Assistant discovery announces."""
        catalog = EntityCatalog()
        for topic, seen in self._topics.items():
            if topic.startswith(f"{self._prefix}/") and topic.endswith("/config"):
                for payload in seen.samples.values():
                    with suppress(FormatError):
                        catalog.put(topic, parse_config(topic, payload, self._prefix))
        return catalog.routes()

    def _reason_to_ignore(self, topic: str) -> str | None:
        levels = topic.split("/")
        if topic.startswith(f"{self._prefix}/") and levels[-1] == "config":
            return "an announcement of Home Assistant discovery"
        if _BRIDGE_LEVEL in levels[:-1] and self._base_of(topic) == "/".join(levels[: levels.index(_BRIDGE_LEVEL)]):
            return "about the Zigbee2MQTT bridge itself"
        return None

    def _base_of(self, topic: str) -> str | None:
        """Return the base topic of the Zigbee2MQTT that a topic may belong to: the longest that has topics below `bridge`."""
        levels = topic.split("/")
        bases = ("/".join(levels[:count]) for count in range(len(levels) - 1, 0, -1))
        return next(
            (base for base in bases if any(f"{base}/{_BRIDGE_LEVEL}/{name}" in self._topics for name in _BRIDGE_TOPICS)), None
        )


def _shape(payload: bytes) -> str:
    """Return what distinguishes messages of one topic: the keys of an object, and what names a device or sensor in it."""
    try:
        body = Payload(payload).json()
    except PayloadError:
        return "text"
    if isinstance(body, dict):
        names = (body.get(key) for key in ("id", "model", "name", "type", "src", "channel", DEVICE_ID, "device_id", "devEui"))
        keys = ",".join(list(body)[:32])
        return f"{keys}|{'|'.join(str(name)[:64] for name in names if isinstance(name, str | int))}"[:512]
    return type(body).__name__
