"""The base class of the settings' tables, and shared types and checks."""

import re
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr

Seconds = Annotated[float, Field(gt=0, le=86400)]
Days = Annotated[int, Field(ge=1, le=24_855)]  # in seconds, the maximum of MongoDB's TTL index

TopicPrefix = Annotated[
    str, Field(min_length=1, max_length=128, pattern=r"^[^+#{}/$\x00-\x1f\x7f]([^+#{}\x00-\x1f\x7f]*[^+#{}/\x00-\x1f\x7f])?$")
]
"""The first levels of a topic: no wildcards, no slash at either end."""

_HOST = re.compile(r"(?P<host>\[[^\[\]]+\]|[^:\[\]]*)(:(?P<port>\d{1,5}))?", re.ASCII)
_NOT_IN_NAMES = re.compile(r"[\s,%\x00-\x1f]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_UNESCAPED = re.compile(r"@|:.*:|%(?![0-9A-Fa-f]{2})")


class Section(BaseModel):
    """A table of the settings file. Unknown names are errors, so that a misspelt setting is not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def in_url(host: str) -> str:
    """Return a host as URLs contain it: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def check_url(url: SecretStr, schemes: set[str], login: str = "") -> SplitResult:
    """Return the parts of a URL. Raises `ValueError` with a text that omits the URL, which may contain a password.

    `login` names the settings that take user and password instead of the URL, for that text.
    """
    text = url.get_secret_value()
    allowed = " or ".join(f"{scheme}://" for scheme in sorted(schemes))
    otherwise = f", or set {login}, where they are written as they are" if login else ""
    if _CONTROL.search(text):
        raise ValueError("contains a tab, a line break or another control character")
    try:
        parts = urlsplit(text)
    except ValueError:
        remedy = f": a [ or ] in the user or password must be written %5B %5D{otherwise}" if "@" in text else ""
        raise ValueError(f"not a URL{remedy}") from None
    if parts.scheme not in schemes:
        raise ValueError(f"must begin with {allowed}")
    if parts.scheme != "sqlite":
        _check_login(parts, otherwise)
        _check_hosts(parts)
    return parts


def _check_login(parts: SplitResult, otherwise: str) -> None:
    """Refuse a URL that would be cut within the user or password: what follows the cut would be taken for the host."""
    is_mongodb = parts.scheme.startswith("mongodb")
    after_host = f"{parts.path}{parts.fragment}"
    if not is_mongodb or "@" not in parts.netloc:  # an option of MongoDB may contain an @: appName=@name@
        after_host += parts.query
    if "@" in after_host:
        raise ValueError(f"a / ? or # in the user or password must be written %2F %3F %23{otherwise}")
    if parts.fragment:
        raise ValueError(
            f"a # in the user or password must be written %23{otherwise}; nothing else in this URL may contain one"
        )
    if is_mongodb and _UNESCAPED.search(parts.netloc.rpartition("@")[0]):  # its driver refuses what others accept
        raise ValueError(f"an @ : or % in the user or password must be written %40 %3A %25{otherwise}")


def _check_hosts(parts: SplitResult) -> None:
    """Check the hosts of a URL; a MongoDB URL may have several, separated by commas."""
    hosts = parts.netloc.rpartition("@")[2]
    if not hosts:
        raise ValueError("names no host")
    for host in hosts.split(",") if parts.scheme.startswith("mongodb") else [hosts]:
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
