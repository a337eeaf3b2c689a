"""A running bridge on a MongoDB, with devices that have secrets, and the WebSocket clients of other people."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pymongo
import pytest

from bridge.app import Bridge
from bridge.settings import DevicesSettings, RealtimeSettings
from tests.browser import chromium
from tests.conftest import StartBridge
from tests.foreign.clients import (
    Answer,
    Open,
    browser_socket,
    curl,
    mosquitto_pub,
    mosquitto_sub,
    node_socket,
    python_socket,
)
from tests.servers import until

DEVICES = DevicesSettings.model_validate(
    {"open": False, "credentials": {"esp01": "1234", "device001": "abc123"}, "admins": {"desk": "let me in"}}
)
_JSON = ("-H", "Content-Type: application/json", "--data-binary", "@-")


@dataclass(frozen=True, slots=True)
class Stage:
    """A running bridge, to which only other people's programs speak."""

    bridge: Bridge
    broker_url: str
    database: pymongo.database.Database[dict[str, Any]]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.bridge.port}"

    @property
    def socket_url(self) -> str:
        return f"ws://127.0.0.1:{self.bridge.port}"

    async def get(self, path: str) -> Any:
        """The JSON answered with 200."""
        answer = await curl(self.url + path)
        assert answer.status == 200, answer
        return answer.json

    async def post(self, path: str, body: str, *options: str) -> Answer:
        """JSON, unless the options say otherwise."""
        return await curl(self.url + path, *(options or _JSON), sent=body.encode())

    async def publish(self, topic: str, message: str, *options: str) -> None:
        await mosquitto_pub(self.broker_url, topic, message, *options)

    def subscribed(self, topic: str) -> Any:
        return mosquitto_sub(self.broker_url, topic)

    async def until(self, path: str, **having: object) -> Any:
        """What stands at `path`, once it has these members and no message waits: all that is stored has been sent then."""

        async def there() -> bool:
            answer = await curl(self.url + path)
            is_there = answer.status == 200 and having.items() <= answer.json.items()
            return is_there and not any(account["waiting"] for account in self.bridge.ledger.as_dict().values())

        await until(there, what=f"{path} with {having}")
        return await self.get(path)


@pytest.fixture
async def stage(
    start_bridge: StartBridge, broker_url: str, mongo_url: str, database: pymongo.database.Database[dict[str, Any]]
) -> AsyncIterator[Stage]:
    realtime = RealtimeSettings(settle_seconds=0, handshake_seconds=60)
    async with start_bridge(broker_url, mongo_url, devices=DEVICES, realtime=realtime) as bridge:
        yield Stage(bridge, broker_url, database)


@pytest.fixture(params=["websockets", "ws", "browser"])
async def opened(request: pytest.FixtureRequest) -> AsyncIterator[Open]:
    """`async with opened(url) as socket`, by each of three clients in turn."""
    match request.param:
        case "websockets":
            yield python_socket
        case "ws":
            yield node_socket
        case _:
            async with chromium() as browser:
                yield partial(browser_socket, browser)
