"""The scenarios: each tells of one physical event.

Numbers without a source are ours, chosen such that the time of each alarm follows from them by hand. `docs/alarms.md` lists
the alarms that follow with the default rules.
"""

from collections.abc import Callable, Iterable, Mapping
from heapq import merge
from math import exp, sin

from bridge.core.readings.measurements import Value
from bridge.tools.scenarios.scenario import AlarmScenario, ScenarioReading

_Values = dict[str, Value]


def _measured(device_id: str, times: Iterable[float], values: Callable[[float], _Values]) -> list[ScenarioReading]:
    return [ScenarioReading(device_id, at, values(at)) for at in times]


def _scenario(*devices: list[ScenarioReading], outage: tuple[float, float] | None = None) -> AlarmScenario:
    return AlarmScenario(tuple(merge(*devices, key=lambda one: one.at_seconds)), outage)


def leak() -> AlarmScenario:
    """Methane in a kitchen rises through 10 and 20 % of the lower explosive limit, then the windows are opened.

    A torn hose lets 1 l/s of gas into a kitchen of 25 m³, where it mixes: 40 ppm more each second. After 250 s somebody smells
    it, closes the valve and opens windows and door: 30 changes of air an hour, a time constant of 120 s.
    """

    def values(at: float) -> _Values:
        methane = 40 * (at - 30) if at <= 280 else 10_000 * exp((280 - at) / 120)
        return {"ch4Ppm": round(max(methane, 2)), "temperature": 21.4, "humidity": 48}

    return _scenario(_measured("leak-kitchen", range(0, 601, 10), values))


def co_build_up() -> AlarmScenario:
    """Carbon monoxide of a faulty water heater rises slowly past 200 ppm, then the house is aired.

    The flue is blocked: 12 l of carbon monoxide an hour, half of what 24 m³ of flue gas with 1,000 ppm carry, in 50 m³: 4 ppm
    more each minute. At 220 ppm the heater is off and the windows are open: 12 changes of air an hour.
    """

    def values(at: float) -> _Values:
        ppm = max(at - 60, 0) / 15 if at <= 3360 else 220 * exp((3360 - at) / 300)
        return {"coPpm": round(ppm, 1), "temperature": 23.1}

    return _scenario(_measured("co-build-up-bathroom", range(0, 4501, 30), values))


def sun_on_flame() -> AlarmScenario:
    """The low sun shines on a flame sensor: glints between leaves, then twice for longer.

    Flame modules are photodiodes for 760 to 1,100 nm and see the sun as well. Two readings of three are enough for an alarm: a
    real flame must not wait for a third. So a glint is filtered, and two true readings within 10 s are not.
    """
    sunny = {60, 120, 135, 300, 305, 600, 610}

    def values(at: float) -> _Values:
        return {"flameDetected": at in sunny, "illuminance": 60_000 if at in sunny else 8_000}

    return _scenario(_measured("sun-on-flame-hall", range(0, 781, 5), values))


def flapping() -> AlarmScenario:
    """LPG around the limit of 1,400 ppm: first noise of the sensor at it, then gusts of a fan.

    A gas bottle leaks in a garage. At first the air is still at 1,400 ppm, with 20 ppm of noise. Aired and closed again, a fan
    turns to the sensor every 15 s and takes the gas below 1,120 ppm, where the alarm clears, for one reading of three.
    """

    def values(at: float) -> _Values:
        if 65 <= at <= 300:
            return {"lpgPpm": 1420 if at % 10 == 5 else 1380}
        if 425 <= at <= 600:
            return {"lpgPpm": 1000 if at % 15 == 0 else 1450}
        return {"lpgPpm": 200}

    return _scenario(_measured("flapping-garage", range(0, 781, 5), values))


