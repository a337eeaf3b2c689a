"""The account of every message: received = stored + duplicate + rejected + dropped + waiting, at every moment."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.core.message import Outcome

_LINE = ("received", *(outcome.value for outcome in Outcome), "waiting")


@dataclass(slots=True)
class SourceAccount:
    """One source's line, in messages since start. `waiting` is counted by itself, never derived."""

    received: int = 0
    stored: int = 0
    duplicate: int = 0
    rejected: int = 0
    dropped: int = 0
    waiting: int = 0

    def as_dict(self) -> dict[str, int]:
        """The line as the status shows it."""
        return {name: getattr(self, name) for name in _LINE}


class Ledger:
    """An account per source."""

    def __init__(self) -> None:
        """An empty ledger; accounts open with their first message."""
        self._accounts: dict[str, SourceAccount] = {}

    def account(self, source: str) -> SourceAccount:
        """The line of a source, opened if need be."""
        account = self._accounts.get(source)
        if account is None:
            account = self._accounts[source] = SourceAccount()
        return account

    def count_received(self, source: str) -> None:
        """A message came in and waits."""
        account = self.account(source)
        account.received += 1
        account.waiting += 1

    def count_outcome(self, source: str, outcome: Outcome, count: int = 1) -> None:
        """Waiting messages met their end."""
        account = self.account(source)
        account.waiting -= count
        setattr(account, outcome, getattr(account, outcome) + count)

    def as_dict(self) -> dict[str, dict[str, int]]:
        """All lines, by source."""
        return {source: account.as_dict() for source, account in self._accounts.items()}
