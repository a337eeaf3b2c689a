"""Message counters per source: received = stored + duplicate + rejected + ignored + dropped + waiting, at every moment.

A message may carry any number of readings; those stored are counted beside the messages.
"""

from dataclasses import dataclass

from bridge.core.message import Outcome

_COUNTERS = ("received", *(outcome.value for outcome in Outcome), "waiting", "readings")


@dataclass(slots=True)
class SourceAccount:
    """One source's counters, in messages since start. `waiting` is counted independently, never derived. `readings` are the
    records stored.
    """

    received: int = 0
    stored: int = 0
    duplicate: int = 0
    rejected: int = 0
    ignored: int = 0
    dropped: int = 0
    waiting: int = 0
    readings: int = 0

    def as_dict(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in _COUNTERS}


class Ledger:
    def __init__(self) -> None:
        self._accounts: dict[str, SourceAccount] = {}

    def account(self, source: str) -> SourceAccount:
        account = self._accounts.get(source)
        if account is None:
            account = self._accounts[source] = SourceAccount()
        return account

    def count_received(self, source: str) -> None:
        account = self.account(source)
        account.received += 1
        account.waiting += 1

    def count_outcome(self, source: str, outcome: Outcome, count: int = 1) -> None:
        """Move `count` waiting messages to their outcome."""
        account = self.account(source)
        account.waiting -= count
        setattr(account, outcome, getattr(account, outcome) + count)

    def count_readings(self, source: str, count: int) -> None:
        self.account(source).readings += count

    def as_dict(self) -> dict[str, dict[str, int]]:
        return {source: account.as_dict() for source, account in self._accounts.items()}
