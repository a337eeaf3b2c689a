"""Advice from a store."""

from collections.abc import Iterable
from contextlib import suppress

from bridge.analysis.advice.record import Advice, advice_from_document
from bridge.core.errors import RecordError
from bridge.ports import StoredAlarm


def advice_of(stored: Iterable[StoredAlarm]) -> list[Advice]:
    """Return the advice in documents. Damaged documents are left out."""
    found = []
    for one in stored:
        with suppress(RecordError):
            found.append(advice_from_document(one.body))
    return found
