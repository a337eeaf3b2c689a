"""ESPHome: one value per message; the object id ends in the name of the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.core.formats.field_names import match_field
from bridge.core.formats.scalar import _one_value


def esphome_format(payload: bytes, named: Mapping[str, str]) -> Mapping[str, Any]:
    """One value; the object id names it: `living_room_temperature`, `pm_2_5m_concentration`, `co2_value`."""
    return {match_field(named["object"]) or named["object"]: _one_value(payload)}
