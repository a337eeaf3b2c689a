"""Options of the commands that talk to a running bridge."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr

from bridge.settings.section import check_url


def _check_url(url: str) -> str:
    """Refuse what is no URL before a library does, and credentials, which error texts would print."""
    try:
        parts = check_url(SecretStr(url), {"http", "https"})
    except ValueError as error:
        raise typer.BadParameter(f"{error}; expected http://host:3000") from None
    if "@" in parts.netloc:
        raise typer.BadParameter("must not contain a user or password; use --token or --token-file")
    return url


UrlOption = Annotated[str, typer.Option(help="URL of a running bridge.", callback=_check_url)]
TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token", envvar="BRIDGE_TOKEN", help="Token or API key, if access is required. Other users can see arguments."
    ),
]
TokenFileOption = Annotated[Path | None, typer.Option("--token-file", help="File whose first line is the token or API key.")]
