"""The results of a probe: of each check, each input, and each path from an input to an output."""

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bridge.core.errors import BridgeError
from bridge.tools.bench.latencies import Latencies

PERCENTILES = {"p50": 0.5, "p99": 0.99, "max": 1.0}


class Failed(BridgeError):
    """A check failed; `remedy` says how to fix it."""

    def __init__(self, text: str, remedy: str = "") -> None:
        """`text` says what was wrong, and where."""
        super().__init__(text)
        self.remedy = remedy

    @property
    def with_remedy(self) -> str:
        """The text, followed by the remedy if there is one."""
        return f"{self}; {self.remedy}" if self.remedy else str(self)


class Skipped(BridgeError):
    """A check cannot run; the text says why."""


class CheckState(enum.StrEnum):
    PASSED = "held"
    FAILED = "fails"
    SKIPPED = "skipped"


@dataclass(slots=True)
class CheckResult:
    """A check over all its runs: `answer` of the last one that passed, `failure` and `remedy` of the first that failed.

    `connects`: the check connects an input or output; if it passes, the results of its paths are reported instead.
    """

    name: str
    connects: bool = False
    answer: str = ""
    runs: int = 0
    failures: int = 0
    failure: str = ""
    remedy: str = ""
    latencies: Latencies = field(default_factory=Latencies)

    def add_pass(self, answer: str, seconds: float | None = None) -> None:
        self.runs += 1
        self.answer = answer
        if seconds is not None:
            self.latencies.add(seconds)

    def add_failure(self, reason: str, remedy: str) -> None:
        self.runs += 1
        self.failures += 1
        if not self.failure:
            self.failure, self.remedy = reason, remedy

    @property
    def state(self) -> CheckState:
        return CheckState.FAILED if self.failures else CheckState.PASSED if self.runs else CheckState.SKIPPED


@dataclass(slots=True)
class InputResult:
    """Readings `sent` through an input, those it `refused`, and those not stored as exactly one record.

    `acknowledges`: the input confirms each reading.
    """

    name: str
    acknowledges: bool = True
    sent: int = 0
    refused: int = 0
    not_stored: int = 0
    reason: str = ""
    latencies: Latencies = field(default_factory=Latencies)

    def set_reason(self, reason: str) -> None:
        self.reason = self.reason or reason

    @property
    def passed(self) -> bool:
        """Whether every reading was stored once."""
        return not self.refused and not self.not_stored

    @property
    def complaint(self) -> str:
        """The failure; empty if it passed."""
        if self.refused:
            return f"{self.refused:,} of {self.sent:,} not accepted: {self.reason}"
        return f"{self.not_stored:,} of {self.sent:,} not stored as one record: {self.reason}" if self.not_stored else ""


@dataclass(slots=True)
class PathResult:
    input: str
    output: str
    accepted: int = 0
    received: int = 0
    repeated: int = 0
    different: int = 0
    reason: str = ""
    latencies: Latencies = field(default_factory=Latencies)

    @property
    def lost(self) -> int:
        return self.accepted - self.received

    @property
    def passed(self) -> bool:
        """Whether every reading was received once, as it was sent."""
        return not (self.lost or self.repeated or self.different)

    @property
    def complaints(self) -> Iterator[str]:
        if self.lost:
            yield f"{self.lost:,} of {self.accepted:,} not received in time" + (f": {self.reason}" if self.reason else "")
        if self.repeated:
            yield f"{self.repeated:,} of {self.accepted:,} received again"
        if self.different:
            yield f"{self.different:,} of {self.accepted:,} differ from what was sent: {self.reason}"


class ProbeReport:
    def __init__(self) -> None:
        self.checks: dict[str, CheckResult] = {}
        self.inputs: dict[str, InputResult] = {}
        self.paths: dict[tuple[str, str], PathResult] = {}

    def check(self, name: str, *, connects: bool = False) -> CheckResult:
        return self.checks.setdefault(name, CheckResult(name, connects))

    def input(self, name: str) -> InputResult:
        return self.inputs.setdefault(name, InputResult(name))

    def path(self, input_name: str, output_name: str) -> PathResult:
        return self.paths.setdefault((input_name, output_name), PathResult(input_name, output_name))

    @property
    def passed(self) -> bool:
        return not self.failed and any(check.state is not CheckState.SKIPPED for check in self.checks.values())

    @property
    def failed(self) -> int:
        failed_checks = sum(check.state is CheckState.FAILED for check in self.checks.values())
        failed_inputs = sum(not result.passed for result in self.inputs.values())
        return failed_checks + failed_inputs + sum(not path.passed for path in self.paths.values())

    @property
    def sent(self) -> int:
        return sum(result.sent for result in self.inputs.values())

    @property
    def received(self) -> int:
        return sum(result.received for result in self.paths.values())

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form; latencies in seconds, None if nothing was measured."""
        return {
            "checks": [
                {"name": one.name, "state": one.state, "said": one.answer, "asked": one.runs, "failed": one.failures,
                 "failure": one.failure, "remedy": one.remedy, "seconds": percentiles(one.latencies)}
                for one in self.checks.values()
            ],
            "waysIn": [
                {"name": one.name, "sent": one.sent, "refused": one.refused, "notStored": one.not_stored, "why": one.reason,
                 "acknowledgedSeconds": percentiles(one.latencies)}
                for one in self.inputs.values()
            ],
            "deliveries": [
                {"in": one.input, "out": one.output, "taken": one.accepted, "heard": one.received, "lost": one.lost,
                 "repeated": one.repeated, "different": one.different, "why": one.reason,
                 "seconds": percentiles(one.latencies)}
                for one in self.paths.values()
            ],
        }  # fmt: skip


def percentiles(latencies: Latencies) -> dict[str, float | None]:
    """Return the percentiles by name, in seconds."""
    return {name: latencies.percentile(part) for name, part in PERCENTILES.items()}
