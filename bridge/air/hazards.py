"""Immediate hazards: flames, gas as a percentage of its lower explosive limit (LEL), and carbon monoxide.

The limits are from ISO/IEC 80079-20-1:2017: methane 4.4 % by volume, propane 1.7 %, n-butane 1.4 %. American tables give
5.0, 2.1 and 1.8 %. The lower limit gives the higher percentage, so it errs on the safe side. LPG is propane, butane or a
mixture; a sensor cannot tell them apart, so LPG is treated as butane. Gas detectors usually raise a first alarm at 10 % of
the limit and a second at 20 to 25 %.

Carbon monoxide: in EN 50291-1 an alarm must not sound below 30 ppm, nor at 30 ppm before 120 minutes; it sounds at 50 ppm
between 60 and 90 minutes, at 100 ppm between 10 and 40, at 300 ppm within 3. So a single reading says how dangerous the air
would become, and the dose says how dangerous it is. NIOSH: nobody may be exposed to more than 200 ppm at any time; 1,200
ppm is immediately dangerous to life.
"""

from collections.abc import Sequence
from dataclasses import replace

from bridge.air.assessment import FLAME_ORDER, HAZARD_ORDER, MAX_LEVEL, Assessment, Indicator, Rating, rated

LOWER_LIMIT_PPM = {"ch4Ppm": 44_000, "lpgPpm": 14_000}

_GAS: Sequence[tuple[float, Rating]] = (
    (100, Rating(MAX_LEVEL, "level.lel.explosive", "advice.lel.leave", HAZARD_ORDER)),
    (20, Rating(MAX_LEVEL, "level.lel.second", "advice.lel.leave", HAZARD_ORDER)),
    (10, Rating(3, "level.lel.first", "advice.lel.air", 3)),
    (0, Rating(0, "level.lel.below", "advice.none", 0)),
)
_CO: Sequence[tuple[float, Rating]] = (
    (300, Rating(MAX_LEVEL, "level.co.300", "advice.co.call", HAZARD_ORDER)),
    (200, Rating(MAX_LEVEL, "level.co.200", "advice.co.call", HAZARD_ORDER)),
    (100, Rating(MAX_LEVEL, "level.co.100", "advice.co.leave", 5)),
    (50, Rating(3, "level.co.50", "advice.co.sensitive", 3)),
    (30, Rating(2, "level.co.30", "advice.co.source", 2)),
    (0, Rating(0, "level.co.below", "advice.none", 0)),
)
_DOSE: Sequence[tuple[float, Rating]] = (
    (100, Rating(MAX_LEVEL, "level.dose.reached", "advice.co.call", HAZARD_ORDER)),
    (50, Rating(3, "level.dose.half", "advice.co.sensitive", 3)),
    (1, Rating(2, "level.dose.rising", "advice.co.source", 2)),
    (0, Rating(0, "level.dose.none", "advice.none", 0)),
)
_FLAME = (
    Rating(0, "level.flame.none", "advice.none", 0),
    Rating(MAX_LEVEL, "level.flame.detected", "advice.flame", FLAME_ORDER),
)

_GASES = {
    "ch4Ppm": Indicator(
        "index.lel.ch4", "standard.isoMethane", "ch4Ppm", "unit.lel", "averaging.latest", True, "caveat.gasSensor"
    ),
    "lpgPpm": Indicator("index.lel.lpg", "standard.isoButane", "lpgPpm", "unit.lel", "averaging.latest", True, "caveat.lpg"),
}
EN_STANDARD = "standard.enCo"
UL_STANDARD = "standard.ulCo"
_CO_NOW = Indicator("index.co.now", EN_STANDARD, "coPpm", "unit.ppm", "averaging.latest", True, "caveat.gasSensor")
_CO_DOSE = Indicator("index.co.dose", EN_STANDARD, "coPpm", "unit.percent", "averaging.dose", True, "caveat.dose")
_FLAME_NOW = Indicator("index.flame", "standard.flame", "flameDetected", None, "averaging.latest", True, "caveat.flameSensor")

CLASSES: Sequence[tuple[Indicator, Sequence[tuple[float, Rating]]]] = (
    *((indicator, _GAS) for indicator in _GASES.values()),
    (_CO_NOW, _CO),
)
"""The classes of single values, the worst first: of gases in percent of the lower limit, of carbon monoxide in ppm."""


def explosive_gas(field: str, ppm: float) -> Assessment:
    """Assess ch4Ppm or lpgPpm; the value is the percentage of the lower explosive limit."""
    percent = ppm * 100 / LOWER_LIMIT_PPM[field]
    return rated(_GASES[field], percent, ppm, _class_of(_GAS, percent))


def carbon_monoxide(ppm: float) -> Assessment:
    return rated(_CO_NOW, ppm, ppm, _class_of(_CO, ppm))


def carbon_monoxide_dose(dose: float, ppm: float, minutes_left: float | None = None, standard: str = EN_STANDARD) -> Assessment:
    """Assess the dose of carbon monoxide: at 1 an alarm of the standard sounds. The value is in percent of that."""
    percent = round(dose * 100)
    rating = _class_of(_DOSE, percent if minutes_left is None else max(percent, 1))  # one that grows is not none
    indicator = replace(_CO_DOSE, standard=standard)
    return replace(rated(indicator, percent, ppm, rating), minutes_left=minutes_left)


def flame(detected: bool) -> Assessment:
    return rated(_FLAME_NOW, detected, detected, _FLAME[detected])


def _class_of(classes: Sequence[tuple[float, Rating]], value: float) -> Rating:
    return next(rating for start, rating in classes if value >= start)
