#!/usr/bin/env python3
"""Print our dependencies without their upper bounds, so that pip or npm installs the newest release of each.

    newest.py python     requirements of pyproject.toml, with all extras and the group `dev`
    newest.py page       packages of web/package.json

A bound like `==1.2` stays: it names one release for its content, not a range.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_BOUNDS = re.compile(r"(?:===|==|~=|!=|<=|>=|<|>)\s*[^,;\s]+(?:\s*,\s*(?:===|==|~=|!=|<=|>=|<|>)\s*[^,;\s]+)*")


def lifted(requirement: str) -> str:
    """A requirement with its lower bounds and exact versions only: `a[b]>=1,<3; marker` is `a[b]>=1; marker`."""
    named, semicolon, marker = requirement.partition(";")
    bounds = _BOUNDS.search(named)
    if bounds is None:
        return requirement
    kept = [bound.replace("~=", ">=") for bound in re.split(r"\s*,\s*", bounds[0]) if not bound.startswith(("<", "!="))]
    return f"{named[: bounds.start()].rstrip()}{','.join(kept)}{semicolon}{marker}"


def python_requirements(project: dict[str, Any]) -> Iterator[str]:
    """Those of a parsed pyproject.toml."""
    extras = project["project"]["optional-dependencies"].values()
    for group in (project["project"]["dependencies"], *extras, _group(project["dependency-groups"], "dev")):
        yield from map(lifted, group)


def _group(groups: dict[str, list[str | dict[str, str]]], name: str) -> Iterator[str]:
    """The requirements of a dependency group and of those that it includes."""
    for one in groups[name]:
        if isinstance(one, str):
            yield one
        else:
            yield from _group(groups, one["include-group"])


def page_packages(package: dict[str, dict[str, str]]) -> Iterator[str]:
    """Those of a parsed package.json."""
    for name in (*package["dependencies"], *package["devDependencies"]):
        yield f"{name}@latest"


def main(arguments: list[str]) -> int:
    """The exit code."""
    match arguments:
        case ["python"]:
            print(*python_requirements(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))), sep="\n")
        case ["page"]:
            print(*page_packages(json.loads((ROOT / "web" / "package.json").read_text("utf-8"))), sep="\n")
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
