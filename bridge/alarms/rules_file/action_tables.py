"""The tables `[[action]]` and `[advice]` of the rules file."""

from typing import Annotated

from pydantic import Field, StrictBool, StrictStr, ValidationError, field_validator, model_validator

from bridge.alarms.rules_file.action_settings import EVERY_SECONDS, LEAST_EVERY_SECONDS, ActionRule
from bridge.alarms.rules_file.rule_tables import HoursTable, Names, Number, Table, parse_days
from bridge.alarms.scope import RuleScope
from bridge.core.alarms.advice import AdviceKind
from bridge.core.devices.command import EXPIRY_LIMIT_SECONDS, CommandRequest, CommandValue
from bridge.core.readings.identity import parse_device_id

ACTIONS_LIMIT = 100
_DAY_SECONDS = 86_400


class AdviceTable(Table):
    """`outdoors` are the devices that measure the air outside, by id or glob."""

    outdoors: Names = ()


class ActionTable(Table):
    name: Annotated[StrictStr, Field(min_length=1, max_length=64)]
    advice: tuple[AdviceKind, ...]
    devices: Names = ()
    rooms: Names = ()
    sites: Names = ()
    hours: HoursTable | None = None
    device: StrictStr | None = None
    command: Annotated[StrictStr, Field(min_length=1, max_length=128)]
    value: CommandValue = None
    every: Annotated[Number, Field(ge=LEAST_EVERY_SECONDS, le=30 * _DAY_SECONDS)] = EVERY_SECONDS
    queue: StrictBool = False
    expires: Annotated[Number, Field(gt=0, le=EXPIRY_LIMIT_SECONDS)] | None = None
    enabled: StrictBool = True

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not name.isprintable() or name != name.strip():
            raise ValueError("must have printable characters only, and no blank at its ends")
        return name

    @field_validator("advice")
    @classmethod
    def _check_advice(cls, advice: tuple[AdviceKind, ...]) -> tuple[AdviceKind, ...]:
        if not advice:
            raise ValueError(f"is empty: must have one or more of {', '.join(AdviceKind)}")
        return advice

    @field_validator("device")
    @classmethod
    def _check_device(cls, device: str | None) -> str | None:
        return None if device is None else parse_device_id(device)

    @field_validator("command")
    @classmethod
    def _check_command(cls, command: str) -> str:
        if not command.isprintable():
            raise ValueError("must have printable characters only")
        return command

    @field_validator("value", mode="plain")
    @classmethod
    def _check_value(cls, value: object) -> CommandValue:
        """Keep the type: 1, 1.0 and true are different commands."""
        if not isinstance(value, str | int | float):
            raise ValueError("must be a text, a number, true or false")  # noqa: TRY004 - a mistake in the file
        return value

    @model_validator(mode="after")
    def _check_request(self) -> "ActionTable":
        try:
            CommandRequest(device=self.device or "any", command=self.command, value=self.value)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise ValueError(f"no command can be made of this: {first['loc'][0]}: {first['msg']}") from None
        return self

    @property
    def rule(self) -> ActionRule:
        hours = None if self.hours is None else self.hours.hours(parse_days(self.hours.days))
        return ActionRule(
            name=self.name,
            advice=frozenset(self.advice),
            command=self.command,
            value=self.value,
            device=self.device,
            scope=RuleScope(self.devices, self.rooms, self.sites, hours),
            every_seconds=self.every,
            queue=self.queue,
            expires_seconds=self.expires,
            enabled=self.enabled,
        )
