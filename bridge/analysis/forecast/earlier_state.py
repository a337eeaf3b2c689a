"""States of version 1, which had the forecasts and errors of all horizons in lists by kind: read in the form of version 2."""

from typing import Any

import orjson

from bridge.core.errors import ForecastStateError

_VERSION_1 = '{"version":1,'
_FUTURE = ("unit_means", "slot_means", "means", "lows", "highs", "naive_lows", "naive_highs")
_ERRORS = ("sizes", "lows", "highs", "seen")


def upgraded(text: str) -> str:
    """Return a state of version 1 as one of version 2, and any other text as it is. Raises `ForecastStateError`."""
    if not text.startswith(_VERSION_1):
        return text
    try:
        document = orjson.loads(text)
        for series in document["fields"].values():
            for name in ("errors", "naive_errors"):
                series[name] = {"horizons": _by_horizon(series[name], _ERRORS)}
            for one in series["pending"]:
                one["future"] = _by_horizon(one, _FUTURE)
        document["version"] = 2
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ForecastStateError(f"state of forecasts: version 1: {error!r}; allowed are versions 1 and 2") from None
    return orjson.dumps(document).decode()


def _by_horizon(document: dict[str, Any], kinds: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """Take lists out of a document, and return their elements by horizon."""
    return list(zip(*(document.pop(kind) for kind in kinds), strict=True))
