"""The base class of the settings' tables, and shared types and checks."""

import re
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr

Seconds = Annotated[float, Field(gt=0, le=86400)]
Days = Annotated[int, Field(ge=1, le=24_855)]  # in seconds, the maximum of MongoDB's TTL index

_HOST = re.compile(r"(\[[^\[\]]+\]|[^:\[\]]*)(:(?P<port>\d{1,5}))?", re.ASCII)


class Section(BaseModel):
    """A table of the settings file. Unknown names are errors, so that a misspelt setting is not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def check_url(url: SecretStr, schemes: set[str]) -> SplitResult:
    """Return the parts of a URL. Raises `ValueError` with a text that omits the URL, which may contain a password."""
    allowed = " or ".join(f"{scheme}://" for scheme in sorted(schemes))
    try:
        parts = urlsplit(url.get_secret_value())
    except ValueError:
        raise ValueError("not a URL") from None
    if parts.scheme not in schemes:
        raise ValueError(f"must begin with {allowed}")
    if parts.scheme != "sqlite":
        _check_hosts(parts)
    return parts


def _check_hosts(parts: SplitResult) -> None:
    """Check the hosts of a URL; a MongoDB URL may have several, separated by commas."""
    if not parts.netloc:
        raise ValueError("names no host")
    if "@" not in parts.netloc and "@" in f"{parts.path}{parts.query}{parts.fragment}":
        raise ValueError("a / ? or # in the user or password must be written %2F %3F %23")
    for host in parts.netloc.rpartition("@")[2].split(","):
        found = _HOST.fullmatch(host)
        if not found or (found["port"] and not 1 <= int(found["port"]) <= 65535):
            raise ValueError("the host must be a name or address, and its port a number from 1 to 65535")
