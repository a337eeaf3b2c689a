"""What earlier messages say about later ones: the names of a Sparkplug node's aliases, the unit of a Homie property."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

SOURCE_ENTRIES = 1000
TOTAL_ENTRIES = 50_000
TEXT_LENGTH = 128


class Memory:
    """Entries by source, a topic or a node. Bounded: beyond `limit` entries, the source that was used longest ago is forgotten.

    Entries are lost at a restart. A format must say what it cannot read without them.
    """

    def __init__(self, limit: int = TOTAL_ENTRIES) -> None:
        self._sources: OrderedDict[str, dict[str | int, Any]] = OrderedDict()
        self._limit = limit
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def replace(self, source: str, entries: Mapping[str | int, Any]) -> None:
        """Forget what is known of a source and keep `entries`, at most `SOURCE_ENTRIES` of them."""
        self._count -= len(self._sources.pop(source, ()))
        for key, entry in list(entries.items())[:SOURCE_ENTRIES]:
            self.put(source, key, entry)

    def put(self, source: str, key: str | int, entry: Any) -> None:  # noqa: ANN401 - each format has its own entries
        """Keep one entry. A source that has `SOURCE_ENTRIES` gets no new key; a text that is too long is not kept."""
        if any(isinstance(text, str) and len(text) > TEXT_LENGTH for text in (source, key, entry)):
            return
        entries = self._sources.setdefault(source, {})
        self._sources.move_to_end(source)
        if key not in entries:
            if len(entries) >= SOURCE_ENTRIES:
                return
            self._count += 1
        entries[key] = entry
        while self._count > self._limit and len(self._sources) > 1:
            self._count -= len(self._sources.popitem(last=False)[1])

    def get(self, source: str) -> Mapping[str | int, Any]:
        """Return the entries of a source, which counts as a use of it."""
        entries = self._sources.get(source)
        if entries is None:
            return {}
        self._sources.move_to_end(source)
        return entries
