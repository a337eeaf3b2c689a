"""The default rules, each with its source.

Limits are those of the sources, in the unit of the field; an alarm is raised *at* its limit and over *at* its clear limit.
Delays, clear limits, priorities, and every rule whose source is "ours" are this project's choice. Rules off at first are in no
profile but `workplace`, where the source is a limit at work.

- Carbon monoxide: EN 50291-1 (dose); NIOSH Pocket Guide, ceiling 200 ppm; US EPA index, 8 hours: "moderate" ends at 9.4 ppm,
  and as the mean is truncated to one decimal place, "unhealthy for sensitive groups" begins at 9.5; Directive (EU) 2017/164,
  20 ppm over 8 hours at work.
- Gas: 10 and 20 % of the lower explosive limit by ISO/IEC 80079-20-1:2017, LPG as butane.
- Heat: the static response of heat detectors is 54 to 65 °C in class A1 of EN 54-5, 57 °C (135 °F) for ordinary ones in UL 521.
- Carbon dioxide: NIOSH Pocket Guide, 5,000 ppm for a working day and 30,000 ppm for 15 minutes. The alarms do not wait as long:
  15 minutes at the first, two of three readings at the second, because 40,000 ppm is immediately dangerous to life. UBA 2008,
  1,000 and 2,000 ppm.
- Particles: US EPA 2024, "unhealthy" and "very unhealthy" by NowCast; 250 µg/m³ in 10 minutes is ours.
- NO2 and SO2: WHO 2021, 200 µg/m³ in an hour (106 ppb) and 500 µg/m³ in 10 minutes (191 ppb), at 25 °C as the WHO converts. O3:
  Directive (EU) 2024/2881, information at 180 µg/m³ (90 ppb) and alert at 240 µg/m³ (120 ppb) in an hour, at 20 °C as the
  directive and the European index convert. All clear 20 % below.
- Solvents over 8 hours at work. Toluene: Directive 2006/15/EC, 50 ppm. Acetone: Directive 2000/39/EC, 500 ppm. Ethanol: NIOSH,
  1,000 ppm, there for a working day of up to 10 hours. TVOC: UBA 2007, level 5 from 10 mg/m³ (2,200 ppb).
- A value that does not change is suspicious only in fields that never rest: clean air is 0 ppm of carbon monoxide for days.

Never an alarm: the CO2 equivalent and a sensor's own index, which estimate what they do not measure.
"""

from collections.abc import Mapping
from dataclasses import replace

from bridge.alarms.conditions import (
    Above,
    Below,
    ClockWrong,
    Dose,
    FlaggedShare,
    Is,
    Mean,
    Missing,
    NowCast,
    Silence,
    Unchanged,
    Unreachable,
)
from bridge.alarms.rules import Priority, Rule, Standard

_CRITICAL, _HIGH, _MEDIUM, _LOW = Priority.CRITICAL, Priority.HIGH, Priority.MEDIUM, Priority.LOW
_QUARTER, _TEN, _HOUR, _EIGHT_HOURS = Mean(15), Mean(10), Mean(60), Mean(480)

_EN_CO = Standard("standard.enCo", "EN 50291-1")
_NIOSH = Standard("standard.niosh", "NIOSH Pocket Guide to Chemical Hazards")
_EPA = Standard("standard.epaAqi", "US EPA air quality index, 2024")
_EPA_NOWCAST = Standard("standard.epaNowCast", "US EPA NowCast, 2024")
_METHANE = Standard("standard.isoMethane", "ISO/IEC 80079-20-1:2017, methane 4.4 %")
_BUTANE = Standard("standard.isoButane", "ISO/IEC 80079-20-1:2017, butane 1.4 %")
_HEAT = Standard("standard.heat", "EN 54-5, UL 521")
_UBA_CO2 = Standard("standard.ubaCo2", "UBA 2008")
_UBA_TVOC = Standard("standard.ubaTvoc", "UBA 2007")
_WHO = Standard("standard.who2021", "WHO global air quality guidelines, 2021")
_EU_AIR = Standard("standard.euAir", "Directive (EU) 2024/2881")
_EU_WORK = Standard("standard.euWork", "Indicative occupational exposure limits of the EU")
_OURS = Standard("standard.ours", "Sensor Bridge")

