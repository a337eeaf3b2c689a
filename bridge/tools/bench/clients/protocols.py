"""The protocols of a bench's clients, by the values of `Load.way`."""

from collections.abc import Mapping

from bridge.tools.bench.clients.plain import ChannelSubscriber, TopicSubscriber
from bridge.tools.bench.clients.polling import PollingSubscriber
from bridge.tools.bench.clients.subscriber import Subscriber

PROTOCOLS: Mapping[str, type[Subscriber]] = {
    "socketio": Subscriber,
    "polling": PollingSubscriber,
    "topics": TopicSubscriber,
    "channels": ChannelSubscriber,
}
