"""The tally: attempts and wrong outcomes, counted by the tests and printed at the end of the run."""

from __future__ import annotations

from dataclasses import dataclass, field

PROPERTY = "attempts at access"


@dataclass
class Tally:
    """The attempts of one test; `accepted` and `refused` are the wrong outcomes."""

    attempts: int = 0
    accepted: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def note(self, what: object, *, may: bool, let_in: bool) -> None:
        """Count an attempt with its outcome."""
        self.attempts += 1
        if let_in and not may:
            self.accepted.append(str(what))
        elif may and not let_in:
            self.refused.append(str(what))

    def check(self) -> None:
        assert (self.accepted, self.refused) == ([], []), "wrongly accepted, wrongly refused"

    @property
    def counts(self) -> tuple[int, int, int]:
        return self.attempts, len(self.accepted), len(self.refused)
