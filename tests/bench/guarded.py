"""A bridge that requires access, and its tokens."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from bridge.access.tokens import Tokens
from bridge.core.access.accounts import User
from bridge.core.access.permissions import Role
from bridge.settings import MqttSettings
from bridge.tools.bench.systems import OwnBridge
from tests.access.parts import SECRET

PASSWORD = "the password of the admin of the bench"
REQUIRED: Mapping[str, str] = {
    "BRIDGE_ACCESS__MODE": "required",
    "BRIDGE_ACCESS__SECRET": SECRET,
    "BRIDGE_ACCESS__ADMIN_PASSWORD": PASSWORD,
}


def token_for(name: str = "bench", *, seconds: float = 3600, session: str = "0" * 24) -> str:
    """Return an admin's token."""
    return Tokens(SECRET, seconds).make(User(name, Role.ADMIN, ""), session, time.time())


class GuardedBridge(OwnBridge):
    """Every client of the bench presents a token, so it behaves like an open bridge."""

    name = "bridge, access required"

    def __init__(
        self, broker: MqttSettings, store: str | None, folder: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(broker, store, folder, environment={**REQUIRED, **(environment or {})}, token=token_for())