_LEAVE_CO = "Everyone out now. Open windows and doors on your way, and call the emergency services from outside."
_AIR_CO = (
    "Open the windows and turn off stoves, boilers, engines and grills. If anyone has a headache or feels sick, "
    "leave and call a doctor."
)
_LEAVE_GAS = "No flame, no switch, no phone indoors. Everyone out now. Call the gas emergency service from outside."
_AIR_GAS = (
    "No flame, no switch. Open the windows, close the gas valve, and have the leak found. Leave if the smell gets stronger."
)
_FIRE = "Look from a safe distance. If there is a fire, leave and call the emergency services."
_AIR = "Air the room."
_POLLUTANT = "If the source is indoors, remove it and air the room. If it is outdoors, close the windows."
_PARTICLES = (
    "If the source is indoors, remove it and air the room. If it is outdoors, close the windows and run an air purifier."
)
_LOOK_AT_SENSOR = "Check the sensor: its power, its connection, its place."
_WORK = "Air the room, stay out of it as far as you can, and find the source."

_CO_RULES = (
    Rule(
        id="co-ceiling",
        field="coPpm",
        condition=Above(200, 150),
        two_of_three=True,
        priority=_CRITICAL,
        latched=True,
        standard=_NIOSH,
        indicative=True,
        message="Carbon monoxide {value} at {place}",
        advice=_LEAVE_CO,
    ),
    Rule(
        id="co-dose",
        field="coPpm",
        condition=Dose(),
        off_delay_seconds=300,
        priority=_CRITICAL,
        latched=True,
        standard=_EN_CO,
        indicative=True,
        message="Carbon monoxide for too long, now {value}, at {place}",
        advice=_LEAVE_CO,
    ),
    Rule(
        id="co-8h",
        field="coPpm",
        condition=Above(9.5, 8),
        averaging=_EIGHT_HOURS,
        priority=_MEDIUM,
        standard=_EPA,
        indicative=True,
        suppressed_by=("co-ceiling", "co-dose", "co-work"),
        message="Carbon monoxide {value} over 8 hours at {place}",
        advice=_AIR_CO,
    ),
    Rule(
        id="co-work",
        field="coPpm",
        condition=Above(20, 16),
        averaging=_EIGHT_HOURS,
        priority=_HIGH,
        standard=_EU_WORK,
        indicative=True,
        suppressed_by=("co-ceiling", "co-dose"),
        message="Carbon monoxide {value} over 8 hours at {place}",
        advice=_WORK,
    ),
)


def _gas(name: str, field: str, low: float, standard: Standard, what: str) -> tuple[Rule, Rule]:
    """Return the rules at 20 and 10 % of a lower explosive limit, which clear at 16 and 8 %."""
    message = f"{what} {{value}} at {{place}}"
    high = Rule(
        id=f"{name}-high",
        field=field,
        condition=Above(2 * low, 1.6 * low),
        two_of_three=True,
        priority=_CRITICAL,
        latched=True,
        standard=standard,
        indicative=True,
        message=message,
        advice=_LEAVE_GAS,
    )
    return high, replace(
        high,
        id=f"{name}-low",
        condition=Above(low, 0.8 * low),
        priority=_HIGH,
        latched=False,
        advice=_AIR_GAS,
        suppressed_by=(high.id,),
    )


