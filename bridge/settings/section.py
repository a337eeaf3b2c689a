"""The base class of the settings' tables, and shared types and checks."""

import re
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr

Seconds = Annotated[float, Field(gt=0, le=86400)]
Days = Annotated[int, Field(ge=1, le=24_855)]  # in seconds, the maximum of MongoDB's TTL index

_HOST = re.compile(r"(?P<host>\[[^\[\]]+\]|[^:\[\]]*)(:(?P<port>\d{1,5}))?", re.ASCII)
_NOT_IN_NAMES = re.compile(r"[\s,%\x00-\x1f]")
_UNESCAPED = re.compile(r"@|:.*:|%(?![0-9A-Fa-f]{2})")


class Section(BaseModel):
    """A table of the settings file. Unknown names are errors, so that a misspelt setting is not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def in_url(host: str) -> str:
    """Return a host as URLs contain it: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


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
    """Check login and hosts of a URL; a MongoDB URL may have several hosts, separated by commas."""
    login, _, hosts = parts.netloc.rpartition("@")
    if "@" not in parts.netloc and "@" in f"{parts.path}{parts.query}{parts.fragment}":
        raise ValueError("a / ? or # in the user or password must be written %2F %3F %23")
    if not hosts:
        raise ValueError("names no host")
    is_mongodb = parts.scheme.startswith("mongodb")
    if is_mongodb and _UNESCAPED.search(login):  # its driver refuses what others accept
        raise ValueError("an @ : or % in the user or password must be written %40 %3A %25")
    for host in hosts.split(",") if is_mongodb else [hosts]:
        found = _HOST.fullmatch(host)
        if not found or (found["port"] and not 1 <= int(found["port"]) <= 65535):
            raise ValueError("the host must be a name or address, and its port a number from 1 to 65535")
        if not found["host"]:
            raise ValueError("names no host")
        if not _is_name(found["host"]):
            raise ValueError("the host is not a name: each part between dots must have 1 to 63 characters, no space or comma")


def _is_name(host: str) -> bool:
    """Return whether a host can be looked up. An address in brackets or the path of a socket, with %2F, is not a name."""
    if host.startswith("[") or "%2f" in host.lower():
        return True
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return not _NOT_IN_NAMES.search(host)
