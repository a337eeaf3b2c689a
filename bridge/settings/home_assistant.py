"""Home Assistant discovery: devices and alarms that the bridge announces."""

from typing import Annotated

from pydantic import Field

from bridge.settings.section import Section, TopicPrefix


class HomeAssistantSettings(Section):
    """`prefix` is Home Assistant's discovery prefix, `topic` the first levels of the states; None: the client id at the broker.

    The measurements of a device are published at most every `every_seconds`.
    """

    discovery: bool = False
    prefix: TopicPrefix = "homeassistant"
    topic: TopicPrefix | None = None
    every_seconds: Annotated[float, Field(ge=1, le=3600)] = 10.0
