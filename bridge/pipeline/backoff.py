"""How long to wait before the next attempt."""

from __future__ import annotations

import random
from collections.abc import Iterator


def delays(first_seconds: float, cap_seconds: float) -> Iterator[float]:
    """Endless waits: doubling from `first_seconds` to `cap_seconds`, each drawn between half of that and all of it.

    The draw keeps many bridges from coming back in step.
    """
    ceiling = first_seconds
    while True:
        yield random.uniform(ceiling / 2, ceiling)  # noqa: S311 - not a secret
        ceiling = min(ceiling * 2, cap_seconds)
