"""The switch for the commands that follow advice, for all bridges of a store."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from bridge.core.timestamp import iso
from bridge.ports import KeyValueStore

log = logging.getLogger(__name__)

_KEY = "actions.commands"


@dataclass(frozen=True, slots=True)
class SwitchState:
    """Whether advice may become commands; by whom and when it was last switched, in milliseconds since the epoch."""

    enabled: bool = True
    by: str | None = None
    changed_ms: int | None = None

    def public(self) -> dict[str, Any]:
        changed = None if self.changed_ms is None else iso(self.changed_ms)
        return {"enabled": self.enabled, "by": self.by, "changedAt": changed}


_DAMAGED = SwitchState(enabled=False)
"""The stored state cannot be read: commands are off until a user switches them."""


class CommandSwitch:
    """Nothing is kept in memory: it is read before each command, so that it works at once at every bridge."""

    def __init__(self, store: KeyValueStore, clock: Callable[[], int]) -> None:
        """`clock` gives milliseconds since the epoch."""
        self._store = store
        self._clock = clock

    async def state(self) -> SwitchState:
        """Raises `StoreUnavailable`."""
        text = await self._store.get(_KEY)
        if text is None:
            return SwitchState()
        try:
            body: Any = orjson.loads(text)
            enabled, changed_ms = body["enabled"], body["at"]
            state = SwitchState(enabled, body["by"], changed_ms)
        except (KeyError, TypeError, ValueError):
            return _DAMAGED
        return state if isinstance(enabled, bool) and isinstance(changed_ms, int | None) else _DAMAGED

    async def set_enabled(self, by: str, *, enabled: bool) -> SwitchState:
        """Switch, and return the state. Raises `StoreUnavailable`."""
        state = SwitchState(enabled, by, self._clock())
        await self._store.put(_KEY, orjson.dumps({"enabled": enabled, "by": by, "at": state.changed_ms}).decode())
        log.info("actions: commands after advice turned %s by %s", "on" if enabled else "off", by)
        return state
