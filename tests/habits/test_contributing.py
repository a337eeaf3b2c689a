"""CONTRIBUTING.md and its companions: what they name exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.habits.test_workflows import TARGETS, made
from tests.servers import REPO

TEXT = (REPO / "CONTRIBUTING.md").read_text("utf-8")
COMING = ("docs", "web/src/standards")
_PATH = re.compile(r"`((?:bridge|tests|web|config|docs)/[\w./-]+\.\w+)`")


def anchor(heading: str) -> str:
    """As a rendered page has it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "CHANGELOG.md"])
def test_links_lead_somewhere(name: str) -> None:
    text = (REPO / name).read_text("utf-8")
    headings = {anchor(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith("#"):
            assert link[1:] in headings, link
        elif "://" not in link:
            assert (REPO / link).exists(), link


def test_targets_that_are_named_exist() -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    named = {
        target for code in [*blocks, *re.findall(r"`([^`\n]+)`", TEXT)] for target in made(re.sub(r"#.*|ARGS=.*", "", code))
    }
    assert {"install", "hooks", "check", "test"} <= named
    assert {target for target in named if not target.startswith(".")} <= TARGETS


def test_every_recipe_is_in_the_table_of_contents() -> None:
    recipes = re.findall(r"^### (.*)$", TEXT, re.MULTILINE)
    assert len(recipes) == 8
    assert all(f"](#{anchor(recipe)})" in TEXT for recipe in recipes)


@pytest.mark.skipif(not all((REPO / path).exists() for path in COMING), reason=f"not here yet: {' or '.join(COMING)}")
def test_files_that_recipes_name_exist() -> None:
    named = {Path(path) for path in _PATH.findall(TEXT) if "<" not in path}
    assert len(named) > 20
    assert sorted(str(path) for path in named if not (REPO / path).exists()) == []
