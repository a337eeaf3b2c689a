"""Home Assistant's MQTT Statestream: the state and the attributes of each entity, each on a topic of its own.

Source: Home Assistant documentation, integration "MQTT Statestream". For `sensor.kitchen_temperature`:

    homeassistant/sensor/kitchen_temperature/state                 21.5
    homeassistant/sensor/kitchen_temperature/unit_of_measurement   "°C"

The topics do not name the device. The words of the entity before the measurement do: `kitchen_temperature` and
`kitchen_humidity` are `kitchen`, and an entity without such words is `homeassistant`. Below a topic with a level {deviceId}
they are its parts. The unit is learned from its topic, so subscribe to that too, as by `homeassistant/sensor/{entity}/+`;
without it, the entity's name and the unit of the field decide.
"""

from bridge.core.errors import NotReading
from bridge.core.formats.field_names import sense
from bridge.core.formats.format import FormatSpec, Parsed, Sample
from bridge.core.formats.payload import Payload
from bridge.core.formats.scalar import parse_scalar
from bridge.core.readings.leaf import Leaf

_UNIT = "unit_of_measurement"
_UNAVAILABLE = {"unavailable", "unknown", "none"}
_WITHOUT_DEVICE = "homeassistant"


def homeassistant_format(payload: Payload) -> Parsed:
    entity, attribute = payload.captures["entity"], payload.topic.rpartition("/")[2]
    source = f"homeassistant/{entity}"
    if attribute != "state":
        if attribute == _UNIT and payload.memory is not None:
            payload.memory.put(source, _UNIT, payload.text().strip('"'))
        raise NotReading(f"an attribute of {entity[:64]}")
    value = parse_scalar(payload)
    if isinstance(value, str) and value.lower() in _UNAVAILABLE:
        raise NotReading(f"{entity[:64]} is unavailable")
    found = sense(entity, any_prefix=True)
    if found is None:
        if isinstance(value, str | bool):
            raise NotReading(f"{entity[:64]} is no measurement")
        return Parsed([], [Leaf(entity, value)])
    learned = payload.memory.get(source).get(_UNIT) if payload.memory is not None else None
    leaf = Leaf(entity, value, found.field, learned or found.unit)
    if "deviceId" in payload.captures:
        return Parsed([Sample([leaf], part=found.prefix, shares=True)])
    return Parsed([Sample([leaf], device_id=found.prefix or _WITHOUT_DEVICE)])


def recognizes(payload: Payload) -> bool:
    return "entity" in payload.captures


SPEC = FormatSpec("homeassistant", "homeassistant/sensor/{entity}/+", ("entity",), homeassistant_format, recognizes)
