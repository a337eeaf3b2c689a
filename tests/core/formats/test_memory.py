"""The memory of formats: bounded, the least recently used source is forgotten."""

from __future__ import annotations

from bridge.core.formats.memory import SOURCE_ENTRIES, TEXT_LENGTH, Memory


def test_source_used_longest_ago_is_forgotten_beyond_the_limit() -> None:
    memory = Memory(limit=3)
    for source in ("a", "b", "c"):
        memory.put(source, "unit", "°F")
    assert memory.get("a") == {"unit": "°F"}
    memory.put("d", "unit", "K")
    assert (memory.get("b"), memory.get("a"), len(memory)) == ({}, {"unit": "°F"}, 3)


def test_replacing_forgets_earlier_entries() -> None:
    memory = Memory()
    memory.replace("node", {1: "Temperature", 2: "Humidity"})
    memory.replace("node", {3: "CO2"})
    assert (memory.get("node"), len(memory)) == ({3: "CO2"}, 1)


def test_entries_of_one_source_and_their_texts_are_bounded() -> None:
    memory = Memory()
    memory.replace("node", dict.fromkeys(range(SOURCE_ENTRIES + 10), "name"))
    memory.put("node", "one more", "name")
    memory.put("other", "x" * (TEXT_LENGTH + 1), "name")
    memory.put("other", "name", "x" * (TEXT_LENGTH + 1))
    assert (len(memory), memory.get("other")) == (SOURCE_ENTRIES, {})
