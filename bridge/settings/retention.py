"""How long the store keeps what, and how much of it."""

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from bridge.settings.section import Days, Section


class RetentionSettings(Section):
    """Days are since storing; None keeps everything. Beyond a limit the oldest are deleted."""

    retention_days: Days | None = None
    rollup_days: Days | None = None
    rejected_days: Days = 30
    rejected_limit: Annotated[int, Field(ge=1, le=10_000_000)] = 100_000
    commands_days: Days = 30
    audit_days: Days = 365
    audit_limit: Annotated[int, Field(ge=1, le=10_000_000)] = 100_000
    alarms_limit: Annotated[int, Field(ge=1000, le=10_000_000)] = 100_000

    @field_validator("rollup_days")
    @classmethod
    def _check_rollup_days(cls, days: int | None, info: ValidationInfo) -> int | None:
        retention_days = info.data.get("retention_days")
        if days is not None and (retention_days is None or days < retention_days):
            raise ValueError("rollups must outlive their readings: rollup_days needs retention_days, and must not be less")
        return days
