"""Units: numbers in a stated unit are converted to the unit of their field.

Gases: a fraction of the volume is converted from a concentration at 25 °C and 1013.25 hPa, where a mole of gas has 24.45 litres
(US EPA, 40 CFR 50). TVOC is a mixture: 1 ppb is 4.6 µg/m³, the ratio at which sensor makers convert the German levels of
1, 3 and 10 mg/m³ (220, 660 and 2,200 ppb).

Combustible gases: a percentage of the lower explosive limit (LEL) is converted by the limits of ISO/IEC 80079-20-1:2017, as the
default rules are: 20 %LEL of methane are 8,800 ppm, and raise the alarm for 20 %LEL. A detector with the older limit of 5.0 %
means 10,000 ppm by 20 %LEL, and the same alarm is raised.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from bridge.core.errors import UnitError
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME, parse_number

_MOLE_LITRES = 24.45
_MOLAR_MASS: Mapping[str, float] = {
    "coPpm": 28.010, "ch4Ppm": 16.043, "lpgPpm": 44.097, "co2": 44.009, "alcohol": 46.069, "toluene": 92.141,
    "acetone": 58.080, "no2": 46.006, "o3": 47.998, "so2": 64.066, "hcho": 30.026, "nh3": 17.031, "h2s": 34.081, "h2": 2.016,
    "tvoc": 4.6 * _MOLE_LITRES,
}  # fmt: skip
"""Grams per mole; LPG as propane."""

_LIMITS: Mapping[str, float] = {
    "ch4Ppm": 4.4, "lpgPpm": 1.4, "h2": 4.0, "coPpm": 10.9, "nh3": 15.0, "h2s": 4.0, "acetone": 2.5, "toluene": 1.0,
    "alcohol": 3.1,
}  # fmt: skip
"""Lower explosive limits in percent of the volume; LPG as butane, whose limit is lower than that of propane (1.7)."""

_ALIASES: Mapping[str, str] = {
    "°c": "°C", "c": "°C", "celsius": "°C", "degc": "°C", "degreec": "°C", "℃": "°C", "cel": "°C", "degreescelsius": "°C",
    "gradcelsius": "°C", "°с": "°C",  # the last with the Cyrillic letter
    "°f": "°F", "f": "°F", "fahrenheit": "°F", "degf": "°F", "degreef": "°F", "℉": "°F", "degreesfahrenheit": "°F",
    "k": "K", "kelvin": "K", "°k": "K",
    "%": "%", "%rh": "%", "rh": "%", "percent": "%", "percentage": "%", "pct": "%", "%r.h.": "%", "%vol": "%",
    "vol%": "%", "vol.%": "%", "vol-%": "%", "vol.-%": "%", "%vol.": "%", "%v/v": "%", "%(v/v)": "%", "v/v%": "%",
    "%lel": "%LEL", "lel%": "%LEL", "lel": "%LEL", "percentlel": "%LEL", "%lfl": "%LEL", "lfl": "%LEL", "%lie": "%LEL",
    "%ueg": "%LEL", "%нкпр": "%LEL",
    "ppm": "ppm", "ppb": "ppb", "partspermillion": "ppm", "partsperbillion": "ppb", "ppmv": "ppm", "ppbv": "ppb",
    "µg/m³": "µg/m³", "µg/m3": "µg/m³", "ug/m3": "µg/m³", "ug/m³": "µg/m³", "ugm3": "µg/m³", "ug": "µg/m³",
    "microgramspercubicmeter": "µg/m³", "mg/m³": "mg/m³", "mg/m3": "mg/m³", "mgm3": "mg/m³",
    "мкг/м³": "µg/m³", "мкг/м3": "µg/m³", "мг/м³": "mg/m³", "мг/м3": "mg/m³",
    "hpa": "hPa", "mbar": "hPa", "mb": "hPa", "millibar": "hPa", "pa": "Pa", "kpa": "kPa", "bar": "bar", "atm": "atm",
    "гпа": "hPa",
    "mmhg": "mmHg", "ммрт.ст.": "mmHg", "ммрт.ст": "mmHg", "torr": "mmHg", "inhg": "inHg", "psi": "psi",
    "v": "V", "volt": "V", "volts": "V", "mv": "mV",
    "lx": "lx", "lux": "lx", "klx": "klx", "db": "dB", "dba": "dB", "db(a)": "dB", "dbm": "dBm",
    "bq/m³": "Bq/m³", "bq/m3": "Bq/m³", "pci/l": "pCi/L",
    "1/dl": "1/dl", "#/dl": "1/dl", "#/0.1l": "1/dl", "particles/dl": "1/dl", "1/l": "1/l", "#/l": "1/l", "#/cm³": "1/cm³",
    "#/cm3": "1/cm³", "1/cm³": "1/cm³", "1/cm3": "1/cm³", "pt/cm³": "1/cm³",
    "1": "1", "aqi": "1", "index": "1", "uba": "1", "epa": "1", "fraction": "fraction", "/": "fraction", "ratio": "fraction",
}  # fmt: skip
"""Units by their spelling without blanks, in lower case; `%RH` and `%` are the same unit."""

_TO: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "°C": {"°C": (1, 0), "°F": (1 / 1.8, -32 / 1.8), "K": (1, -273.15)},
    "%RH": {"%": (1, 0), "fraction": (100, 0)},
    "%": {"%": (1, 0), "fraction": (100, 0)},
    "hPa": {
        "hPa": (1, 0), "Pa": (0.01, 0), "kPa": (10, 0), "bar": (1000, 0), "atm": (1013.25, 0), "mmHg": (1.33322387, 0),
        "inHg": (33.8638867, 0), "psi": (68.9475729, 0),
    },
    "µg/m³": {"µg/m³": (1, 0), "mg/m³": (1000, 0)},
    "V": {"V": (1, 0), "mV": (0.001, 0)},
    "lx": {"lx": (1, 0), "klx": (1000, 0)},
    "dB": {"dB": (1, 0)},
    "dBm": {"dBm": (1, 0), "dB": (1, 0)},
    "Bq/m³": {"Bq/m³": (1, 0), "pCi/L": (37, 0)},
    "1/dl": {"1/dl": (1, 0), "1/l": (0.1, 0), "1/cm³": (100, 0)},
}  # fmt: skip
"""Scale and offset to a field's unit, by stated unit. 1 pCi/L is 37 Bq/m³; mmHg, inHg and psi by NIST SP 811."""

