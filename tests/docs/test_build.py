"""The pages build strictly, and every link of the files at the root leads somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import PAGES
from tests.servers import REPO

ROOT_PAGES = [REPO / name for name in ("README.md", "ARCHITECTURE.md", "SECURITY.md")]
_LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")
_ABROAD = ("http://", "https://", "mailto:")


def test_the_site_builds_strictly_and_asks_no_other_host(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=REPO, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    loads = re.compile(r"<(?:script|link|img)[^>]*(?:src|href)=\"(https?:)?//(?!localhost)[^\"]+\"")
    for page in (tmp_path / "site").rglob("*.html"):
        assert not loads.search(page.read_text()), page.name


@pytest.mark.parametrize("page", ROOT_PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    text = page.read_text()
    assert [link for link in _links(text) if not _leads_somewhere(page, link)] == []


def _links(text: str) -> list[str]:
    return [one or other for one, other in _LINK.findall(text) if not (one or other).startswith(_ABROAD)]


def _leads_somewhere(page: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = page.parent / name if name else page
    return target.exists() and (not anchor or anchor in _headings(target.read_text()))


def _headings(text: str) -> set[str]:
    """The anchors that GitHub and mkdocs both make of them."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    """Of `bridge/` and `web/src/` only ARCHITECTURE.md names files; `tests/test_house.py` reads that."""
    named = re.findall(r"`((?:config|docker|tests|web/public|web/readme)/[\w./-]*)`", page.read_text())
    assert [name for name in named if not (REPO / name).exists()] == []


def test_the_readme_and_the_architecture_stay_short() -> None:
    assert len((REPO / "README.md").read_text().splitlines()) <= 150
    assert len((REPO / "ARCHITECTURE.md").read_text().splitlines()) <= 80
