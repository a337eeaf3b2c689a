"""Links to one view of the dashboard that anyone who has them may read without a login, until they expire or are revoked."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bridge.core.access.accounts import EXPIRES_AT, scope_from_document, scope_to_document
from bridge.core.access.permissions import ResourceScope
from bridge.core.access.texts import is_plain
from bridge.core.errors import AccountError
from bridge.core.timestamp import iso

DAYS_DEFAULT, DAYS_LIMIT = 7, 365
VIEW_LENGTH = 1000
TITLE_LENGTH = 100
_VIEW = re.compile(r"#/[\x21-\x7e]*", re.ASCII)
_WITH_LINK = re.compile(r"[?&]link(=|&|$)", re.ASCII)


def view_of(text: str) -> str:
    """Return the fragment of the dashboard's address that a link opens. Raises `AccountError`."""
    if len(text) > VIEW_LENGTH or not _VIEW.fullmatch(text) or _WITH_LINK.search(text):
        raise AccountError(
            "view", f'must be a fragment such as "#/device/kitchen", at most {VIEW_LENGTH} characters, without a link'
        )
    return text


def title_of(text: str) -> str:
    """Return the name of a link in the list of links. Raises `AccountError`."""
    title = text.strip()
    if not title or len(title) > TITLE_LENGTH or not is_plain(title):
        raise AccountError("title", f"must be 1 to {TITLE_LENGTH} printable characters")
    return title


@dataclass(frozen=True, slots=True)
class SharedLink:
    """`secret` is the SHA-256 of a secret displayed only once."""

    id: str
    title: str
    view: str
    secret: str = field(repr=False)
    scope: ResourceScope
    created_ms: int
    expires_ms: int
    by: str

    def public(self) -> dict[str, Any]:
        """Return the link without its secret."""
        return {
            "id": self.id,
            "title": self.title,
            "view": self.view,
            "scope": scope_to_document(self.scope),
            "createdAt": iso(self.created_ms),
            "expires": iso(self.expires_ms),
            "by": self.by,
        }

    def to_document(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "view": self.view,
            "secret": self.secret,
            "scope": scope_to_document(self.scope),
            "createdAt": self.created_ms,
            EXPIRES_AT: self.expires_ms,
            "by": self.by,
        }


def shared_link_from_document(link_id: str, document: Mapping[str, Any]) -> SharedLink:
    return SharedLink(
        link_id,
        document["title"],
        document["view"],
        document["secret"],
        scope_from_document(document["scope"]) or ResourceScope(),
        document["createdAt"],
        document[EXPIRES_AT],
        document["by"],
    )
