"""The contract of a payload format: what it is given, and what it returns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bridge.core.formats.payload import Payload
from bridge.core.readings.leaf import Leaf


@dataclass(slots=True)
class Sample:
    """What one measured thing reported at one time: a device, or a part of one.

    `device_id` is the id in the payload, for gateways that speak for several devices. `part` names a sensor of a device, by the
    sensor's own id where it has one. A part with `shares` becomes the device's own series as long as no other part measures
    the same; any other part is a series of its own, `device.part`.
    """

    leaves: list[Leaf]
    device_id: object = None
    part: str = ""
    shares: bool = False


@dataclass(slots=True)
class Parsed:
    """The samples of one payload. `common` are leaves for all of them: the time, the gateway, keys that are not taken."""

    samples: list[Sample]
    common: list[Leaf] = field(default_factory=list)
    family: str = ""
    """The format that `auto` chose."""
    units: dict[str, str] = field(default_factory=dict)
    """Units by field that the payload shows its device to use without stating them."""


Format = Callable[[Payload], Parsed]
"""Finds the values of a payload. Raises only `PayloadError` and `NotReading`, whatever the bytes."""


@dataclass(frozen=True, slots=True)
class FormatSpec:
    """A payload family.

    `name` is its name in the settings; `usual_pattern` the topic pattern of its devices; `levels` those that a pattern must
    capture. `parse` None is for a format built from the `fields` of its subscription. `recognizes` says whether a payload of
    unknown format is of this family, cheaply and without false positives; None: `auto` never chooses it. `unpack` is for an
    encoding: it returns the JSON value of its bytes, which is read as by `auto`; raises `EncodingFault`.
    `signs` are keys: an object of scalars is recognized only if it has one of them, or if any object is at its topic.
    `ignore` are topics of the family that carry no reading, below the levels of `usual_pattern` before its first named one.
    """

    name: str
    usual_pattern: str
    levels: tuple[str, ...]
    parse: Format | None
    recognizes: Callable[[Payload], bool] | None = None
    unpack: Callable[[bytes], object] | None = None
    signs: frozenset[str] = frozenset()
    ignore: tuple[str, ...] = ()


Table = Mapping[str, str | tuple[str, str]]
"""Field by path, or field and unit: `{"atmp": "temperature", "battery.V": ("batteryVoltage", "V")}`."""
