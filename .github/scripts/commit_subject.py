#!/usr/bin/env python3
"""Check the subject of a commit message: `room: imperative subject`, at most 72 characters.

    commit_subject.py FILE               a message file: how Git calls a commit-msg hook
    commit_subject.py --range A..B       every commit of a range: how CI checks a pull request

Exit code 1 if a message is not accepted. Needs only Python and Git.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LENGTH = 72
ALLOWED = f'allowed: "room: imperative subject", at most {LENGTH} characters, as in "hub: resume slow clients from the log"'

# Written by Git itself, or folded into another commit before anybody reads it.
_GENERATED = re.compile(r'Merge |Revert "|Reapply "|(?:fixup|squash|amend)! ')
_FORM = re.compile(r"(?P<room>[a-z0-9][a-z0-9_./-]*):(?P<gap>\s*)(?P<subject>.*)")
_WORD = re.compile(r"[A-Za-z]+(?:['’-][A-Za-z]+)*")

_PAST = {
    "agreed", "became", "began", "bent", "bought", "bound", "bred", "broke", "brought", "built", "came", "caught",
    "chose", "decreed", "did", "drew", "drove", "fed", "fell", "felt", "fled", "forgot", "fought", "found", "freed",
    "froze", "gave", "got", "grew", "guaranteed", "had", "held", "hid", "kept", "knew", "laid", "led", "left", "lent",
    "lost", "made", "meant", "met", "paid", "ran", "refereed", "said", "sank", "sat", "sent", "shook", "slept", "sold",
    "sought", "spent", "spoke", "sprang", "stole", "stood", "struck", "stuck", "swam", "swore", "taught", "thought",
    "threw", "told", "took", "tore", "understood", "undid", "went", "woke", "won", "wore", "wove", "wrote",
}  # fmt: skip
_BASE_IN_ED = {"embed", "imbed"}
_BASE_IN_S = {"alias", "always", "bias", "canvas", "focus"}
_NO_VERB = {
    "a", "am", "an", "and", "are", "been", "being", "but", "each", "every", "he", "her", "his", "how", "i", "if", "is",
    "it", "its", "more", "my", "new", "no", "our", "she", "some", "that", "the", "their", "these", "they", "this",
    "those", "was", "we", "were", "what", "when", "where", "which", "who", "whoever", "whose", "why", "your",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong with a subject, and from which to which character."""

    text: str
    start: int
    end: int


def mistakes(message: str) -> list[Mistake]:
    """All that is wrong with a commit message; comment lines, as an editor shows them, do not count."""
    lines = [line.rstrip() for line in message.splitlines() if not line.startswith("#")]
    while lines and not lines[0]:
        del lines[0]
    if not lines:
        return [Mistake("the message is empty", 0, 0)]
    if _GENERATED.match(lines[0]):
        return []
    found = list(_subject_mistakes(lines[0]))
    if len(lines) > 1 and lines[1]:
        found.append(Mistake("the line after the subject is not empty", 0, 0))
    return found


def subject_of(message: str) -> str:
    """The first line with a text in it."""
    return next((line.rstrip() for line in message.splitlines() if line.strip() and not line.startswith("#")), "")


def _subject_mistakes(line: str) -> Iterator[Mistake]:
    if len(line) > LENGTH:
        yield Mistake(f"{len(line)} characters, {len(line) - LENGTH} too many", LENGTH, len(line))
    if line.endswith("."):
        yield Mistake("a period at the end", len(line) - 1, len(line))
    form = _FORM.match(line)
    if form is None:
        yield Mistake('no room, in lower case and followed by ":", at the start', 0, 1)
        return
    if form["gap"] != " ":
        yield Mistake("not exactly one space after the colon", form.start("gap") - 1, form.end("gap"))
    yield from _word_mistakes(form["subject"], form.start("subject"))


def _word_mistakes(subject: str, start: int) -> Iterator[Mistake]:
    word = _WORD.match(subject)
    if word is None:
        yield Mistake("the subject does not start with a verb", start, start + 1)
        return
    if word[0][0].isupper():
        yield Mistake("the subject starts with a capital letter", start, start + 1)
    if (wrong := not_imperative(word[0].lower())) is not None:
        yield Mistake(f'"{word[0]}" {wrong}', start, start + word.end())


def not_imperative(word: str) -> str | None:
    """Why a word, in lower case, is no verb in the imperative; None if it may be one.

    By its ending, so some words get through. A stem without a vowel is the whole verb: `ping`, `string`, `shed`.
    """
    last = word.rpartition("-")[2]
    if last in _NO_VERB:
        return "is not a verb in the imperative mood"
    if last in _PAST:
        return "is in the past tense"
    if _stem_has_vowel(last, "ing"):
        return "is a gerund"
    if _stem_has_vowel(last, "ed") and not last.endswith("eed") and last not in _BASE_IN_ED:
        return "is in the past tense"
    if last.endswith("s") and not last.endswith("ss") and last not in _BASE_IN_S:
        return "is a plural, or says what something does"
    return None


def _stem_has_vowel(word: str, ending: str) -> bool:
    return word.endswith(ending) and re.search("[aeiouy]", word.removesuffix(ending)) is not None


def report(message: str, where: str) -> str:
    """What to tell the author: empty if the message is fine."""
    subject, found = subject_of(message), mistakes(message)
    if not found:
        return ""
    lines = [f"{where}: {'; '.join(one.text for one in found)}"]
    if subject:
        marks = [" "] * max(len(subject), *(one.end for one in found))
        for one in found:
            marks[one.start : one.end] = "^" * (one.end - one.start)
        lines += [f"  {subject}", f"  {''.join(marks)}".rstrip()]
    return "\n".join([*(line for line in lines if line), ALLOWED])


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True, encoding="utf-8").stdout


def _of_range(commits: str) -> Iterator[tuple[str, str]]:
    for commit in _git("rev-list", "--reverse", "--no-merges", commits).split():
        yield f"commit {commit[:12]}", _git("show", "--no-patch", "--format=%B", commit)


def main(arguments: list[str]) -> int:
    """The exit code."""
    match arguments:
        case ["--range", commits]:
            messages = list(_of_range(commits))
        case [path] if not path.startswith("-"):
            messages = [("commit message", Path(path).read_text("utf-8"))]
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    reports = [told for where, message in messages if (told := report(message, where))]
    print(*reports, sep="\n", end="\n" if reports else "", file=sys.stderr)
    return 1 if reports else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
