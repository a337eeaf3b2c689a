"""Where a bridge listens, and what it is shown."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bridge.core.errors import BridgeError
from bridge.tools.api_client import authorization_header


@dataclass(frozen=True, slots=True)
class Address:
    """Host and port; with `tls` it is `https`. `token` is shown wherever somebody connects."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    token: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str, token: str | None = None) -> Address:
        """Of `http://host:port` or `https://…`. Raises `BridgeError`."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise BridgeError(f"{url}: {error}") from None
        if parts.scheme not in ("http", "https") or not host or parts.path.strip("/"):
            raise BridgeError(f"{url}: a bridge's address looks like http://host:3000")
        tls = ssl.create_default_context() if parts.scheme == "https" else None
        return cls(host, port or (443 if tls else 80), tls, token)

    @property
    def headers(self) -> dict[str, str]:
        """Of every request."""
        return authorization_header(self.token)

    def __str__(self) -> str:
        """As a URL."""
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"
