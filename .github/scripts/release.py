#!/usr/bin/env python3
"""Check that a tag may be released, and print the release notes: the section of its version in CHANGELOG.md.

    release.py v1.2.3

Exit code 1, with all that does not agree, unless the tag is `v` and `bridge.__version__`, the page and the Kubernetes
manifests have the same version, and the changelog has a dated section of it with a text, below an empty `Unreleased`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_VERSION = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)
_IMAGE_TAG = re.compile(r'^ +(?:- )?newTag: "([^"]+)"$', re.MULTILINE)
_KUSTOMIZATION = "docker/k8s/base/kustomization.yaml"
_HEADING = re.compile(r"^## \[(?P<version>[^\]]+)\](?P<rest>.*)$", re.MULTILINE)
_DATED = re.compile(r" - (\d{4}-\d{2}-\d{2})")


@dataclass(frozen=True, slots=True)
class Section:
    """What the changelog says of a version; `day` is None if it has no date that exists."""

    version: str
    day: date | None
    text: str


def sections(changelog: str) -> list[Section]:
    """In the order of the file."""
    headings = list(_HEADING.finditer(changelog))
    ends = [*(heading.start() for heading in headings[1:]), len(changelog)]
    return [
        Section(heading["version"], _day(heading["rest"]), changelog[heading.end() : end].strip())
        for heading, end in zip(headings, ends, strict=True)
    ]


def _day(rest: str) -> date | None:
    dated = _DATED.fullmatch(rest)
    try:
        return date.fromisoformat(dated[1]) if dated else None
    except ValueError:
        return None


def version_of(root: Path) -> str:
    """`bridge.__version__`, without importing anything."""
    found = _VERSION.search((root / "bridge" / "__init__.py").read_text("utf-8"))
    if found is None:
        raise SystemExit('bridge/__init__.py: no line `__version__ = "…"`')
    return found[1]


def _image_tag(root: Path) -> str | None:
    """The tag of the image in the Kubernetes manifests, without a YAML parser."""
    found = _IMAGE_TAG.search((root / _KUSTOMIZATION).read_text("utf-8"))
    return None if found is None else found[1]


def mistakes(root: Path, tag: str) -> Iterator[str]:
    """All that does not agree with `tag`."""
    version = version_of(root)
    if tag != f"v{version}":
        yield f'tag {tag}: bridge/__init__.py has version {version}; the tag must be "v{version}"'
    page = json.loads((root / "web" / "package.json").read_text("utf-8"))["version"]
    if page != version:
        yield f"web/package.json: version {page}; it must be {version}, as in bridge/__init__.py"
    image = _image_tag(root)
    if image != version:
        yield f"{_KUSTOMIZATION}: newTag {image}; it must be {version}, as in bridge/__init__.py"
    found = sections((root / "CHANGELOG.md").read_text("utf-8"))
    if not found or found[0].version != "Unreleased" or found[0].text:
        yield "CHANGELOG.md: the first section must be an empty [Unreleased]; move its entries to the version"
    of_version = next((section for section in found if section.version == version), None)
    if of_version is None:
        yield f"CHANGELOG.md: no section [{version}]; add `## [{version}] - YYYY-MM-DD`"
    elif of_version.day is None or not of_version.text:
        yield f"CHANGELOG.md: section [{version}] must have a date, as in `## [{version}] - YYYY-MM-DD`, and entries"


def main(arguments: list[str]) -> int:
    """The exit code."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    if found := list(mistakes(ROOT, arguments[0])):
        print(*found, sep="\n", file=sys.stderr)
        return 1
    version = version_of(ROOT)
    print(next(section.text for section in sections((ROOT / "CHANGELOG.md").read_text("utf-8")) if section.version == version))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
