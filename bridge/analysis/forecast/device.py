"""The forecasts of one device: hourly means in, forecasts out, in one document."""

from collections.abc import Mapping
from datetime import tzinfo
from typing import Annotated, Literal, Self

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from bridge.analysis.forecast.calendar import LAST_HOUR, slot_of
from bridge.analysis.forecast.earlier_state import upgraded
from bridge.analysis.forecast.fields import FORECAST_FIELDS
from bridge.analysis.forecast.prediction import Forecast, ForecastModel
from bridge.analysis.forecast.predictor import HORIZONS
from bridge.analysis.forecast.series import FieldSeries
from bridge.core.errors import ForecastStateError

VERSION = 2
STATE_LIMIT = 500_000
"""Characters; seven fields have about 100,000."""


def _check_field(name: str) -> str:
    if name not in FORECAST_FIELDS:
        raise ValueError(f"{name!r} is not forecast; allowed: {', '.join(FORECAST_FIELDS)}")
    return name


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    version: Literal[2]
    hour: Annotated[int, Field(ge=-1, le=LAST_HOUR)]
    fields: dict[Annotated[str, AfterValidator(_check_field)], FieldSeries]

    @model_validator(mode="after")
    def _check_hours(self) -> Self:
        """Refuse hours after the last one, or out of order: feeding the next hour relies on it."""
        for name, series in self.fields.items():
            hours = [one.hour for one in series.pending]
            days = [one.day for one in series.record.days]
            latest = max([series.profile.hour, series.record.hidden_since, *hours])
            if latest > self.hour or max(days, default=0) > self.hour // 24:
                raise ValueError(f"{name} has an hour after the last one, {self.hour}")
            if hours != sorted(set(hours)) or days != sorted(set(days)):
                raise ValueError(f"{name} has hours or days out of order")
        return self


class DeviceForecasts:
    """Learns the hourly means of one device and forecasts the next six hours of each field.

    The same hours in the same order give the same state and the same forecasts, whenever they are fed. `zone` is that of the
    site: it decides which hours are alike.
    """

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._hour = -1
        self._fields: dict[str, FieldSeries] = {}
        self._slots: tuple[int, ...] = ()

    @property
    def zone(self) -> tzinfo:
        return self._zone

    @zone.setter
    def zone(self, zone: tzinfo) -> None:
        if zone != self._zone:
            self._zone, self._slots = zone, ()

    @property
    def fields_count(self) -> int:
        return len(self._fields)

    @property
    def hour(self) -> int:
        """The last hour that was fed; -1 before the first."""
        return self._hour

    def feed(self, hour: int, means: Mapping[str, float]) -> bool:
        """Learn the means of an hour (a count from 1970-01-01T00:00Z), each in the unit of its field.

        An hour is fed once, with all its fields: one that is not later than the last is ignored, and False returned. Hours may
        be missing, and fields of an hour. Fields that are not forecast are ignored; a value that is no number or outside the
        range of its field is missing. Raises `ValueError` if `hour` is not 0 to `LAST_HOUR`.
        """
        if not 0 <= hour <= LAST_HOUR:
            raise ValueError(f"hour {hour} is no count of hours since 1970; allowed are 0 to {LAST_HOUR}")
        if hour <= self._hour:
            return False
        slots = self._slots_from(hour)
        self._hour = hour
        for name, value in means.items():
            of = FORECAST_FIELDS.get(name)
            if of is None or (scaled := of.accept(value)) is None:
                continue
            series = self._fields.get(name)
            if series is None:
                series = self._fields[name] = FieldSeries()
            series.feed(hour, of, scaled, slots)
        return True

    def forecasts(self, model: ForecastModel | None = None) -> list[Forecast]:
        """Return the forecasts after the last hour that was fed, of the fields that had a value in it.

        `model` gives those of this model whether or not it would be shown, to judge it.
        """
        found = (series.forecast(FORECAST_FIELDS[name], model) for name, series in self._current())
        return [one for one in found if one is not None]

    def probability_above(self, field: str, limit: float, *, only_shown: bool = True) -> float | None:
        """Return the probability that an hourly mean of the next three hours is above a limit in the unit of the field.

        None if the field had no value in the last hour; with `only_shown` also unless the model of this field is shown.
        """
        series = self._fields.get(field)
        if series is None or series.profile.hour != self._hour or (only_shown and series.model is not ForecastModel.PROFILE):
            return None
        return series.probability_above(FORECAST_FIELDS[field], limit)

    def outer_intervals(self) -> dict[str, tuple[float, float]]:
        """Return the bounds that hold the mean of the next hour with 99.5 %, in the unit of each field.

        Only fields that had a value in the last hour, and whose model is shown.
        """
        found = {name: series.outer_interval(FORECAST_FIELDS[name]) for name, series in self._current()}
        return {name: interval for name, interval in found.items() if interval is not None}

    def restart(self) -> None:
        """Forget what was learned, as the device is in another place now. Hours that were fed stay fed."""
        self._fields.clear()

    def to_json(self) -> str:
        """Return the state as JSON. Floats are exact: the state that is read back gives the same forecasts."""
        fields = {name: self._fields[name] for name in FORECAST_FIELDS if name in self._fields}
        return orjson.dumps({"version": VERSION, "hour": self._hour, "fields": fields}).decode()

    @classmethod
    def from_json(cls, text: str, zone: tzinfo) -> Self:
        """Inverse of `to_json`. Raises `ForecastStateError` if the state is of another version, too long, or was changed."""
        if len(text) > STATE_LIMIT:
            raise ForecastStateError(f"state of forecasts: {len(text):,} characters; at most {STATE_LIMIT:,} are allowed")
        try:
            found = _Document.model_validate_json(upgraded(text))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "document"
            raise ForecastStateError(
                f"state of forecasts: {where}: {first['msg']}; allowed are versions 1 and {VERSION}"
            ) from None
        device = cls(zone)
        device._hour, device._fields = found.hour, found.fields
        return device

    def _current(self) -> list[tuple[str, FieldSeries]]:
        """In the order of `FORECAST_FIELDS`, whichever came first: the state that is read back has that order too."""
        fields = self._fields
        return [(name, fields[name]) for name in FORECAST_FIELDS if name in fields and fields[name].profile.hour == self._hour]

    def _slots_from(self, hour: int) -> tuple[int, ...]:
        """Return the slots of an hour and the next six; of those that follow each other, only the last is computed."""
        if self._slots and hour == self._hour + 1:
            self._slots = (*self._slots[1:], slot_of(hour + HORIZONS, self._zone))
        else:
            self._slots = tuple(slot_of(hour + ahead, self._zone) for ahead in range(HORIZONS + 1))
        return self._slots
