"""The commit-msg check: which subjects it accepts, and what it says of the others."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.habits import load, script
from tests.servers import REPO

check = load("commit_subject")


def told(message: str) -> str:
    """The first line of the report, without where it is."""
    return check.report(message, "here").partition("\n")[0].removeprefix("here: ")  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "subject",
    [
        "hub: resume slow clients from the log",
        "docs: explain what a store promises",
        "ci: ping the broker before the tests",
        "web/i18n: spell out the units in French",
        "core.formats: add Shelly",
        "stores: embed the schema version",
        "api: proceed without a cursor",
        "mqtt: string the levels of a topic together",
        "hub: bring back the replay of long gaps",
        "access: pass the scope to the hub",
        "api: process NDJSON line by line",
        "page: focus the first field that is wrong",
        "sqlite: always close the worker",
        "api: do not parse a list twice",
        "socketio: re-add the poll queue",
        "tests: don't wait for the clock",
        "ci: " + "x" * 68,
    ],
)
def test_good_subject_is_accepted(subject: str) -> None:
    assert check.report(subject, "here") == ""
    assert check.report(f"{subject}\n\nThe body says why. It was added.\n", "here") == ""


@pytest.mark.parametrize(
    "subject",
    [
        "Merge branch 'habits' into main",
        "Merge pull request #12 from somebody/habits",
        'Revert "hub: resume slow clients from the log, whatever the reason for their being slow may be"',
        'Reapply "hub: resume slow clients from the log"',
        "fixup! hub: resume slow clients from the log",
        "squash! Hub: resumed.",
        "amend! hub: resume slow clients from the log",
    ],
)
def test_subject_that_git_generates_is_accepted(subject: str) -> None:
    assert check.report(subject, "here") == ""


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("added", "in the past tense"),
        ("fixed", "in the past tense"),
        ("re-added", "in the past tense"),
        ("agreed", "in the past tense"),
        ("made", "in the past tense"),
        ("wrote", "in the past tense"),
        ("adding", "a gerund"),
        ("using", "a gerund"),
        ("trying", "a gerund"),
        ("syncing", "a gerund"),
        ("adds", "a plural, or says what something does"),
        ("tests", "a plural, or says what something does"),
        ("a", "not a verb in the imperative mood"),
        ("the", "not a verb in the imperative mood"),
        ("what", "not a verb in the imperative mood"),
    ],
)
def test_first_word_that_is_not_imperative_is_refused(word: str, why: str) -> None:
    assert told(f"docs: {word} page about stores") == f'"{word}" is {why}'


@pytest.mark.parametrize(
    ("message", "what"),
    [
        ("", "the message is empty"),
        ("# only a comment\n", "the message is empty"),
        ("add a page", 'no room, in lower case and followed by ":", at the start'),
        ("Docs: add a page", 'no room, in lower case and followed by ":", at the start'),
        ("docs:add a page", "not exactly one space after the colon"),
        ("docs:  add a page", "not exactly one space after the colon"),
        ("docs: Add a page", "the subject starts with a capital letter"),
        ("docs: 3 pages", "the subject does not start with a verb"),
        ("docs:", "not exactly one space after the colon; the subject does not start with a verb"),
        ("docs: add a page.", "a period at the end"),
        ("ci: " + "x" * 69, "73 characters, 1 too many"),
        ("docs: add a page\nand one more", "the line after the subject is not empty"),
        ("docs: Added a page.", 'a period at the end; the subject starts with a capital letter; "Added" is in the past tense'),
    ],
)
def test_other_mistakes_are_named_all_at_once(message: str, what: str) -> None:
    assert told(message) == what


def test_comments_and_blank_lines_above_the_subject_are_skipped() -> None:
    assert check.report("\n# Please enter the commit message\n\ndocs: add a page\n# On branch main\n", "here") == ""


def test_report_says_what_is_wrong_where_and_what_is_allowed() -> None:
    assert check.report("docs: added a page", "commit message").splitlines() == [
        'commit message: "added" is in the past tense',
        "  docs: added a page",
        "        ^^^^^",
        'allowed: "room: imperative subject", at most 72 characters, as in "hub: resume slow clients from the log"',
    ]


# --- with Git --------------------------------------------------------------------------------------------------------


class Repository:
    """A repository with the hooks of ours, in a folder of a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        hidden = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        self._environment = hidden | {
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "PRE_COMMIT_HOME": str(folder / "cache"),
            **{f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.folder, env=self._environment, capture_output=True, text=True, check=False, timeout=60
        )

    def commit(self, message: str) -> subprocess.CompletedProcess[str]:
        return self.run("git", "commit", "--quiet", "--allow-empty", "--message", message)

    def subjects(self) -> list[str]:
        return self.run("git", "log", "--format=%s").stdout.splitlines()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path)
    assert made.run("git", "init", "--quiet", "--initial-branch=main").returncode == 0
    shutil.copytree(script("commit_subject").parent, tmp_path / ".github" / "scripts")
    return made


def test_installed_hook_lets_only_good_subjects_into_the_history(repository: Repository) -> None:
    shutil.copy(REPO / ".pre-commit-config.yaml", repository.folder)
    (repository.folder / ".venv").symlink_to(sys.prefix)
    installed = repository.run(sys.executable, "-m", "pre_commit", "install", "--hook-type", "commit-msg")
    assert installed.returncode == 0, installed.stderr

    refused = repository.commit("docs: added a page")
    assert refused.returncode != 0
    assert '"added" is in the past tense' in refused.stdout + refused.stderr

    accepted = repository.commit("docs: add a page")
    assert accepted.returncode == 0, accepted.stdout + accepted.stderr
    assert repository.commit("fixup! docs: add a page").returncode == 0
    assert repository.subjects() == ["fixup! docs: add a page", "docs: add a page"]


def test_range_is_checked_commit_by_commit_without_merges(repository: Repository) -> None:
    def checked(commits: str) -> subprocess.CompletedProcess[str]:
        return repository.run(sys.executable, str(script("commit_subject")), "--range", commits)

    for message in ("Before the rules.", "docs: add a page", "docs: pages", "ci: run the hooks"):
        assert repository.commit(message).returncode == 0
    assert checked("HEAD~1..HEAD").returncode == 0
    wrong = checked("HEAD~3..HEAD")
    assert wrong.returncode == 1
    assert wrong.stderr.count("allowed:") == 1
    assert "docs: pages" in wrong.stderr


def test_wrong_arguments_show_the_usage() -> None:
    used = subprocess.run([sys.executable, script("commit_subject")], capture_output=True, text=True, check=False)
    assert used.returncode == 2
    assert "--range A..B" in used.stderr