def warm_up() -> AlarmScenario:
    """Heated sensors after power-on: a CO2 sensor without a value, then at the end of its range, and a cold gas sensor.

    Common NDIR modules (MH-Z19) measure from 0 to 5,000 ppm and ask for 3 minutes of preheating. The resistance of a metal
    oxide falls as its heater warms it, which reads as gas: here below the alarm limits, with a time constant of 40 s.
    """

    def office(at: float) -> _Values:
        return {"co2": 0 if at < 60 else 5000 if at < 120 else 610 + round(5 * sin(at)), "temperature": 22.0}

    def kitchen(at: float) -> _Values:
        cold = exp(-at / 40)
        return {"coPpm": round(150 * cold), "lpgPpm": round(1300 * cold), "tvoc": 40 + round(20_000 * cold)}

    times = range(0, 901, 10)
    return _scenario(_measured("warm-up-office", times, office), _measured("warm-up-kitchen", times, kitchen))


def dead_sensor() -> AlarmScenario:
    """One sensor sends nothing but 0 ppm of CO2, another falls silent when its battery is empty; both are repaired.

    The lamp of the NDIR sensor fails after 5 minutes and is replaced at 25; air has at least 420 ppm, so 0 is no measurement.
    The other measures carbon monoxide: its battery has 15 % after 5 minutes, is empty after 10 and new at 30.
    """

    def bedroom(at: float) -> _Values:
        return {"co2": 0 if 300 <= at < 1500 else 640 + round(5 * sin(at)), "temperature": 20.5}

    def boiler_room(at: float) -> _Values:
        return {"coPpm": 0, "battery": 16 if at < 300 else 15 if at < 1800 else 100}

    awake = [*range(0, 601, 10), *range(1800, 2401, 10)]
    bedroom_readings = _measured("dead-sensor-bedroom", range(0, 2401, 10), bedroom)
    return _scenario(bedroom_readings, _measured("dead-sensor-boiler-room", awake, boiler_room))


def stuck_sensor() -> AlarmScenario:
    """The driver of a sensor repeats its last temperature for a day, until it is restarted.

    The humidity of the same board goes on changing. The resolution of the temperature is 0.1 °C: real air changes by more than
    that within a day, even in a cellar.
    """

    def values(at: float) -> _Values:
        humidity = 68 + 3 * sin(at / 9000) + 0.2 * sin(at)
        return {"temperature": 14.2 if at < 87_000 else 13.6, "humidity": round(humidity, 2)}

    return _scenario(_measured("stuck-sensor-cellar", range(0, 87_601, 60), values))


def broker_outage() -> AlarmScenario:
    """The broker is down for 4 minutes; meanwhile somebody grills indoors and airs the kitchen again.

    Both sensors measure on and send what they have kept when the broker is up again. The carbon monoxide of the grill, 250 ppm
    for a minute, is gone by then. Stop the broker at 125 s and start it at 365 s.
    """
    carbon_monoxide = {170: 60, **dict.fromkeys(range(180, 241, 10), 250), 250: 100, 260: 20}

    def kitchen(at: float) -> _Values:
        return {"coPpm": carbon_monoxide.get(int(at), 0)}

    def attic(at: float) -> _Values:
        return {"temperature": round(18 + sin(at / 100), 1)}

    times = range(0, 601, 10)
    devices = _measured("broker-outage-kitchen", times, kitchen), _measured("broker-outage-attic", times, attic)
    return _scenario(*devices, outage=(125, 365))


SCENARIOS: Mapping[str, Callable[[], AlarmScenario]] = {
    "leak": leak,
    "co-build-up": co_build_up,
    "sun-on-flame": sun_on_flame,
    "flapping": flapping,
    "warm-up": warm_up,
    "dead-sensor": dead_sensor,
    "stuck-sensor": stuck_sensor,
    "broker-outage": broker_outage,
}


def summary(name: str) -> str:
    """Return the first sentence of a scenario's story."""
    return (SCENARIOS[name].__doc__ or name).partition("\n")[0]
