"""Calls of a running bridge by commands."""

from pathlib import Path
from typing import Any

from bridge.cli.runner import errors, print_line, run_loop
from bridge.core.errors import BridgeError

LIST_LIMIT = 1000
"""The most rows that a list of the API has."""


def call_bridge(
    url: str, method: str, path: str, body: dict[str, Any] | None, token: str | None, token_file: Path | None
) -> dict[str, Any]:
    """Return the answer of a route, without parameters that are None in the body. Raises `BridgeError`."""
    from bridge.tools.api_client import call, read_token

    fields = None if body is None else {name: value for name, value in body.items() if value is not None}
    answer = run_loop(call(url, method, path, fields, read_token(token, token_file)))
    if not isinstance(answer, dict):
        raise BridgeError(f"the bridge at {url} answers with something else: is it another program, or an older version?")
    return answer


def print_more(limit: int) -> None:
    """Say that a list of `limit` rows is not complete, and what shows the others."""
    hint = f"--limit {LIST_LIMIT} lists more" if limit < LIST_LIMIT else "a filter such as --device finds others"
    print_line(f"there are more than {limit}: {hint}", errors)
