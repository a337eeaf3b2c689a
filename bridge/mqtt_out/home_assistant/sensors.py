"""The fields of readings as sensors of Home Assistant: device class, unit and state class.

From the lists of the sensor and binary sensor integrations of Home Assistant, as far as each class has been there since 2024:
an older one refuses a sensor whose class or unit it does not know. So nitrogen dioxide, ozone and sulphur dioxide are sent in
µg/m³; the classes of later releases (PM4) are not used; a class that means another quantity is not used either: the CO₂
equivalent of a sensor for organic gases is no carbon dioxide.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME, Flag, Value
from bridge.core.readings.units import conversion

_MICROGRAMS = "µg/m³"
_DIAGNOSTIC = "diagnostic"


@dataclass(frozen=True, slots=True)
class SensorKind:
    """`unit` None: that of the field, where it has one."""

    device_class: str | None = None
    unit: str | None = None
    category: str | None = None


_KINDS: Mapping[str, SensorKind] = {
    "temperature": SensorKind("temperature"),
    "humidity": SensorKind("humidity", "%"),
    "aqi": SensorKind("aqi"),
    "tvoc": SensorKind("volatile_organic_compounds_parts"),
    "coPpm": SensorKind("carbon_monoxide"),
    "co2": SensorKind("carbon_dioxide"),
    "flameDetected": SensorKind("safety"),
    "pm1": SensorKind("pm1"),
    "pm25": SensorKind("pm25"),
    "pm10": SensorKind("pm10"),
    "no2": SensorKind("nitrogen_dioxide", _MICROGRAMS),
    "o3": SensorKind("ozone", _MICROGRAMS),
    "so2": SensorKind("sulphur_dioxide", _MICROGRAMS),
    "pressure": SensorKind("atmospheric_pressure"),
    "battery": SensorKind("battery", category=_DIAGNOSTIC),
    "illuminance": SensorKind("illuminance"),
    "noise": SensorKind("sound_pressure"),
    "batteryVoltage": SensorKind("voltage", category=_DIAGNOSTIC),
    "rssi": SensorKind("signal_strength", category=_DIAGNOSTIC),
}
_OTHER = SensorKind()


def kind_of(field: str) -> SensorKind:
    return _KINDS.get(field, _OTHER)


def state_of(field: str, value: Value) -> Value:
    """Return a value in the unit that Home Assistant is told."""
    unit = kind_of(field).unit
    if unit is None or isinstance(value, str | bool) or unit == MEASUREMENTS_BY_NAME[field].unit:
        return value
    return conversion(field, unit).invert(value)


def sensor(field: str) -> dict[str, Any]:
    """Return the component of a field, without what depends on the device."""
    measurement, kind = MEASUREMENTS_BY_NAME[field], kind_of(field)
    unit = kind.unit or measurement.unit
    component: dict[str, Any] = {"name": measurement.label, "value_template": f"{{{{ value_json.{field} | default(none) }}}}"}
    if isinstance(measurement, Flag):
        component |= {"platform": "binary_sensor", "payload_on": "True", "payload_off": "False"}
    else:
        component |= {"platform": "sensor", "state_class": "measurement"}
        component |= {"unit_of_measurement": unit} if unit else {}
    component |= {"device_class": kind.device_class} if kind.device_class else {}
    component |= {"entity_category": kind.category} if kind.category else {}
    return component


_SAME = ("platform", "state_class", "unit_of_measurement", "device_class")
FORECAST_SECONDS = 7200
"""A forecast that was not replaced for two hours is unavailable: the device or the bridge is silent."""


def forecast_sensor(field: str, topic: str) -> dict[str, Any]:
    """Return the component of the forecast of a field for the next hour. Home Assistant adds it disabled.

    `topic` is that of the forecasts of the device. The state is the mean; bounds and later hours are attributes.
    """
    known = sensor(field)
    component: dict[str, Any] = {name: known[name] for name in _SAME if name in known}
    return {
        **component,
        "name": f"{known['name']} in the next hour",
        "state_topic": topic,
        "value_template": f"{{{{ value_json.{field}.mean | default(none) }}}}",
        "json_attributes_topic": topic,
        "json_attributes_template": f"{{{{ value_json.{field} | default({{}}) | tojson }}}}",
        "expire_after": FORECAST_SECONDS,
        "enabled_by_default": False,
    }


def forecast_state(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what Home Assistant is told of a prediction with values: that of the next hour, and all of them in `hours`."""
    names = ("mean", "low", "high")
    hours = [{"at": one["at"]} | {name: state_of(body["field"], one[name]) for name in names} for one in body["values"]]
    return {**hours[0], "made": body["made"], "hours": hours}
