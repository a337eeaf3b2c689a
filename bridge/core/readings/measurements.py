"""The measurement model: every field with its unit, label and ranges, in one table.

The decoder, the stores, the HTTP API and the page all read `MEASUREMENTS`: to change a range or add a field, change only this
table. Its units and ranges are a wire contract.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from bridge.core.readings.failure_codes import failure, is_failure_code

_ANY = (-math.inf, math.inf)
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\s*", re.ASCII)
_NUMBER_LENGTH = 64
_YES = ("on", "true", "yes", "y", "alarm", "alert", "detected", "active", "triggered", "fire", "ja", "oui", "sí", "si", "да")
_NO = ("off", "false", "no", "n", "clear", "cleared", "normal", "ok", "idle", "inactive", "not detected", "nein", "non", "нет")
_FLAG_WORDS = dict.fromkeys(_YES, True) | dict.fromkeys(_NO, False)
"""Not `high` and `low`: modules with a digital output pull it low at a flame."""

Value = float | int | bool | str
Scalar = float | int | bool | str
"""A value that the bridge keeps without knowing its meaning."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One field of a reading.

    Outside `refuse` (inclusive bounds, in `unit`) a value is refused; outside `usual` it is accepted and flagged in
    `quality`. `clamp` moves an accepted value into `usual`. `aliases` are compared without case, `_`, `-` and `.`.
    A fraction strictly within `doubtful` is accepted and flagged with the text: it is more likely in another unit.
    Above `measurable`, the most that sensors show (None: the end of `usual`), the numbers of `failure_codes` and those in
    `codes` are accepted and flagged as a failure of the sensor. Up to there they are values: what may be true counts.
    """

    name: str
    label: str
    unit: str
    refuse: tuple[float, float]
    usual: tuple[float, float] = _ANY
    aliases: tuple[str, ...] = ()
    clamp: bool = False
    doubtful: tuple[float, float, str] | None = None
    measurable: float | None = None
    codes: tuple[float, ...] = ()

    @property
    def unflagged_range(self) -> tuple[float, float]:
        """Bounds within which `accept` returns any number unchanged and unflagged."""
        low = max(self.refuse[0], self.usual[0])
        return low if self.doubtful is None else self.doubtful[1], min(self.refuse[1], self.usual[1], self._measurable)

    @property
    def _measurable(self) -> float:
        return self.usual[1] if self.measurable is None else self.measurable

    def accept(self, raw: object, sent: object = None) -> tuple[Value | None, str | None]:
        """Return the accepted value (None: refused) and its fault (None: no fault). `sent` is the value before its conversion
        to the unit of the field, if there was one.
        """
        value = parse_number(raw)
        if value is None or not math.isfinite(value):
            return None, "not a number"
        low, high = self.refuse
        if not low <= value <= high:
            return None, range_text(self.refuse)
        if value > self._measurable and (code := self._code(value, sent)) is not None:
            return value, failure(code)
        low, high = self.usual
        if low <= value <= high:
            return value, self._doubt(value)
        if self.clamp:
            return min(max(value, low), high), f"{range_text(self.usual)}, clamped"
        return value, range_text(self.usual)

    def _code(self, value: float, sent: object) -> float | None:
        """Return the code that was sent in place of a value, None if none was."""
        if value in self.codes or is_failure_code(value):
            return value
        number = None if sent is None else parse_number(sent)
        return number if number is not None and is_failure_code(number) else None

    def _doubt(self, value: float) -> str | None:
        if self.doubtful is None:
            return None
        low, high, text = self.doubtful
        return text if low < value < high and not float(value).is_integer() else None


@dataclass(frozen=True, slots=True)
class Flag(Measurement):
    """A boolean: true/false, 1/0, or a word such as "ON", "yes" or "alarm"."""

    @property
    def unflagged_range(self) -> tuple[float, float]:
        """An empty range: no number is accepted unchanged."""
        return math.inf, -math.inf

    def accept(self, raw: object, sent: object = None) -> tuple[Value | None, str | None]:  # noqa: ARG002 - not a number
        """Return the accepted bool (None: refused) and its fault."""
        value = _FLAG_WORDS.get(" ".join(raw.lower().replace("_", " ").split())) if isinstance(raw, str) else None
        number = raw if isinstance(raw, bool) else parse_number(raw)
        if value is None and number in (0, 1):
            value = bool(number)
        return (None, "not true or false") if value is None else (value, None)


def range_text(bounds: tuple[float, float]) -> str:
    """Return the fault for a value outside a range: `outside 400..65000`."""
    return f"outside {bounds[0]:g}..{bounds[1]:.12g}"


def parse_number(raw: object) -> float | int | None:
    """Return a number, or the number in a text; None for any other value."""
    if type(raw) is float or type(raw) is int:
        return raw
    if not isinstance(raw, str) or len(raw) > _NUMBER_LENGTH or not _NUMBER.fullmatch(raw):
        return None
    value = float(raw)
    return int(value) if value.is_integer() and "." not in raw else value


_WORD = (0, 65535)
_PPM = (0, 1_000_000)

_GAS = 20_000
"""No code of a combustible gas is below: 6,553.5 ppm of methane are what a household detector shows at 15 % of the limit."""

_OF_SEN5X = (163.835, 163.84)  # 0x7FFF in units of 1/200 °C; Ruuvi's data format 5 has the same resolution
_OF_INDEX = (511,)  # Ruuvi, data format 6: nine bits; Sensirion's indices end at 500

_NOT_PPB = (0, 1, "below 1 ppb: probably in ppm or mg/m³, state its unit")
_NOT_PERCENT = (0, 1, "below 1 %: probably a fraction, state its unit")

MEASUREMENTS: tuple[Measurement, ...] = (
    Measurement("temperature", "Temperature", "°C", (-90, 200), (-40, 85), ("temp", "temperatura"), codes=_OF_SEN5X),
    Measurement("humidity", "Humidity", "%RH", (-5, 105), (0, 100), ("hum", "humedad"), clamp=True, doubtful=_NOT_PERCENT),
    Measurement("aqi", "Air quality index", "", (0, 999)),
    Measurement("eco2", "CO₂ equivalent", "ppm", _WORD, (400, 65000)),
    Measurement("tvoc", "Volatile organics", "ppb", _WORD, (0, 65000), doubtful=_NOT_PPB, measurable=10_000),
    Measurement("coPpm", "Carbon monoxide", "ppm", _PPM, (0, 1000), ("co",)),
    Measurement("ch4Ppm", "Methane", "ppm", _PPM, _PPM, ("ch4",), measurable=_GAS),
    Measurement("lpgPpm", "LPG", "ppm", _PPM, _PPM, ("lpg",), measurable=_GAS),
    Measurement("co2", "Carbon dioxide", "ppm", _PPM, (300, 10000)),
    Measurement("alcohol", "Alcohol", "ppm", _PPM, (0, 500)),
    Measurement("toluene", "Toluene", "ppm", _PPM, (0, 1000)),
    Measurement("acetone", "Acetone", "ppm", _PPM, (0, 5000)),
    Flag("flameDetected", "Flame", "", (0, 1)),
    Measurement("flameIntensity", "Flame intensity", "", (0, 4095)),
    Measurement("pm1", "PM1", "µg/m³", (0, 10000), (0, 1000)),
    Measurement("pm25", "PM2.5", "µg/m³", (0, 10000), (0, 1000)),
    Measurement("pm10", "PM10", "µg/m³", (0, 10000), (0, 1000)),
    Measurement("no2", "Nitrogen dioxide", "ppb", _PPM, (0, 20000), doubtful=_NOT_PPB),
    Measurement("o3", "Ozone", "ppb", _PPM, (0, 20000), ("ozone",), doubtful=_NOT_PPB),
    Measurement("so2", "Sulphur dioxide", "ppb", _PPM, (0, 20000), doubtful=_NOT_PPB),
    Measurement("pressure", "Pressure", "hPa", (100, 1200), (500, 1100), codes=(1155.35,)),
    Measurement(
        "battery", "Battery", "%", (0, 100), doubtful=(0, 5, "below 5 %: perhaps a fraction or in volts, state its unit")
    ),
    Measurement("vocIndex", "VOC index", "", (0, 1000), (1, 500), codes=_OF_INDEX),
    Measurement("noxIndex", "NOx index", "", (0, 1000), (1, 500), codes=_OF_INDEX),
    Measurement("hcho", "Formaldehyde", "ppb", _PPM, (0, 20000), ("formaldehyde", "ch2o"), doubtful=_NOT_PPB),
    Measurement("nh3", "Ammonia", "ppm", _PPM, (0, 1000), ("ammonia",)),
    Measurement("h2s", "Hydrogen sulphide", "ppm", _PPM, (0, 1000)),
    Measurement("h2", "Hydrogen", "ppm", _PPM, (0, 100_000), ("hydrogen",), measurable=_GAS),
    Measurement("radon", "Radon", "Bq/m³", _PPM, (0, 10_000)),
    Measurement("pm4", "PM4", "µg/m³", (0, 10000), (0, 1000)),
    Measurement("pm03Count", "Particles over 0.3 µm", "1/dl", (0, 10_000_000), (0, 1_000_000)),
    Measurement("illuminance", "Illuminance", "lx", (0, 1_000_000), (0, 200_000), ("lux",)),
    Measurement("noise", "Noise", "dB", (0, 200), (0, 140)),
    Measurement("batteryVoltage", "Battery voltage", "V", (0, 100), (0, 60)),
    Measurement("rssi", "Signal strength", "dBm", (-200, 50), (-130, 0)),
)
MEASUREMENTS_BY_NAME = {measurement.name: measurement for measurement in MEASUREMENTS}

AQI_SCALES: Mapping[str, tuple[float, float]] = {"uba": (1, 5), "epa": (0, 500)}
"""The scales of `aqi`: German UBA indoor classes, US EPA index."""

VALUE_NAMES: tuple[str, ...] = tuple(
    name for measurement in MEASUREMENTS for name in (measurement.name, *(["aqiScale"] * (measurement.name == "aqi")))
)
"""The possible keys of `Reading.values`, in the order they are stored and sent."""


def aqi_scale(aqi: float, scale: str | None) -> str:
    """Return the scale of an index: the device's, if given, else UBA up to 5 and EPA above."""
    return scale or ("uba" if aqi <= AQI_SCALES["uba"][1] else "epa")
