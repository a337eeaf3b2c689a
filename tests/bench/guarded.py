"""A bridge of our own whose access is required, and what opens it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from bridge.access.tokens import Tokens
from bridge.core.access.accounts import User
from bridge.core.access.permissions import Role
from bridge.settings import MqttSettings
from bridge.tools.bench.systems import OwnBridge

SECRET = "what the bridges of the bench sign with, and nobody else"
PASSWORD = "the password of the admin of the bench"
REQUIRED: Mapping[str, str] = {
    "BRIDGE_ACCESS__MODE": "required",
    "BRIDGE_ACCESS__SECRET": SECRET,
    "BRIDGE_ACCESS__ADMIN_PASSWORD": PASSWORD,
}


def token_for(name: str = "bench", *, seconds: float = 3600, session: str = "0" * 24) -> str:
    """Of an admin, for so long."""
    return Tokens(SECRET, seconds).make(User(name, Role.ADMIN, ""), session, time.time())


class GuardedBridge(OwnBridge):
    """Shown a token everywhere, it does as an open one."""

    name = "bridge, access required"

    def __init__(self, broker: MqttSettings, store: str | None, folder: Path, more: Mapping[str, str] | None = None) -> None:
        super().__init__(broker, store, folder, more={**REQUIRED, **(more or {})}, token=token_for())
