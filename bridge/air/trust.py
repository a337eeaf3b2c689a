"""Which values may be judged although the decoder flagged them.

A flagged value is doubtful: the sensor has failed, or the value is in another unit. Above the usual range it is no proof of
clean air: 1,500 ppm of carbon monoxide are more than most sensors can measure, and may be true. Such a value counts, unless it
is a code that a failed sensor sends.
"""

from collections.abc import Mapping

from bridge.core.readings.failure_codes import FAILED
from bridge.core.readings.measurements import MEASUREMENTS, Value

_USUAL_HIGH = {one.name: one.usual[1] for one in MEASUREMENTS}


def counts(name: str, value: Value, quality: Mapping[str, str]) -> bool:
    """Whether a value may be judged: it is not flagged, or above the usual range of its field and no code of a failure."""
    if name not in quality:
        return True
    is_above = not isinstance(value, str) and name in _USUAL_HIGH and value > _USUAL_HIGH[name]
    return is_above and not quality[name].startswith(FAILED)
