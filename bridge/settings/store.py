"""Settings of the store."""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import Field, SecretStr, field_validator

from bridge.settings.retention import RetentionSettings
from bridge.settings.section import Seconds, check_url


class StoreSettings(RetentionSettings):
    """The store's URL, `mongodb://host:port/database` or `sqlite:///path/to/file.db`, its limits and its retention."""

    url: SecretStr = SecretStr("mongodb://localhost:27017/sensors")
    username: str | None = None
    password: SecretStr | None = None
    driver: Literal["pymongo", "motor"] = "pymongo"
    timeout_seconds: Seconds = 5.0
    wait_seconds: Annotated[float, Field(ge=0, le=3600)] = 0.0
    batch_limit: Annotated[int, Field(ge=1, le=10_000)] = 1000

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: SecretStr) -> SecretStr:
        parts = check_url(url, {"mongodb", "mongodb+srv", "sqlite"}, "store.username and store.password")
        if parts.scheme == "sqlite" and (parts.netloc or len(parts.path) < 2):
            raise ValueError("a SQLite URL must name a file: sqlite:///relative/path.db or sqlite:////absolute/path.db")
        return url

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.url.get_secret_value())

    @property
    def login(self) -> dict[str, str]:
        """`username` and `password` from their own settings, for MongoDB's drivers, which read those in the URL themselves."""
        given = {"username": self.username, "password": self.password and self.password.get_secret_value()}
        return {name: value for name, value in given.items() if value}

    @property
    def has_user(self) -> bool:
        """Whether a user is given, by the setting or in the URL."""
        return bool(self.username or self._parts.username)

    @property
    def is_sqlite(self) -> bool:
        return self._parts.scheme == "sqlite"

    @property
    def sqlite_path(self) -> Path:
        return Path(unquote(self._parts.path[1:]))

    @property
    def address(self) -> str:
        """The store's URL without credentials and options, for logs."""
        host = self._parts.netloc.rpartition("@")[2]
        return f"{self._parts.scheme}://{host}{self._parts.path}"
