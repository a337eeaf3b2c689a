"""Reads the rules file."""

from pathlib import Path

from bridge.alarms.rules_file import AlarmsFile, load
from bridge.core.errors import RuleFileError


def read_rules(path: Path | None) -> AlarmsFile:
    """Return what the file says; without one, the default rules. Raises `RuleFileError`."""
    if path is None:
        return load("")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RuleFileError([f"{path}: cannot be read: {error}"]) from None
    try:
        return load(text)
    except RuleFileError as error:
        raise RuleFileError([f"{path}: {one}" for one in error.mistakes]) from None