_FIRE_RULES = (
    Rule(
        id="flame",
        field="flameDetected",
        condition=Is(value=True),
        two_of_three=True,
        off_delay_seconds=60,
        priority=_CRITICAL,
        latched=True,
        standard=_OURS,
        indicative=True,
        message="Flame detected at {place}",
        advice=_FIRE,
    ),
    Rule(
        id="heat",
        field="temperature",
        condition=Above(57, 50),
        two_of_three=True,
        priority=_HIGH,
        standard=_HEAT,
        indicative=True,
        message="Heat: {value} at {place}",
        advice=f"{_FIRE} If not, move the sensor away from the heat.",
    ),
)
_CO2_RULES = (
    Rule(
        id="co2-danger",
        field="co2",
        condition=Above(30_000, 20_000),
        two_of_three=True,
        priority=_CRITICAL,
        latched=True,
        standard=_NIOSH,
        message="Carbon dioxide {value} at {place}",
        advice="Everyone out now. Do not go back in, not even to help someone: call the emergency services.",
    ),
    Rule(
        id="co2-work",
        field="co2",
        condition=Above(5000, 4500),
        averaging=_QUARTER,
        priority=_HIGH,
        standard=_NIOSH,
        suppressed_by=("co2-danger",),
        message="Carbon dioxide {value} over 15 minutes at {place}",
        advice="Air the room, stay out until the value has fallen, and find the source.",
    ),
    Rule(
        id="co2-air",
        field="co2",
        condition=Above(2000, 1700),
        averaging=_TEN,
        priority=_LOW,
        standard=_UBA_CO2,
        suppressed_by=("co2-work", "co2-danger"),
        message="Stale air at {place}: carbon dioxide {value}",
        advice=_AIR,
    ),
    Rule(
        id="co2-1000",
        field="co2",
        condition=Above(1000, 850),
        averaging=_TEN,
        priority=_LOW,
        standard=_UBA_CO2,
        suppressed_by=("co2-air", "co2-work", "co2-danger"),
        message="Carbon dioxide {value} at {place}",
        advice=_AIR,
    ),
)
_PARTICLE_RULES = (
    Rule(
        id="pm25-smoke",
        field="pm25",
        condition=Above(250, 150),
        averaging=_TEN,
        priority=_HIGH,
        standard=_OURS,
        indicative=True,
        message="Smoke? PM2.5 {value} at {place}",
        advice=f"It may be burnt food, or a fire. {_FIRE}",
    ),
    Rule(
        id="pm25-very-unhealthy",
        field="pm25",
        condition=Above(125.5, 100),
        averaging=NowCast(),
        priority=_HIGH,
        standard=_EPA_NOWCAST,
        indicative=True,
        suppressed_by=("pm25-smoke",),
        message="Very unhealthy air at {place}: PM2.5 {value}",
        advice=_PARTICLES,
    ),
    Rule(
        id="pm25-unhealthy",
        field="pm25",
        condition=Above(55.5, 45),
        averaging=NowCast(),
        priority=_MEDIUM,
        standard=_EPA_NOWCAST,
        indicative=True,
        suppressed_by=("pm25-very-unhealthy", "pm25-smoke"),
        message="Unhealthy air at {place}: PM2.5 {value}",
        advice=_PARTICLES,
    ),
)


def _pollutant(rule_id: str, field: str, limit: float, averaging: Mean, standard: Standard, what: str) -> Rule:
    return Rule(
        id=rule_id,
        field=field,
        condition=Above(limit, round(0.8 * limit, 1)),
        averaging=averaging,
        priority=_MEDIUM,
        standard=standard,
        indicative=True,
        message=f"{what} {{value}} at {{place}}",
        advice=_POLLUTANT,
    )


_GAS_RULES = (
    _pollutant("no2", "no2", 106, _HOUR, _WHO, "Nitrogen dioxide"),
    replace(_pollutant("o3-high", "o3", 120, _HOUR, _EU_AIR, "Ozone"), priority=_HIGH),
    replace(_pollutant("o3", "o3", 90, _HOUR, _EU_AIR, "Ozone"), suppressed_by=("o3-high",)),
    _pollutant("so2", "so2", 191, _TEN, _WHO, "Sulphur dioxide"),
)
_WORK_RULES = (
    replace(_pollutant("toluene", "toluene", 50, _EIGHT_HOURS, _EU_WORK, "Toluene"), advice=_WORK),
    replace(_pollutant("acetone", "acetone", 500, _EIGHT_HOURS, _EU_WORK, "Acetone"), advice=_WORK),
    replace(_pollutant("alcohol", "alcohol", 1000, _EIGHT_HOURS, _NIOSH, "Alcohol"), advice=_WORK, priority=_LOW),
)
_TVOC = replace(_pollutant("tvoc", "tvoc", 2200, _HOUR, _UBA_TVOC, "Volatile organics"), advice=_AIR, priority=_LOW)

