"""The error tree."""

from __future__ import annotations

import re

from bridge.core import errors
from bridge.core.payload import PayloadError


def test_docstring_lists_every_error_below_its_base() -> None:
    classes = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)}
    classes.add(PayloadError)
    tree: dict[str, str] = {}  # error to base
    bases: list[str] = []
    for line in str(errors.__doc__).splitlines():
        if names := re.findall(r"[A-Z]\w+", line) if line.startswith(("BridgeError", "├", "│", "└")) else []:
            depth = len(re.split(r"\w", line, maxsplit=1)[0]) // 4
            bases[depth:] = [names[-1]]
            tree |= dict.fromkeys(names, bases[depth - 1] if depth else "Exception")
    assert tree == {error.__name__: error.__bases__[0].__name__ for error in classes}
