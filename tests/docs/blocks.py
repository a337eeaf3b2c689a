"""The fenced blocks of README.md and docs/, and what the page says about each.

A comment in front of a block marks it:

    <!-- not run: why -->       the block cannot run here; `test_blocks.py` lists every such block
    <!-- prints: pattern -->    what the block must print before it ends
    <!-- listens: pattern -->   the block runs until it is stopped, and prints this when a reading is published
    <!-- obeys: pattern -->     the same, when the device esp01 is sent a command

A comment `<!-- bridge: required -->` anywhere on a page runs its blocks against a bridge that requires a login.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers import REPO

RUN = ("sh", "python", "js", "html")
PARSED = ("json", "toml")
INERT = ("text", "nginx", "yaml")
"""Languages of blocks that are only shown: output, diagrams, configuration of other programs."""

MARKS = ("not run", "prints", "listens", "obeys")
PAGES = (*(REPO / f"{name}.md" for name in ("README", "ARCHITECTURE", "SECURITY")), *sorted((REPO / "docs").glob("*.md")))

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\S*)[^\n]*$")
_MARK = re.compile(r"^<!-- (?P<name>[a-z ]+): (?P<value>.+) -->$")
_REQUIRED = "<!-- bridge: required -->"


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block; `line` is where its fence opens."""

    page: Path
    line: int
    language: str
    text: str
    marks: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.page.relative_to(REPO)}:{self.line} ({self.language})"


def blocks(page: Path) -> list[Block]:
    """Every fenced block of a page, in order."""
    found: list[Block] = []
    marks: dict[str, str] = {}
    opened: tuple[int, str] | None = None
    inside: list[str] = []
    for number, line in enumerate(page.read_text("utf-8").splitlines(), start=1):
        if opened is not None:
            if line == "```":
                found.append(Block(page, *opened, "\n".join(inside) + "\n", marks))
                opened, inside, marks = None, [], {}
            else:
                inside.append(line)
        elif fence := _FENCE.match(line):
            assert not fence["indent"], f"{page}:{number}: an indented block is not found by the tests"
            opened = number, fence["language"]
        elif mark := _MARK.match(line):
            marks[mark["name"]] = mark["value"]
        elif line.strip():
            marks = {}
    assert opened is None, f"{page}:{opened}: the block does not end"
    return found


def wants_login(page: Path) -> bool:
    """Whether the blocks of a page speak to a bridge that requires a login."""
    return _REQUIRED in page.read_text("utf-8")
