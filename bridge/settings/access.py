"""Settings of access control: users, tokens and an identity provider."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from bridge.core.access.accounts import user_name
from bridge.core.access.permissions import Role
from bridge.settings.section import Seconds, Section, check_url

PASSWORD_LENGTHS = (10, 256)
"""The minimum and maximum number of characters of a password."""

_SECRET_BYTES = 32
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class AccessSettings(Section):
    """With `mode` "open", every client that reaches the port has all permissions."""

    mode: Literal["open", "required"] = "open"
    secret: SecretStr | None = None
    token_seconds: Annotated[float, Field(ge=60, le=86_400)] = 3600.0
    refresh_days: Annotated[float, Field(ge=0.01, le=365)] = 30.0
    login_seconds: Seconds = 9.0  # so that a client notices within 10
    admin_name: str = "admin"
    admin_password: SecretStr | None = None
    issuer: str | None = None
    jwks_url: str | None = None
    audience: str | None = None
    role_claim: str = "roles"
    roles: dict[str, Role] = Field(default_factory=dict)
    site_claim: str | None = None
    sites: dict[str, str] = Field(default_factory=dict)
    device_claim: str | None = None
    devices: dict[str, str] = Field(default_factory=dict)

    @property
    def required(self) -> bool:
        return self.mode == "required"

    @field_validator("secret")
    @classmethod
    def _check_secret(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(secret.get_secret_value().encode()) < _SECRET_BYTES:
            raise ValueError(f"shorter than {_SECRET_BYTES} bytes: generate one with `openssl rand -base64 32`")
        return secret

    @field_validator("admin_password")
    @classmethod
    def _check_password(cls, password: SecretStr | None) -> SecretStr | None:
        if password is not None and not PASSWORD_LENGTHS[0] <= len(password.get_secret_value()) <= PASSWORD_LENGTHS[1]:
            raise ValueError("a password must have {} to {} characters".format(*PASSWORD_LENGTHS))
        return password

    @field_validator("admin_name")
    @classmethod
    def _normalize_name(cls, name: str) -> str:
        return user_name(name)

    @field_validator("jwks_url")
    @classmethod
    def _check_jwks_url(cls, url: str | None) -> str | None:
        """Keys fetched without TLS could be replaced on the way."""
        parts = urlsplit(url or "https://")
        if parts.scheme != "https" and (parts.scheme != "http" or parts.hostname not in _LOOPBACK):
            raise ValueError("must begin with https://; http:// is allowed for localhost only")
        if parts.username or parts.password:
            raise ValueError("must not contain a user or password: they are not sent")
        if url is not None:
            check_url(SecretStr(url), {"https", "http"})
        return url

    @model_validator(mode="after")
    def _check_combinations(self) -> "AccessSettings":
        external = (self.issuer, self.jwks_url, self.audience)
        if any(external) and not all(external):
            raise ValueError("issuer, jwks_url and audience must be set together, or none of them")
        if (self.sites and self.site_claim is None) or (self.devices and self.device_claim is None):
            raise ValueError("sites need site_claim, and devices need device_claim")
        return self
