"""ESPHome: one value per message; the object id in the topic names its field, and the place or chip that it was measured by."""

from bridge.core.errors import NotReading
from bridge.core.formats.field_names import sense
from bridge.core.formats.format import FormatSpec, Parsed, Sample
from bridge.core.formats.payload import Payload
from bridge.core.formats.scalar import parse_scalar
from bridge.core.readings.leaf import Leaf

_WORDS = {"ON", "OFF", "true", "false"}


def esphome_format(payload: Payload) -> Parsed:
    """Parse one value as the field of its object id: `living_room_temperature`, `pm_2_5m_concentration`, `co2_value`.

    Each prefix is a part of the node: `room_temperature` and `fridge_temperature` are `node.room` and `node.fridge`. Without a
    prefix, or with the node's own name as one, the value is the node's. `nan` is what a sensor sends while it warms up.
    """
    object_id = payload.captures["object"]
    value = parse_scalar(payload)
    if isinstance(value, str) and value.lower() == "nan":
        raise NotReading(f"{object_id} has no value yet")
    found = sense(object_id, any_prefix=True)
    if found is None:
        if not isinstance(value, str) or value in _WORDS:
            return Parsed([], [Leaf(object_id, value)])
        raise NotReading(f"{object_id} is a text")
    part = "" if found.prefix == _plain(payload.captures["deviceId"]) else found.prefix
    return Parsed([Sample([Leaf(object_id, value, found.field, found.unit)], part=part)])


def _plain(name: str) -> str:
    return "".join(character if character.isalnum() else "_" for character in name.lower())


def recognizes(payload: Payload) -> bool:
    return {"deviceId", "object"} <= payload.captures.keys()


SPEC = FormatSpec(
    "esphome",
    "{deviceId}/sensor/{object}/state",
    ("deviceId", "object"),
    esphome_format,
    recognizes,
    ignore=("{deviceId}/status", "{deviceId}/debug"),
)
