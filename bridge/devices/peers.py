"""What a bridge knows of its part among several."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Peers:
    """`leads`: this bridge decides what one decides for all. `saves`: a change that is made now is for this bridge to save.

    Every bridge applies the log to its devices; the leader saves the result.
    """

    leads: Callable[[], bool]
    saves: Callable[[], bool]
    is_alone: bool = False


ALONE = Peers(is_alone=True, leads=lambda: True, saves=lambda: True)
