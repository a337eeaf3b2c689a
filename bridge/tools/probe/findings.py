"""What was found out: of each question, of each way in, and of each way in to each way out."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bridge.core.errors import BridgeError
from bridge.tools.bench.latencies import Latencies

PERCENTILES = {"p50": 0.5, "p99": 0.99, "max": 1.0}


class Failed(BridgeError):
    """Something does not hold; `remedy` says what to do about it."""

    def __init__(self, text: str, remedy: str = "") -> None:
        """`text` names what was wrong, and where."""
        super().__init__(text)
        self.remedy = remedy


class Skipped(BridgeError):
    """Something cannot be tested here; the text says why."""


class CheckState(enum.StrEnum):
    """How a question was answered."""

    HELD = "held"
    FAILED = "fails"
    SKIPPED = "skipped"


@dataclass(slots=True)
class Finding:
    """One question. `said` is the last answer, `failure` and `remedy` are of the first failure.

    `of_way`: whether a way can be used; if so, what came by it tells more.
    """

    name: str
    of_way: bool = False
    said: str = ""
    asked: int = 0
    failed: int = 0
    failure: str = ""
    remedy: str = ""
    latencies: Latencies = field(default_factory=Latencies)

    def held(self, said: str, seconds: float | None = None) -> None:
        """It did, this time."""
        self.asked += 1
        self.said = said
        if seconds is not None:
            self.latencies.add(seconds)

    def fails(self, why: str, remedy: str) -> None:
        """It did not."""
        self.asked += 1
        self.failed += 1
        self.failure, self.remedy = (self.failure, self.remedy) if self.failure else (why, remedy)

    @property
    def state(self) -> CheckState:
        """Over all times it was asked."""
        return CheckState.FAILED if self.failed else CheckState.HELD if self.asked else CheckState.SKIPPED


@dataclass(slots=True)
class WayInResult:
    """One way in: readings `sent` by it, those of them that were not taken, and those not found as one record.

    Where nobody `acknowledges` a reading, sending it tells nothing.
    """

    name: str
    acknowledges: bool = True
    sent: int = 0
    refused: int = 0
    not_stored: int = 0
    why: str = ""
    acknowledged: Latencies = field(default_factory=Latencies)

    def complain(self, why: str) -> None:
        """The first reason is kept."""
        self.why = self.why or why

    @property
    def held(self) -> bool:
        """All that was sent is stored, once."""
        return not self.refused and not self.not_stored

    @property
    def complaint(self) -> str:
        """In words; empty if it held."""
        if self.refused:
            return f"{self.refused:,} of {self.sent:,} not taken: {self.why}"
        return f"{self.not_stored:,} of {self.sent:,} not stored as one record: {self.why}" if self.not_stored else ""


@dataclass(slots=True)
class PathResult:
    """What was taken by one way in, and heard by one way out."""

    way_in: str
    way_out: str
    taken: int = 0
    heard: int = 0
    repeated: int = 0
    different: int = 0
    why: str = ""
    latencies: Latencies = field(default_factory=Latencies)

    @property
    def lost(self) -> int:
        """Not heard in time."""
        return self.taken - self.heard

    @property
    def held(self) -> bool:
        """Each one was heard, once, as it was sent."""
        return not (self.lost or self.repeated or self.different)

    @property
    def complaints(self) -> Iterator[str]:
        """In words."""
        if self.lost:
            yield f"{self.lost:,} of {self.taken:,} not heard in time" + (f": {self.why}" if self.why else "")
        if self.repeated:
            yield f"{self.repeated:,} of {self.taken:,} heard again"
        if self.different:
            yield f"{self.different:,} of {self.taken:,} not as sent: {self.why}"


class Findings:
    """All of it."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.questions: dict[str, Finding] = {}
        self.entries: dict[str, WayInResult] = {}
        self.deliveries: dict[tuple[str, str], PathResult] = {}

    def question(self, name: str, *, of_way: bool = False) -> Finding:
        """By name."""
        return self.questions.setdefault(name, Finding(name, of_way))

    def entry(self, way_in: str) -> WayInResult:
        """By name."""
        return self.entries.setdefault(way_in, WayInResult(way_in))

    def delivery(self, way_in: str, way_out: str) -> PathResult:
        """By the names of both."""
        return self.deliveries.setdefault((way_in, way_out), PathResult(way_in, way_out))

    @property
    def held(self) -> bool:
        """Nothing failed, and something was tested."""
        asked = [one for one in self.questions.values() if one.state is not CheckState.SKIPPED]
        return bool(asked) and not self.failed

    @property
    def failed(self) -> int:
        """How many questions, ways in and deliveries."""
        held = [one.state is not CheckState.FAILED for one in self.questions.values()]
        held += [one.held for one in self.entries.values()]
        held += [one.held for one in self.deliveries.values()]
        return held.count(False)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; seconds, and None where nothing was measured."""
        return {
            "checks": [
                {"name": one.name, "state": one.state, "said": one.said, "asked": one.asked, "failed": one.failed,
                 "failure": one.failure, "remedy": one.remedy, "seconds": percentiles(one.latencies)}
                for one in self.questions.values()
            ],
            "waysIn": [
                {"name": one.name, "sent": one.sent, "refused": one.refused, "notStored": one.not_stored, "why": one.why,
                 "acknowledgedSeconds": percentiles(one.acknowledged)}
                for one in self.entries.values()
            ],
            "deliveries": [
                {"in": one.way_in, "out": one.way_out, "taken": one.taken, "heard": one.heard, "lost": one.lost,
                 "repeated": one.repeated, "different": one.different, "why": one.why, "seconds": percentiles(one.latencies)}
                for one in self.deliveries.values()
            ],
        }  # fmt: skip


def percentiles(latencies: Latencies) -> dict[str, float | None]:
    """By name, in seconds."""
    return {name: latencies.percentile(part) for name, part in PERCENTILES.items()}
