"""Settings of the HTTP port."""

import re
import ssl
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, IPvAnyNetwork, field_validator, model_validator

from bridge.settings.section import Seconds, Section

_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", re.ASCII)


class CertificateSettings(Section):
    """The bridge's TLS certificate, in PEM format."""

    cert_file: Path | None = None
    key_file: Path | None = None
    minimum: Literal["1.2", "1.3"] = "1.2"

    @model_validator(mode="after")
    def _check_files(self) -> "CertificateSettings":
        if self.key_file and not self.cert_file:
            raise ValueError("key_file is set, cert_file is not")
        return self

    @property
    def context(self) -> ssl.SSLContext | None:
        """The TLS context, None for plain HTTP. Raises `OSError` if a file cannot be read or is invalid."""
        if self.cert_file is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_3 if self.minimum == "1.3" else ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.cert_file, self.key_file)
        return context


class HttpSettings(Section):
    """The port that dashboard, API, Socket.IO and WebSockets share."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 3000
    cors_origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[IPvAnyNetwork, ...] = ()
    header_seconds: Seconds = 10.0
    idle_seconds: Seconds = 75.0
    connections_per_address: Annotated[int, Field(ge=1, le=1_000_000)] = 1_000
    post_seconds: Seconds = 10.0
    post_limit: Annotated[int, Field(ge=1, le=10_000)] = 250
    posted_readings_limit: Annotated[int, Field(ge=10_000, le=1_000_000)] = 20_000
    tls: CertificateSettings = CertificateSettings()

    @property
    def is_local(self) -> bool:
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    @field_validator("cors_origins", "hosts", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("hosts")
    @classmethod
    def _check_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if not _NAME.fullmatch(host):
                raise ValueError(f"{host!r} is not a host name; allowed are names like bridge.example.org, without a port")
        return tuple(host.lower() for host in hosts)

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if "@" in origin:
                raise ValueError("an origin has no user and no password; allowed are origins like https://example.org")
            parts = urlsplit(origin)
            if origin != "*" and (parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query):
                raise ValueError(f"{origin!r} is not an origin; allowed are origins like https://example.org, or * for any")
        return origins
