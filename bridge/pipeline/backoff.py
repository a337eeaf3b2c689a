"""Exponential backoff with jitter."""

import random
from collections.abc import Iterator


def delays(first_seconds: float, cap_seconds: float) -> Iterator[float]:
    """Yield delays forever, doubling from `first_seconds` to `cap_seconds`, each drawn from the upper half of its range.

    The jitter keeps many bridges from reconnecting at the same time.
    """
    ceiling = first_seconds
    while True:
        yield random.uniform(ceiling / 2, ceiling)  # noqa: S311 - not a secret
        ceiling = min(ceiling * 2, cap_seconds)
