"""Settings of devices."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator

from bridge.core.errors import DeviceIdError
from bridge.core.readings.identity import parse_device_id
from bridge.settings.section import Seconds, Section


class DevicesSettings(Section):
    """Device registration, credentials and commands. A secret is plain text, or `sha256:` and its hash in hexadecimal."""

    registration: Literal["open", "required"] = "open"
    limit: Annotated[int, Field(ge=1, le=1_000_000)] = 100_000
    site_from_readings: bool | None = None
    open: bool | None = None
    credentials: dict[str, SecretStr] = Field(default_factory=dict)
    admins: dict[str, SecretStr] = Field(default_factory=dict)
    waiting_limit: Annotated[int, Field(ge=1, le=10_000)] = 100
    command_seconds: Seconds = 60.0
    queue_limit: Annotated[int, Field(ge=1, le=10_000)] = 100

    @field_validator("credentials")
    @classmethod
    def _check_device_ids(cls, credentials: dict[str, SecretStr]) -> dict[str, SecretStr]:
        """Return the secrets by device id in NFC."""
        checked: dict[str, SecretStr] = {}
        for name, secret in credentials.items():
            try:
                device_id = parse_device_id(name)
            except DeviceIdError as error:
                raise ValueError(f"{name[:64]!r} is not a device id: {error}") from None
            if device_id in checked:
                raise ValueError(f"{device_id[:64]!r} is listed twice, in two spellings that look the same")
            checked[device_id] = secret
        return checked

    @field_validator("credentials", "admins")
    @classmethod
    def _check_secrets(cls, credentials: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, secret in credentials.items():
            if not secret.get_secret_value():
                raise ValueError(f"the secret of {name[:64]!r} is empty")
        return credentials
