#!/usr/bin/env python3
"""Print the oldest release of each dependency that pyproject.toml allows, as `name==version`, for pip-audit to ask about.

Of the bridge and its extras, not of the development tools.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_REQUIREMENT = re.compile(r"\s*([\w.-]+)\s*(?:\[[^\]]*\])?\s*(.*)")
_FLOOR = re.compile(r"(?:>=|==|~=)\s*([\w.]+)")


def floor(requirement: str) -> str:
    """Of `a[b]>=1,<3; marker` it is `a==1`. Raises `ValueError` for a requirement without a lower bound."""
    match = _REQUIREMENT.match(requirement.partition(";")[0])
    bound = _FLOOR.search(match[2]) if match else None
    if match is None or bound is None:
        raise ValueError(f"pyproject.toml: {requirement!r} has no lower bound; write name>=version")
    return f"{match[1]}=={bound[1]}"


def floors(project: dict[str, Any]) -> Iterator[str]:
    """Those of a parsed pyproject.toml."""
    for group in (project["project"]["dependencies"], *project["project"]["optional-dependencies"].values()):
        yield from map(floor, group)


def main() -> int:
    """The exit code."""
    try:
        print(*floors(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))), sep="\n")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