_FRACTIONS: Mapping[str, Mapping[str, float]] = {
    "ppm": {"ppm": 1, "ppb": 0.001, "%": 10_000, "fraction": 1_000_000},
    "ppb": {"ppb": 1, "ppm": 1000, "%": 10_000_000, "fraction": 1_000_000_000},
}  # fmt: skip

_OTHER_FIELD: Mapping[tuple[str, str], str] = {
    ("battery", "V"): "batteryVoltage", ("battery", "mV"): "batteryVoltage", ("batteryVoltage", "%"): "battery",
    ("tvoc", "1"): "vocIndex",
}  # fmt: skip
"""The field of a quantity that the unit shows to be another one."""

_UNIT_LENGTH = 64  # longer texts are no units and are not cached
_QUANTITY = re.compile(r"([+-]?[\d.,]+(?:[eE][+-]?\d{1,3})?)\s*(\S.{0,31})?", re.DOTALL)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,(\d+)")


class Conversion(NamedTuple):
    """The field that a value belongs to, and the scale and offset to the unit of that field."""

    field: str
    scale: float
    offset: float

    def apply(self, number: float) -> float | int:
        """Return the converted number, rounded to 12 digits."""
        if self.scale == 1 and self.offset == 0:
            return number
        return float(f"{number * self.scale + self.offset:.12g}")

    def invert(self, value: float) -> float:
        """Return the number that was converted to `value`, rounded to 6 digits."""
        return float(f"{(value - self.offset) / self.scale:.6g}")


def unit_name(text: str) -> str | None:
    """Return the standard spelling of a unit, or None if it is not known."""
    return _unit_name(text) if len(text) <= _UNIT_LENGTH else None


@lru_cache(4096)
def _unit_name(text: str) -> str | None:
    plain = "".join(text.split()).replace("μ", "µ").replace("^3", "³").replace("**3", "³").replace("º", "°")
    return _ALIASES.get(plain.lower())


def conversion(field: str, unit: str) -> Conversion:
    """Return how a value in `unit` becomes a value of `field`, or of the field that its unit shows it to be.

    Raises `UnitError` for a unit that is unknown or of another quantity.
    """
    return _conversion(field, unit[: _UNIT_LENGTH + 1])


@lru_cache(4096)
def _conversion(field: str, unit: str) -> Conversion:
    name = unit_name(unit)
    if name is not None:
        field = _OTHER_FIELD.get((field, name), field)
        wanted = MEASUREMENTS_BY_NAME[field].unit
        if not wanted and name == "1":
            return Conversion(field, 1, 0)
        if name in _TO.get(wanted, {}):
            return Conversion(field, *_TO[wanted][name])
        if wanted in _FRACTIONS and (scale := _gas_scale(field, wanted, name)) is not None:
            return Conversion(field, scale, 0)
    raise UnitError(f"in unit {unit[:16]!a}, not one of {', '.join(units_of(field)) or 'none'}")


def _gas_scale(field: str, wanted: str, name: str) -> float | None:
    """Return the scale of a gas from `name` to `wanted`, ppm or ppb; None if there is none."""
    if name in _FRACTIONS[wanted]:
        return _FRACTIONS[wanted][name]
    if name == "%LEL" and field in _LIMITS:
        return _LIMITS[field] * _FRACTIONS[wanted]["%"] / 100
    if name not in ("µg/m³", "mg/m³") or field not in _MOLAR_MASS:
        return None
    ppb_of_microgram = _MOLE_LITRES / _MOLAR_MASS[field]
    return ppb_of_microgram * (1000 if name == "mg/m³" else 1) * (0.001 if wanted == "ppm" else 1)


def units_of(field: str) -> list[str]:
    """Return the units in which a field may be stated; the first is its own."""
    own = MEASUREMENTS_BY_NAME[field].unit
    if own in _FRACTIONS:
        return [
            *_FRACTIONS[own],
            *(("µg/m³", "mg/m³") if field in _MOLAR_MASS else ()),
            *(("%LEL",) if field in _LIMITS else ()),
        ]
    return list(_TO.get(own, ()))


def split_quantity(text: str) -> tuple[float | int | None, str | None]:
    """Return the number and the unit of a text such as `21.5`, `21,5` or `21.5 °C`; None if it has none.

    A comma before exactly three digits may separate thousands: such a number has no single meaning and counts as none. A value
    beyond the range of its sensor, `> 1000 ppm`, is at least the number.
    """
    text = text.strip(" \t\r\n\0")
    if text.startswith((">", "≥")):
        text = text.lstrip(">=≥ ")
    found = _QUANTITY.fullmatch(text)
    if found is None:
        return None, None
    digits, unit = found[1], found[2]
    comma = _DECIMAL_COMMA.fullmatch(digits)
    if comma is not None:
        digits = "" if len(comma[1]) == 3 else digits.replace(",", ".")
    return parse_number(digits), unit
