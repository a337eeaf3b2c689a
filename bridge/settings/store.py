"""The store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from bridge.settings.section import Days, Seconds, Section, check_url


class StoreSettings(Section):
    """Where readings are kept: `mongodb://host:port/database`, or `sqlite:///path/to/file.db`."""

    url: SecretStr = SecretStr("mongodb://localhost:27017/sensors")
    driver: Literal["pymongo", "motor"] = "pymongo"
    timeout_seconds: Seconds = 5.0
    batch_limit: Annotated[int, Field(ge=1, le=10_000)] = 1000
    retention_days: Days | None = None
    rollup_days: Days | None = None
    rejected_days: Days = 30
    rejected_limit: Annotated[int, Field(ge=1, le=10_000_000)] = 100_000
    commands_days: Days = 30
    audit_days: Days = 365
    audit_limit: Annotated[int, Field(ge=1, le=10_000_000)] = 100_000

    @field_validator("rollup_days")
    @classmethod
    def _outlive_readings(cls, days: int | None, others: ValidationInfo) -> int | None:
        kept = others.data.get("retention_days")
        if days is not None and (kept is None or days < kept):
            raise ValueError("rollups are kept as long as readings at least: rollup_days needs retention_days, and is not less")
        return days

    @field_validator("url")
    @classmethod
    def _usable(cls, url: SecretStr) -> SecretStr:
        parts = check_url(url, {"mongodb", "mongodb+srv", "sqlite"})
        if parts.scheme == "sqlite" and (parts.netloc or len(parts.path) < 2):
            raise ValueError("a SQLite URL names a file: sqlite:///relative/path.db or sqlite:////absolute/path.db")
        return url

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.url.get_secret_value())

    @property
    def is_sqlite(self) -> bool:
        """The embedded store is meant."""
        return self._parts.scheme == "sqlite"

    @property
    def sqlite_path(self) -> Path:
        """The file of the embedded store."""
        return Path(unquote(self._parts.path[1:]))

    @property
    def address(self) -> str:
        """The store, without secrets, for people."""
        host = self._parts.netloc.rpartition("@")[2]
        return f"{self._parts.scheme}://{host}{self._parts.path}"
