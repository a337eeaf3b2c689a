"""Bodies about notes."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bridge.api.openapi.models import DeviceId, Response, Time
from bridge.core.access.texts import is_plain
from bridge.core.devices.note import TEXT_LENGTH
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME
from bridge.core.timestamp import parse_time

_LATEST_MS = 4_102_444_800_000  # 2100

NoteId = Annotated[str, Field(pattern=r"^[0-9a-f]{24}$")]


def _time(text: str) -> str:
    at_ms = parse_time(text)
    if at_ms is None or not 0 <= at_ms < _LATEST_MS:
        raise ValueError("must be a time from 1970 to 2100: ISO 8601, or epoch seconds or milliseconds")
    return text


def _text(text: str) -> str:
    stripped = text.strip()
    if not stripped:
        raise ValueError(f"must have 1 to {TEXT_LENGTH} characters")
    if not is_plain(stripped, also="\n"):
        raise ValueError("must have no control characters except line feeds")
    return stripped


class NewNote(BaseModel):
    """A note about a moment at a device; with a `field`, about this measurement alone."""

    model_config = ConfigDict(extra="forbid")

    device: DeviceId
    field: Literal[tuple(MEASUREMENTS_BY_NAME)] | None = None  # type: ignore[valid-type]
    at: Annotated[Time, AfterValidator(_time), Field(max_length=64)]
    text: Annotated[str, AfterValidator(_text), Field(min_length=1, max_length=TEXT_LENGTH)]


class NoteResponse(Response):
    """A note, and who wrote it."""

    id: NoteId
    device: DeviceId
    field: str | None
    at: Time
    text: str
    by: str
    createdAt: Time  # noqa: N815 - a wire contract


class NotesPage(Response):
    """Notes by time, the latest first; `more` if there are others, earlier ones."""

    notes: list[NoteResponse]
    more: bool
