"""ESPHome: one value per message; the object id in the topic ends with the name of the field."""

from collections.abc import Mapping
from typing import Any

from bridge.core.formats.field_names import match_field
from bridge.core.formats.format import FormatSpec
from bridge.core.formats.scalar import parse_scalar


def esphome_format(payload: bytes, captures: Mapping[str, str]) -> Mapping[str, Any]:
    """Parse one value as the field of its object id: `living_room_temperature`, `pm_2_5m_concentration`, `co2_value`."""
    object_id = captures["object"]
    return {match_field(object_id) or object_id: parse_scalar(payload)}


SPEC = FormatSpec("esphome", "{deviceId}/sensor/{object}/state", ("deviceId", "object"), esphome_format)
