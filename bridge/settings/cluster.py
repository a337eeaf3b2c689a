"""Several bridges of one store and one broker."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from bridge.settings.section import Section, check_url

_BUS_WORDS = ("mqtt", "none")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
PLACES = 64


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("must be 1 to 32 letters, digits, _ and -, the first a letter or digit")
    return name


def _check_bus(bus: SecretStr) -> SecretStr:
    text = bus.get_secret_value()
    if text in _BUS_WORDS:
        return bus
    if "://" not in text:
        raise ValueError("must be mqtt, none, or the URL of a Redis server: redis://host:6379")
    check_url(bus, {"redis", "rediss"})
    return bus


class ClusterSettings(Section):
    """`name` is the same at all bridges of the cluster; without one, the bridge is alone."""

    name: Annotated[str, AfterValidator(_check_name)] | None = None
    receive: Literal["one", "all"] = "one"
    place: Annotated[int, Field(ge=1, le=PLACES)] | None = None
    bus: Annotated[SecretStr, AfterValidator(_check_bus)] = SecretStr("mqtt")
    close_seconds: Annotated[float, Field(ge=0.1, le=30)] = 1.0
    adopt_seconds: Annotated[float, Field(ge=1, le=3600)] = 5.0

    @property
    def share(self) -> str | None:
        """The group in which the bridges share subscriptions; None if one bridge receives all messages."""
        return self.name if self.receive == "all" else None
