"""Reads stored documents as records. One that was damaged is left out and named in the log: it must not stop a bridge."""

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, Generic, TypeVar

from pydantic import ConfigDict, TypeAdapter

from bridge.core.errors import DAMAGED

log = logging.getLogger(__name__)

T = TypeVar("T")

_FIRST_MS, _LAST_MS = -62_135_596_800_000, 253_402_300_799_999  # of the years 1 to 9999
_STRICT = ConfigDict(strict=True, revalidate_instances="always", arbitrary_types_allowed=True)
_NAMED_LIMIT = 100


class RecordReader(Generic[T]):
    def __init__(self, collection: str, kind: type[T], from_document: Callable[[str, Mapping[str, Any]], T]) -> None:
        """Records are dataclasses of this `kind`; `collection` is named in the log."""
        self._collection = collection
        self._from_document = from_document
        self._kind = kind
        self._named: set[str] = set()

    @cached_property
    def _types(self) -> TypeAdapter[list[T]]:
        """Built at the first record: it takes some milliseconds. Only of a list are the items checked strictly."""
        return TypeAdapter(list[self._kind], config=_STRICT)  # type: ignore[name-defined]

    def read(self, document: Mapping[str, Any] | None) -> T | None:
        """Return the record of a document; None without a document, and for one whose fields are missing or of other types."""
        if document is None:
            return None
        key = str(document["_id"])
        try:
            record = self._from_document(key, document)
            self._types.validate_python([record])
            if any(isinstance(value, int) and not _FIRST_MS <= value <= _LAST_MS for value in _times_of(record)):
                raise ValueError("a time is out of range")
        except DAMAGED as error:
            self._name(key, error)
            return None
        return record

    def all(self, documents: Iterable[Mapping[str, Any]]) -> list[T]:
        return [record for one in documents if (record := self.read(one)) is not None]

    def _name(self, key: str, error: Exception) -> None:
        if key not in self._named and len(self._named) < _NAMED_LIMIT:
            self._named.add(key)
            log.error(
                "store: document %r of %s is damaged (%s) and left out: restore it from a backup, or delete it",
                key[:128],
                self._collection,
                type(error).__name__,
            )


def _times_of(record: object) -> list[object]:
    names: Iterable[str] = getattr(record, "__dataclass_fields__", ())
    return [getattr(record, name) for name in names if name.endswith("_ms")]
