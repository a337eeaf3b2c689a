"""Values that arrive one by one and belong to one reading."""

from collections.abc import Iterable

from bridge.core.formats.format import Sample
from bridge.core.readings.leaf import DEVICE_ID, TIMESTAMP, UNIT
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME


def merge_samples(samples: Iterable[Sample]) -> list[Sample]:
    """Merge the samples of one device, part and time, as long as no field occurs twice."""
    merged: dict[tuple[str, str, str], Sample] = {}
    fields: dict[tuple[str, str, str], set[str]] = {}
    repeated: list[Sample] = []
    for sample in samples:
        time = next((leaf.value for leaf in sample.leaves if leaf.field == TIMESTAMP), None)
        key = (repr(sample.device_id), sample.part, repr(time))
        own = {leaf.field for leaf in sample.leaves if leaf.field in MEASUREMENTS_BY_NAME}
        if key not in merged:
            merged[key], fields[key] = sample, own
        elif fields[key] & own:
            repeated.append(sample)
        else:
            again = (TIMESTAMP, DEVICE_ID)
            merged[key].leaves += [leaf._replace(field=UNIT) if leaf.field in again else leaf for leaf in sample.leaves]
            fields[key] |= own
    return [*merged.values(), *repeated]
