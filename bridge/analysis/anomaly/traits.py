"""What is known of each field before its first reading: the ends of ranges, values at rest, inertia, and how it is compared.

- `ends`: numbers at which common sensors stop, from their data sheets: CO2 2,000, 5,000 (MH-Z19), 9,999, 10,000, 40,000 (SCD30,
  SCD4x) ppm; particles 999, 999.9 (SDS011), 1,000 (PMS5003) µg/m³; CCS811 1,187 ppb and 8,192 ppm, SGP30 57,330 ppm and
  60,000 ppb, ENS160 65,000; CO 500, 999, 1,000 ppm; BH1750 54,612.5 lx; DS18B20 and BMP280 85 °C, SHT 125 °C; BMP280 300 and
  1,100 hPa; Sensirion's indices 500. Besides them, every value outside the usual range of the field.
- `rests`: values at which the quantity itself, or the sensor by design, stays for days: 0 unless stated.
- `least_step`: the smallest jump between two readings that the quantity cannot make by itself: air, walls and housings have
  inertia. `least_cross`: as much, where another field jumps at the same time. None: the field may jump at any time (gas,
  particles, light, sound).
- `scale`: how the daily levels of neighbours are compared: `LOG` for concentrations, since sensitivity is a factor;
  `LINEAR` where an offset is the usual error; None for what differs by place. `offset` is added before the logarithm: below it
  a low-cost sensor shows noise. `least_sigma` is the smallest standard deviation: two low-cost sensors wander against each
  other by a tenth. `prior` is a usual variance of the daily level, by which a pair of neighbours begins with a slope of 1.

Inertia, offsets, deviations and priors are this project's choice, from the data sets of `make bench ARGS='anomalies'`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME, Flag


class Comparison(StrEnum):
    LOG = "log"
    LINEAR = "linear"


@dataclass(frozen=True, slots=True)
class FieldTraits:
    """Of one field; numbers in its unit. `refuse` and `usual` are those of its measurement, inclusive."""

    refuse: tuple[float, float]
    usual: tuple[float, float]
    ends: frozenset[float] = frozenset()
    rests: frozenset[float] = frozenset((0.0,))
    warms_up: bool = False
    least_step: float | None = None
    least_cross: float | None = None
    scale: Comparison | None = None
    offset: float = 0.0
    least_sigma: float = 0.1
    prior: float = 0.5
    end_minutes: int = 10

    @property
    def first_end(self) -> float:
        """The lowest value that may be an upper end of the range."""
        return min((one for one in (*self.ends, self.usual[1]) if one > self.usual[0]), default=inf)

    def is_at_end(self, value: float) -> bool:
        """Whether a value is at an end of the range or beyond; one at rest is not."""
        if value in self.rests:
            return False
        low, high = self.usual
        return value in self.ends or value >= high or value <= low


def _of(name: str, *, ends: tuple[float, ...] = (), rests: tuple[float, ...] = (0.0,), **more: object) -> FieldTraits:
    measurement = MEASUREMENTS_BY_NAME[name]
    low, high = measurement.usual
    usual = (low if low > -inf else measurement.refuse[0], high if high < inf else measurement.refuse[1])
    return FieldTraits(measurement.refuse, usual, frozenset(ends), frozenset(rests), **more)  # type: ignore[arg-type]


_LOG: dict[str, object] = {"scale": Comparison.LOG}
_PARTICLES: dict[str, object] = {"ends": (999.0, 999.9, 1000.0), "offset": 3.0, **_LOG}
_GAS: dict[str, object] = {"warms_up": True}
_AMBIENT: dict[str, object] = {"warms_up": True, "offset": 2.0, **_LOG}
_METAL_OXIDE: dict[str, object] = {"warms_up": True, "offset": 20.0, **_LOG}

_OTHERS: Mapping[str, dict[str, object]] = {
    "temperature": {
        "ends": (125.0,), "rests": (), "least_step": 3.0, "least_cross": 1.0, "scale": Comparison.LINEAR, "least_sigma": 0.3,
        "prior": 1.0,
    },
    "humidity": {
        "rests": (), "least_step": 15.0, "least_cross": 5.0, "scale": Comparison.LINEAR, "least_sigma": 1.5, "prior": 10.0,
        "end_minutes": 60,
    },
    "pressure": {
        "ends": (300.0, 1100.0), "rests": (), "least_step": 3.0, "least_cross": 1.0, "scale": Comparison.LINEAR,
        "least_sigma": 0.3, "prior": 1.0,
    },
    "co2": {
        "ends": (2000.0, 5000.0, 9999.0, 10_000.0, 40_000.0), "rests": (400.0,), "least_step": 500.0, "least_cross": 200.0,
        "warms_up": True, "offset": 20.0, **_LOG,
    },
    "eco2": {"ends": (8192.0, 57_330.0, 60_000.0, 65_000.0), "rests": (400.0,), **_METAL_OXIDE},
    "tvoc": {"ends": (1187.0, 60_000.0, 65_000.0), **_METAL_OXIDE},
    "coPpm": {"ends": (500.0, 999.0, 1000.0), **_GAS},
    "ch4Ppm": {"ends": (10_000.0, 20_000.0), **_GAS},
    "lpgPpm": {"ends": (10_000.0, 20_000.0), **_GAS},
    **dict.fromkeys(("alcohol", "toluene", "acetone", "nh3", "h2s", "h2"), _GAS),
    **dict.fromkeys(("pm1", "pm25", "pm4", "pm10"), _PARTICLES),
    "pm03Count": {"ends": (65_535.0,), "offset": 100.0, **_LOG},
    **dict.fromkeys(("no2", "o3", "so2"), _AMBIENT),
    "hcho": {"warms_up": True, "offset": 5.0, **_LOG},
    "radon": {"offset": 20.0, "least_sigma": 0.15, **_LOG},
    "vocIndex": {"ends": (500.0,), "rests": (0.0, 1.0, 100.0), **_GAS},
    "noxIndex": {"ends": (500.0,), "rests": (0.0, 1.0), **_GAS},
    "illuminance": {"ends": (54_612.0, 54_612.5, 65_535.0, 83_865.6)},
    "noise": {},
}  # fmt: skip

_UNJUDGED = ("battery", "batteryVoltage", "rssi", "flameIntensity", "aqi")
"""What a device reports of itself, the index that it computes, and the end of the scale that means no flame."""

TRAITS: Mapping[str, FieldTraits] = {
    name: _of(name, **_OTHERS.get(name, {}))  # type: ignore[arg-type]
    for name, measurement in MEASUREMENTS_BY_NAME.items()
    if not isinstance(measurement, Flag) and name not in _UNJUDGED
}
"""The fields that are judged."""

ELEMENTS: tuple[frozenset[str], ...] = (
    frozenset({"temperature", "humidity", "pressure", "co2"}),
    frozenset({"pm1", "pm25", "pm4", "pm10", "pm03Count"}),
    frozenset({"eco2", "tvoc"}),
    frozenset({"vocIndex", "noxIndex"}),
    frozenset({"coPpm", "ch4Ppm", "lpgPpm", "alcohol", "toluene", "acetone", "nh3", "h2s", "h2"}),
    frozenset({"no2", "o3", "so2"}),
)
"""Fields that usually come from one sensor element or its board."""
