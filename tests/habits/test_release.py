"""What may be released: tag, version and changelog agree; the changelog is in the form of Keep a Changelog."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from bridge import __version__
from tests.habits import load, script
from tests.servers import REPO

release = load("release")
CHANGELOG = """# Changelog

## [Unreleased]

## [1.2.0] - 2026-02-28

### Added

- A door.

## [1.1.0] - 2026-01-01

- A wall.
"""


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A repository of version 1.2.0 that may be released."""
    for name in ("bridge", "web"):
        (tmp_path / name).mkdir()
    (tmp_path / "bridge" / "__init__.py").write_text('"""Text."""\n\n__version__ = "1.2.0"\n')
    (tmp_path / "web" / "package.json").write_text('{"version": "1.2.0"}')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    kustomization = tmp_path / "docker" / "k8s" / "base" / "kustomization.yaml"
    kustomization.parent.mkdir(parents=True)
    kustomization.write_text('images:\n  - name: sensor-bridge\n    newTag: "1.2.0"\n')
    return tmp_path


def test_tag_that_agrees_with_everything_may_be_released(house: Path) -> None:
    assert list(release.mistakes(house, "v1.2.0")) == []


@pytest.mark.parametrize("tag", ["1.2.0", "v1.2", "v1.1.0", "v1.2.0-rc1"])
def test_tag_of_another_version_is_refused(house: Path, tag: str) -> None:
    assert list(release.mistakes(house, tag)) == [f'tag {tag}: bridge/__init__.py has version 1.2.0; the tag must be "v1.2.0"']


def test_kubernetes_image_of_another_version_is_refused(house: Path) -> None:
    (house / "docker" / "k8s" / "base" / "kustomization.yaml").write_text('images:\n  - newTag: "1.1.0"\n')
    assert list(release.mistakes(house, "v1.2.0")) == [
        "docker/k8s/base/kustomization.yaml: newTag 1.1.0; it must be 1.2.0, as in bridge/__init__.py"
    ]


def test_page_of_another_version_is_refused(house: Path) -> None:
    (house / "web" / "package.json").write_text('{"version": "1.1.0"}')
    assert list(release.mistakes(house, "v1.2.0")) == [
        "web/package.json: version 1.1.0; it must be 1.2.0, as in bridge/__init__.py"
    ]


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        ("## [1.2.0] - 2026-02-28", "## [1.2.1] - 2026-02-28", "no section [1.2.0]"),
        ("## [1.2.0] - 2026-02-28", "## [1.2.0]", "must have a date"),
        ("## [1.2.0] - 2026-02-28", "## [1.2.0] - 2026-02-30", "must have a date"),
        ("### Added\n\n- A door.\n", "", "and entries"),
        ("## [Unreleased]\n", "## [Unreleased]\n\n- A roof.\n", "must be an empty [Unreleased]"),
        ("## [Unreleased]\n", "", "must be an empty [Unreleased]"),
    ],
)
def test_changelog_that_is_not_ready_is_refused(house: Path, before: str, after: str, what: str) -> None:
    (house / "CHANGELOG.md").write_text(CHANGELOG.replace(before, after))
    (mistake,) = release.mistakes(house, "v1.2.0")
    assert what in mistake


def test_notes_of_a_release_are_the_section_of_its_version() -> None:
    assert [(one.version, one.text) for one in release.sections(CHANGELOG)] == [
        ("Unreleased", ""),
        ("1.2.0", "### Added\n\n- A door."),
        ("1.1.0", "- A wall."),
    ]


def test_script_refuses_a_tag_of_another_version_and_says_why() -> None:
    run = subprocess.run([sys.executable, script("release"), "v0.0.0"], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert f'the tag must be "v{__version__}"' in run.stderr
    assert run.stdout == ""


# --- our changelog ---------------------------------------------------------------------------------------------------


OURS = release.sections((REPO / "CHANGELOG.md").read_text("utf-8"))


def test_changelog_starts_with_unreleased_and_has_the_version_of_the_code() -> None:
    assert OURS[0].version == "Unreleased"
    assert __version__ in [one.version for one in OURS]


def test_released_versions_have_dates_and_the_newest_is_first() -> None:
    days = [one.day for one in OURS[1:]]
    assert None not in days
    assert all(newer >= older for newer, older in pairwise(days))
    numbers = [tuple(map(int, one.version.split("."))) for one in OURS[1:]]
    assert numbers == sorted(set(numbers), reverse=True)


def test_entries_stand_under_the_headings_of_keep_a_changelog() -> None:
    allowed = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    for one in OURS:
        headings = re.findall(r"^### (.*)$", one.text, re.MULTILINE)
        assert set(headings) <= allowed
        assert len(headings) == len(set(headings))
        assert bool(headings) == bool(one.text)
