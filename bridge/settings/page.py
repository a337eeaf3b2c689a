"""What the page shows by default; each browser may choose otherwise."""

from typing import Annotated, Literal

from pydantic import BeforeValidator

from bridge.core.readings.units import unit_name
from bridge.settings.section import Section


def _unit(text: object) -> object:
    return unit_name(text) or text if isinstance(text, str) else text


class PageSettings(Section):
    """The units of temperatures, of pressures, and of the gases that are stored in ppb. Stored values keep their units."""

    temperature: Annotated[Literal["°C", "°F"], BeforeValidator(_unit)] = "°C"
    pressure: Annotated[Literal["hPa", "inHg", "mmHg"], BeforeValidator(_unit)] = "hPa"
    gases: Annotated[Literal["ppb", "µg/m³"], BeforeValidator(_unit)] = "ppb"

    def shown_unit(self, unit: str) -> str:
        """Return the unit in which values that are stored in `unit` are shown."""
        return {"°C": self.temperature, "hPa": self.pressure, "ppb": self.gases}.get(unit, unit)
