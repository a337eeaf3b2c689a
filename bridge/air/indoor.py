"""Guide values for indoor air, and what a sensor only estimates.

- CO2: German guide values, Ad-hoc-Arbeitsgruppe of Umweltbundesamt (UBA) and Länder, Bundesgesundheitsblatt 51 (2008) 1358:
  below 1,000 ppm harmless, up to 2,000 ppm elevated, above that unacceptable. NIOSH Pocket Guide: 5,000 ppm is the limit for a
  working day of up to 10 hours (for 8 hours in the limits of OSHA and of Directive 2006/15/EC), 30,000 ppm for 15 minutes,
  40,000 ppm is immediately dangerous to life. A single reading is compared with them: the word says what the air is, not that
  the time is over.
- TVOC: Bundesgesundheitsblatt 50 (2007) 990: five levels, ending at 0.3, 1, 3, 10 and 25 mg/m³. Sensor manufacturers give
  these as 65, 220, 660, 2,200 and 5,500 ppb. The conversion is theirs: it assumes the same mixture of substances in every room.
- The index 1 to 5 of some sensors (`aqiScale` "uba") is the manufacturer's estimate of the same five levels.
- The CO2 equivalent is computed by a sensor of organic compounds, which does not measure CO2: it is never rated as CO2, and
  says nothing beside the value it was computed from.
- Particles of the last 10 minutes have no standard: an index needs hours. The words are ours; the first threshold is where the
  US EPA's index for 24 hours becomes unhealthy, the second is what a smouldering fire or burnt food does to a room.
"""

from bisect import bisect_left
from collections.abc import Iterator

from bridge.air.assessment import HAZARD_ORDER, Assessment, Indicator, Rating, rated

_CO2_CLASSES = (
    (30_000, Rating(5, "level.co2.danger", "advice.co2.leave", HAZARD_ORDER)),
    (5_000, Rating(4, "level.co2.work", "advice.co2.work", 4)),
)
_CO2_UNACCEPTABLE = Rating(3, "level.co2.unacceptable", "advice.co2.unacceptable", 3)
_CO2_ELEVATED = Rating(2, "level.co2.elevated", "advice.co2.elevated", 2)
_CO2_HARMLESS = Rating(0, "level.co2.harmless", "advice.none", 0)
_CO2_ELEVATED_PPM, _CO2_UNACCEPTABLE_PPM = 1000, 2000

_TVOC_ENDS_PPB = (65, 220, 660, 2200)
"""The upper ends of levels 1 to 4. Anything above is level 5, even above its own end at 5,500."""
_LEVELS = tuple(
    Rating(level, f"level.uba.{level + 1}", "advice.none" if level == 0 else f"advice.uba.{level + 1}", level)
    for level in range(5)
)
_ECO2_RAISED_PPM = 1000
_ECO2_USUAL = Rating(0, "level.eco2.usual", "advice.none", 0)
_ECO2_RAISED = Rating(1, "level.eco2.raised", "advice.eco2.raised", 1)

_RECENT = (
    (250.0, Rating(4, "level.recent.smoke", "advice.recent.smoke", 4)),
    (55.5, Rating(3, "level.recent.high", "advice.recent.high", 3)),
    (0.0, Rating(0, "level.recent.usual", "advice.none", 0)),
)

_CO2 = Indicator("index.co2", "standard.ubaCo2", "co2", "unit.ppm", "averaging.latest", False)
_ECO2 = Indicator("index.eco2", "standard.estimate", "eco2", "unit.ppm", "averaging.latest", True, "caveat.eco2")
_TVOC = Indicator("index.tvoc", "standard.ubaTvoc", "tvoc", None, "averaging.latest", True, "caveat.tvoc")
_OWN_INDEX = Indicator("index.device.uba", "standard.ubaDevice", "aqi", None, "averaging.device", True, "caveat.deviceIndex")
_PM25_RECENT = Indicator(
    "index.pm25.recent", "standard.recent", "pm25", "unit.microgram", "averaging.minutes10", True, "caveat.particles"
)


def co2(ppm: float) -> Assessment:
    for start, rating in _CO2_CLASSES:
        if ppm >= start:
            return rated(_CO2, ppm, ppm, rating)
    if ppm > _CO2_UNACCEPTABLE_PPM:
        return rated(_CO2, ppm, ppm, _CO2_UNACCEPTABLE)
    return rated(_CO2, ppm, ppm, _CO2_ELEVATED if ppm >= _CO2_ELEVATED_PPM else _CO2_HARMLESS)


def eco2(ppm: float) -> Assessment:
    return rated(_ECO2, ppm, ppm, _ECO2_RAISED if ppm >= _ECO2_RAISED_PPM else _ECO2_USUAL)


def tvoc(ppb: float) -> Assessment:
    level = bisect_left(_TVOC_ENDS_PPB, ppb)
    return rated(_TVOC, level + 1, ppb, _LEVELS[level])


def own_index(index: float) -> Assessment | None:
    """Assess an index that the device computed; None if it is not one of the levels 1 to 5."""
    if index not in (1, 2, 3, 4, 5):
        return None
    return rated(_OWN_INDEX, index, index, _LEVELS[int(index) - 1])


def recent_particles(mean: float) -> Assessment:
    """Assess the mean of PM2.5 over the last 10 minutes."""
    value = round(mean, 1)
    return next(rated(_PM25_RECENT, value, value, rating) for start, rating in _RECENT if value >= start)


def classes() -> Iterator[tuple[Indicator, list[tuple[float, Rating]]]]:
    """Yield where each class begins, in the unit of the field. "Unacceptable" begins just above its limit."""
    co2_classes = [(0.0, _CO2_HARMLESS), (_CO2_ELEVATED_PPM, _CO2_ELEVATED), (_CO2_UNACCEPTABLE_PPM, _CO2_UNACCEPTABLE)]
    yield _CO2, [*co2_classes, *reversed(_CO2_CLASSES)]
    yield _TVOC, list(zip((0.0, *_TVOC_ENDS_PPB), _LEVELS, strict=True))
    yield _ECO2, [(0.0, _ECO2_USUAL), (_ECO2_RAISED_PPM, _ECO2_RAISED)]
    yield _PM25_RECENT, list(reversed(_RECENT))
    yield _OWN_INDEX, [(float(level + 1), rating) for level, rating in enumerate(_LEVELS)]
