"""The address of a bridge, with the token that it requires."""

import ssl
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bridge.core.errors import BridgeError
from bridge.settings.section import in_url
from bridge.tools.api_client import authorization_header


@dataclass(frozen=True, slots=True)
class Address:
    """Host and port; `https` if `tls` is set. Every connection presents `token`."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    token: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str, token: str | None = None) -> "Address":
        """Parse `http://host:port` or `https://…`. Raises `BridgeError`, whose text never contains a password."""
        if "@" in url:
            raise BridgeError(
                "--url: must not contain a user or password: use --token or --token-file; expected http://host:3000"
            )
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise BridgeError(f"{url}: {error}") from None
        if parts.scheme not in ("http", "https") or not host or parts.path.strip("/"):
            raise BridgeError(f"{url}: not a bridge's address: expected http://host:3000")
        tls = ssl.create_default_context() if parts.scheme == "https" else None
        return cls(host, port or (443 if tls else 80), tls, token)

    @property
    def headers(self) -> dict[str, str]:
        return authorization_header(self.token)

    def __str__(self) -> str:
        return f"{'https' if self.tls else 'http'}://{in_url(self.host)}:{self.port}"
