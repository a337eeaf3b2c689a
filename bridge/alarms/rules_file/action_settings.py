"""Commands that follow advice, as `[[action]]` of the rules file says it."""

from dataclasses import dataclass

from bridge.alarms.scope import EVERYWHERE, RuleScope
from bridge.core.alarms.advice import AdviceKind
from bridge.core.devices.command import CommandValue

LEAST_EVERY_SECONDS = 600.0
EVERY_SECONDS = 7200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRule:
    """A command that is sent when one of `advice` is given for a device in `scope`.

    `device` receives it; None is the device that the advice is for. `every_seconds` is the least time between two commands of
    this rule to one device. With `queue` it waits for an offline device, for at most `expires_seconds`.
    """

    name: str
    advice: frozenset[AdviceKind]
    command: str
    value: CommandValue = None
    device: str | None = None
    scope: RuleScope = EVERYWHERE
    every_seconds: float = EVERY_SECONDS
    queue: bool = False
    expires_seconds: float | None = None
    enabled: bool = True
