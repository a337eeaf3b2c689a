#!/usr/bin/env python3
"""Keep one issue about the nightly run against the newest releases of our dependencies.

    newest_issue.py failed RUN_URL [REPORT]    open it, or bring its text up to date; REPORT is a file to quote
    newest_issue.py passed RUN_URL             close it, if it is open

Calls `gh`, which finds the repository and the token in GH_REPO and GH_TOKEN.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

LABEL = "newest-dependencies"
TITLE = "The suite fails against the newest releases of our dependencies"
_REPORT_CHARACTERS = 20_000  # an issue takes 65,536


def _gh(*arguments: str, text: str = "") -> str:
    called = subprocess.run(["gh", *arguments], input=text, check=True, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    return called.stdout


def _open_issue() -> str | None:
    """Its number, as `gh` takes it."""
    found = json.loads(_gh("issue", "list", "--label", LABEL, "--state", "open", "--limit", "1", "--json", "number"))
    return str(found[0]["number"]) if found else None


def body(run: str, report: str) -> str:
    """The text of the issue."""
    quoted = report.strip()[:_REPORT_CHARACTERS]
    beyond = f"Releases that our bounds exclude:\n\n```\n{quoted}\n```" if quoted else "No release is beyond our bounds."
    return (
        f"`make test-newest` failed. The last run that failed: {run}\n\n{beyond}\n\n"
        "Either support the new release, or give it an upper bound in `pyproject.toml` and say there why. "
        "This text is rewritten by each run that fails; the issue is closed by the next one that passes.\n"
    )


def failed(run: str, report: str) -> None:
    """Open the issue, or rewrite it."""
    _gh("label", "create", LABEL, "--force", "--description", "Found by the nightly run without upper bounds")
    number = _open_issue()
    if number is None:
        _gh("issue", "create", "--title", TITLE, "--label", LABEL, "--body-file", "-", text=body(run, report))
    else:
        _gh("issue", "edit", number, "--body-file", "-", text=body(run, report))


def passed(run: str) -> None:
    """Close the issue, if there is one."""
    if (number := _open_issue()) is not None:
        _gh("issue", "close", number, "--comment", f"`make test-newest` passes: {run}")


def main(arguments: list[str]) -> int:
    """The exit code."""
    match arguments:
        case ["failed", run]:
            failed(run, "")
        case ["failed", run, report]:
            failed(run, Path(report).read_text("utf-8") if Path(report).exists() else "")
        case ["passed", run]:
            passed(run)
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
