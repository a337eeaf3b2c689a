"""The series of each sample of a message: its device, or a part of it.

Samples of one series are one reading. What was decided is learned by the profile of the device, so that every sensor keeps its
series after a restart and in any order of arrival.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bridge.core.decoding.device_id import resolve_device_id
from bridge.core.devices.profiles import SEPARATOR, Profiles
from bridge.core.formats.format import Parsed, Sample
from bridge.core.message import RejectionReason
from bridge.core.payload import PayloadError, join_names, quote
from bridge.core.readings.extraction import ExtractedFields, extract_leaves
from bridge.core.readings.identity import normalize_device_id
from bridge.core.readings.leaf import DEVICE_ID

_SECOND_ID = "a second device on the topic of one: each is a part now"


class Series(NamedTuple):
    """Where a reading belongs: its device, and the id of its series, which is that of the device or of one of its parts."""

    device_id: str
    id: str


class SeriesAssignment:
    """Assigns samples to series, by the profiles of their devices."""

    def __init__(self, profiles: Profiles) -> None:
        self._profiles = profiles

    def assign(self, captures: Mapping[str, str], parsed: Parsed) -> list[tuple[Series, ExtractedFields]]:
        """Return series and fields of each reading. Raises `PayloadError` without a reading or a valid device id."""
        units = {**parsed.units, **self._units(captures, parsed)}
        if len(parsed.samples) == 1:
            (sample,) = parsed.samples
            extracted = [extract_leaves([*sample.leaves, *parsed.common], units)]
        else:
            extracted = _extract_several(parsed, units)
        several = self._states_several_ids(captures, parsed.samples, extracted)
        series: dict[int, Series] = {}
        for number in sorted(range(len(extracted)), key=lambda n: _assignment_order(parsed.samples[n], extracted[n])):
            series[number] = self._series(captures, extracted[number], parsed.samples[number], several=several)
        if parsed.units:
            for device_id in {one.device_id for one in series.values()}:
                self._profiles.learn_units(device_id, parsed.units)
        return _group(parsed.samples, extracted, series)

    def _states_several_ids(
        self, captures: Mapping[str, str], samples: Sequence[Sample], extracted: Sequence[ExtractedFields]
    ) -> bool:
        """Whether payloads state several ids: in this message or, below the topic of a device, in earlier ones too. The reading
        that shows it first says so.
        """
        stated = [_stated_id(sample, fields) for sample, fields in zip(samples, extracted, strict=True)]
        ids = dict.fromkeys(one for one in stated if one is not None)
        if "deviceId" not in captures:
            return len(ids) > 1
        device_id = resolve_device_id(captures["deviceId"], None)
        for one, fields in zip(stated, extracted, strict=True):
            if one is not None and fields.values and self._profiles.learn_id(device_id, one) and len(ids) == 1:
                fields.quality["deviceId"] = _SECOND_ID
        return len(ids) > 1 or self._profiles.has_several_ids(device_id)

    def _units(self, captures: Mapping[str, str], parsed: Parsed) -> Mapping[str, str]:
        """Return the units that a person set for the device of a message. Units that the message states win over them."""
        device_id: object = captures.get("deviceId")
        if device_id is None and parsed.samples:
            leaves = (*parsed.samples[0].leaves, *parsed.common)
            device_id = next((leaf.value for leaf in leaves if leaf.field == DEVICE_ID), None)
        return self._profiles.units(device_id) if isinstance(device_id, str) else {}

    def _series(self, captures: Mapping[str, str], fields: ExtractedFields, sample: Sample, *, several: bool) -> Series:
        """Return the series of a sample: the device of the topic or the payload, and the part that measured it."""
        device_id = resolve_device_id(captures.get("deviceId"), _raw_id(sample, fields))
        stated = _stated_id(sample, fields) if several and "deviceId" in captures else None
        part, shares = sample.part, sample.shares and stated in (None, device_id)
        if stated == device_id:
            part = "" if part == stated else part
        elif stated is not None and part != stated and not part.startswith(f"{stated}."):  # some formats name parts by device
            part = f"{stated}.{part}" if part else stated
        if not part and (not several or stated is not None):
            self._profiles.claim(device_id, fields.values)
        if not part or not self._profiles.needs_own_series(device_id, part, fields.values, shares=shares):
            return Series(device_id, device_id)
        return Series(device_id, self._profiles.part_id(device_id, part))


def _extract_several(parsed: Parsed, units: Mapping[str, str]) -> list[ExtractedFields]:
    """Return the fields of each sample. Common times and ids hold for all, the other common leaves go to the first."""
    common = extract_leaves(parsed.common, units)
    if not parsed.samples:
        raise no_measurement(common)
    extracted = [extract_leaves(sample.leaves, units) for sample in parsed.samples]
    extracted[0].add(common)
    for fields in extracted:
        if fields.timestamp is None:
            fields.timestamp = common.timestamp
        if fields.device_id is None:
            fields.device_id = common.device_id
    return extracted


def _group(
    samples: Sequence[Sample], extracted: Sequence[ExtractedFields], series: Mapping[int, Series]
) -> list[tuple[Series, ExtractedFields]]:
    """Return series and fields of each reading: parts of one series are one reading, several items of a part are several.

    A part, or a device with parts, whose values are all refused or null is no reading of its own: its faults are named in the
    quality of the first one.
    """
    groups: list[tuple[Series, set[str], ExtractedFields]] = []
    idle: list[tuple[Series, ExtractedFields]] = []
    has_parts = any(sample.part for sample in samples)
    for number, (sample, fields) in enumerate(zip(samples, extracted, strict=True)):
        where, part = series[number], sample.part
        group = next((one for one in groups if one[0] == where and part not in one[1]), None) if part else None
        if group is not None and group[2].timestamp in (None, fields.timestamp):
            group[1].add(part)
            group[2].add(fields)
        elif (part or has_parts) and not fields.values and len(samples) > 1:
            idle.append((where, fields))
        else:
            groups.append((where, {part}, fields))
    if not groups:  # all values are refused: the first sample names the faults of all
        groups.append((series[0], {samples[0].part}, extracted[0]))
        del idle[0]
    for where, fields in idle:
        part = where.id[len(where.device_id) :].lstrip(SEPARATOR)
        fields.quality = {f"{part}.{name}" if part else name: fault for name, fault in fields.quality.items()}
        groups[0][2].add(fields)
    return [(where, fields) for where, _, fields in groups]


def _raw_id(sample: Sample, fields: ExtractedFields) -> object:
    return fields.device_id if sample.device_id is None else sample.device_id


def _stated_id(sample: Sample, fields: ExtractedFields) -> str | None:
    """Return the device id that the message states for a sample, or None."""
    stated = _raw_id(sample, fields)
    if isinstance(stated, int) and not isinstance(stated, bool):
        stated = str(stated)
    return normalize_device_id(stated) or None if isinstance(stated, str) else None


def _assignment_order(sample: Sample, fields: ExtractedFields) -> tuple[bool, int, str]:
    """The device's own sample first, then the sensor that measures most, whatever their order in the message."""
    return bool(sample.part), -len(fields.values), sample.part


def no_measurement(fields: ExtractedFields) -> PayloadError:
    """Return why fields without a value are no reading."""
    if fields.quality:
        faults = [f"{name} is {fault}" for name, fault in fields.quality.items()]
        return PayloadError(
            RejectionReason.NO_MEASUREMENT,
            f"no valid measurement: {join_names(faults)}",
            next(iter(fields.quality)),
            fields.quality,
        )
    if fields.ignored:
        unknown = [quote(key) for key in fields.ignored]
        keys = "key" if len(unknown) == 1 else "keys"
        return PayloadError(RejectionReason.NO_MEASUREMENT, f"no measurement: unknown {keys} {join_names(unknown)}")
    return PayloadError(RejectionReason.NO_MEASUREMENT, "no measurement: the object contains none")
