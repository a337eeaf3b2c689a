"""Options of several commands: the bridge or the store they use, JSON, times and durations."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr

from bridge.cli.runner import errors, print_line
from bridge.core.timestamp import parse_clock
from bridge.settings import Settings
from bridge.settings.loader import load_settings
from bridge.settings.section import check_url

DEMO_FOLDER = Path("data")
"""Where `demo` keeps its files, in the working folder."""

DEMO_DATABASE = "bridge.db"


def load_store_settings(config: Path | None) -> Settings:
    """Load the settings of a command on stored data; where they name no store, that of a demo in this folder, which is said.

    Raises `SettingsError`.
    """
    settings = load_settings(config)
    database = DEMO_FOLDER / DEMO_DATABASE
    if "url" in settings.store.model_fields_set or not database.exists():
        return settings
    print_line(f"store.url is not set: using {database}, the store of the demo", errors)
    return load_settings(config, defaults={"store": {"url": f"sqlite:///{database}"}})


# --- a running bridge ------------------------------------------------------------------------------------------------


LOCAL_BRIDGE = "http://localhost:3000"


def _check_url(url: str) -> str:
    """Refuse what is no URL before a library does, and credentials, which error texts would print."""
    try:
        parts = check_url(SecretStr(url), {"http", "https"})
    except ValueError as error:
        raise typer.BadParameter(f"{error}; expected http://host:3000") from None
    if "@" in parts.netloc:
        raise typer.BadParameter("must not contain a user or password; use --token or --token-file")
    return url


UrlOption = Annotated[str, typer.Option(help="URL of a running bridge.", callback=_check_url)]
TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token", envvar="BRIDGE_TOKEN", help="Token or API key, if access is required. Other users can see arguments."
    ),
]
TokenFileOption = Annotated[Path | None, typer.Option("--token-file", help="File whose first line is the token or API key.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, as the API answers, instead of a table.")]


# --- times -----------------------------------------------------------------------------------------------------------

_DURATION = re.compile(r"(\d{1,6})([smhdw])", re.ASCII)
_NUMBER = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

TIME_RULE = (
    "must be a date or time such as 2026-11-01 or 2026-11-01T08:30 (local; with Z or +02:00 in that zone), "
    "now, today, yesterday, 7d or 12h (ago), or epoch seconds or milliseconds"
)


def parse_duration(text: str) -> int:
    """Return the seconds of a text such as `30d` or `8h`. Raises `typer.BadParameter` for any other."""
    found = _DURATION.fullmatch(text.strip())
    if not found or not int(found[1]):
        raise typer.BadParameter("must be a number with s, m, h, d or w, as 30d or 8h")
    return int(found[1]) * _SECONDS[found[2]]


def seconds_between(low: float, high: float) -> Callable[[object], float]:
    """Return a parser of seconds (`30`, `0.5`) and durations (`5m`) from `low` to `high` seconds."""

    def parse(given: object) -> float:
        text = str(given).strip()
        seconds = float(text) if _NUMBER.fullmatch(text) else None
        if found := _DURATION.fullmatch(text):
            seconds = float(found[1]) * _SECONDS[found[2]]
        if seconds is None or not low <= seconds <= high:
            raise typer.BadParameter(f"must be {low:g} to {high:.9g} seconds, as 30, 90s, 5m or 2h")
        return seconds

    return parse


def parse_moment(text: str) -> int:
    """Return the milliseconds since the epoch of a time of `TIME_RULE`, which `typer.BadParameter` states for any other."""
    text = text.strip()
    now = time.time()
    if found := _DURATION.fullmatch(text):
        return round((now - int(found[1]) * _SECONDS[found[2]]) * 1000)
    if text in _DAYS_AGO:
        day = datetime.fromtimestamp(now).astimezone().date() - timedelta(days=_DAYS_AGO[text])
        return _milliseconds(datetime(day.year, day.month, day.day))  # noqa: DTZ001 - local
    clock = parse_clock(text)
    if text != "now" and clock is None:
        raise typer.BadParameter(TIME_RULE)
    if clock is None:
        return round(now * 1000)
    return clock.milliseconds if clock.has_zone else _milliseconds(_EPOCH.replace(tzinfo=None), clock.milliseconds)


_DAYS_AGO = {"today": 0, "yesterday": 1}


def _milliseconds(local: datetime, later_ms: int = 0) -> int:
    """Return the UTC milliseconds of `later_ms` after a local time by the clock on the wall."""
    try:
        return ((local + timedelta(milliseconds=later_ms)).astimezone(UTC) - _EPOCH) // timedelta(milliseconds=1)
    except (OverflowError, ValueError, OSError):
        raise typer.BadParameter(TIME_RULE) from None


def parse_since(text: str) -> int:
    """Return how many seconds ago a time was: `90d`, `yesterday`, `2026-11-01`. Raises `typer.BadParameter`."""
    seconds = round(time.time() - parse_moment(text) / 1000)
    if seconds <= 0:
        raise typer.BadParameter("must be in the past")
    return seconds


FromOption = Annotated[
    int | None,
    typer.Option("--from", parser=parse_moment, metavar="TIME", help="Measured at or after: yesterday, 7d, 2026-11-01."),
]
ToOption = Annotated[int | None, typer.Option("--to", parser=parse_moment, metavar="TIME", help="Measured before.")]