_DEVICE_RULES = (
    Rule(
        id="no-data",
        condition=Silence(),
        priority=_MEDIUM,
        critical_fields_priority=_HIGH,
        standard=_OURS,
        message="No data from {place}",
        advice=_LOOK_AT_SENSOR,
    ),
    Rule(
        id="missing",
        condition=Missing(),
        priority=_HIGH,
        standard=_OURS,
        message="A gas value is missing from {place}",
        advice=_LOOK_AT_SENSOR,
    ),
    Rule(
        id="quality",
        condition=FlaggedShare(),
        priority=_LOW,
        standard=_OURS,
        message="Implausible values from {place}",
        advice=_LOOK_AT_SENSOR,
    ),
    Rule(
        id="battery",
        field="battery",
        condition=Below(15, 20),
        priority=_LOW,
        standard=_OURS,
        message="Battery {value} at {place}",
        advice="Change or charge the battery.",
    ),
    Rule(
        id="clock",
        condition=ClockWrong(),
        priority=_LOW,
        critical_fields_priority=_HIGH,
        standard=_OURS,
        message="The clock at {place} is wrong",
        advice="Set the clock of the device: while it is behind, its readings raise no alarm.",
    ),
    *(
        Rule(
            id=f"stuck-{field}",
            field=field,
            condition=Unchanged(24),
            priority=_LOW,
            standard=_OURS,
            message="No change for 24 hours: {value} at {place}",
            advice=_LOOK_AT_SENSOR,
        )
        for field in ("temperature", "humidity", "co2", "pressure")
    ),
)

_BRIDGE_RULES = tuple(
    Rule(
        id=f"{component}-unavailable",
        condition=Unreachable(component),
        priority=_HIGH,
        standard=_OURS,
        message=f"The {component} is unavailable",
        advice=advice,
    )
    for component, advice in (
        ("store", "Readings wait in memory and in the broker. Check the database."),
        ("broker", "No readings arrive by MQTT. Check the broker and the network."),
    )
)

_OFF_AT_FIRST = frozenset({"co2-1000", "tvoc", "toluene", "acetone", "alcohol", "co-work"})
_AT_WORK = frozenset({"toluene", "acetone", "alcohol", "co-work"})

DEFAULT_RULES: tuple[Rule, ...] = (
    *_CO_RULES,
    *_gas("ch4", "ch4Ppm", 4400, _METHANE, "Methane"),
    *_gas("lpg", "lpgPpm", 1400, _BUTANE, "LPG"),
    *_FIRE_RULES,
    *_CO2_RULES,
    *_PARTICLE_RULES,
    *_GAS_RULES,
    *_WORK_RULES,
    _TVOC,
    *_DEVICE_RULES,
    *_BRIDGE_RULES,
)
"""All default rules, those that are off at first included."""

PROFILES: Mapping[str, frozenset[str]] = {
    "home": frozenset(rule.id for rule in DEFAULT_RULES) - _OFF_AT_FIRST,
    "workplace": frozenset(rule.id for rule in DEFAULT_RULES) - _OFF_AT_FIRST | _AT_WORK,
    "none": frozenset(),
}
"""The ids of the rules that each profile turns on."""


def profile_rules(profile: str) -> list[Rule]:
    """Return the default rules of a profile; raises `KeyError` if there is no such profile."""
    return [rule for rule in DEFAULT_RULES if rule.id in PROFILES[profile]]
