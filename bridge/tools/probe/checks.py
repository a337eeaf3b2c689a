"""What is asked over HTTP. Each check returns what it found in words, or raises `Failed`."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from bridge.core.errors import BridgeError
from bridge.tools.api_client import send_command
from bridge.tools.bench.report.text import duration
from bridge.tools.probe.findings import Failed
from bridge.tools.probe.listener import Listener
from bridge.tools.probe.target import ProbeTarget
from bridge.tools.probe.ways_in import CommandTaker
from bridge.tools.probe.ways_out import CHANNEL, CHANNELS, TOPICS

Check = Callable[[ProbeTarget], Awaitable[str]]

_OUTCOMES = ("stored", "duplicate", "rejected", "dropped", "waiting")


async def failing_parts(target: ProbeTarget) -> dict[str, str]:
    """Name and reason of each part of the bridge that does not work."""
    answer = (await target.ask("GET", "/health/ready")).expect(200, 503)
    parts = answer.json.get("parts")
    if not isinstance(parts, dict) or (answer.status == 200) != (answer.json.get("status") == "ok"):
        raise Failed(f"{answer.path} answers {answer.status} with {answer.json}")
    return {name: part.get("reason", "") for name, part in parts.items() if part.get("status") != "ok"}


async def health(target: ProbeTarget) -> str:
    """Alive, and every part works."""
    (await target.ask("GET", "/health/live")).expect(200)
    failing = await failing_parts(target)
    if failing:
        told = "; ".join(f"{name}: {reason}" for name, reason in failing.items())
        raise Failed(f"not ready: {told}", "mend it there; `sensor-bridge check` with the bridge's settings says how")
    return "alive and ready"


async def ledger(target: ProbeTarget) -> str:
    """Every source's account adds up."""
    answer = (await target.ask("GET", "/websocket/status")).expect(200)
    status = answer.json
    if status.get("success") is not True or status.get("websocketEnabled") is not True:
        raise Failed(f"{answer.path} answers {status}")
    accounts = status["ledger"]
    for source, account in accounts.items():
        if account["received"] != sum(account[name] for name in _OUTCOMES):
            raise Failed(f"the account of {source} does not add up: {account}", "report it with the bridge's log")
    received, waiting = (sum(account[name] for account in accounts.values()) for name in ("received", "waiting"))
    return f"adds up: {received:,} received by {', '.join(accounts) or 'no source yet'}; {waiting:,} waiting"


async def metrics(target: ProbeTarget) -> str:
    """Prometheus can read them."""
    answer = (await target.ask("GET", "/metrics")).expect(200)
    try:
        names = [family.name for family in text_string_to_metric_families(answer.body.decode())]
    except ValueError as error:
        raise Failed(f"{answer.path} is not in Prometheus' format: {error}") from None
    if "bridge_part_up" not in names:
        raise Failed(f"{answer.path} has no bridge_part_up")
    return f"{len(names)} metrics"


async def openapi(target: ProbeTarget) -> str:
    """The description is there."""
    answer = (await target.ask("GET", "/api/openapi.json")).expect(200)
    document = answer.json
    if not str(document.get("openapi", "")).startswith("3.1") or "/api/v1/readings" not in document.get("paths", {}):
        raise Failed(f"{answer.path} is no OpenAPI 3.1 description of a bridge")
    return f"{len(document['paths'])} paths, version {document['info']['version']}"


async def page(target: ProbeTarget) -> str:
    """The page and the client script are served."""
    for path, kind in (("/", "text/html"), ("/socket.io/socket.io.js", "javascript")):
        answer = (await target.ask("GET", path)).expect(200, remedy="install the wheel or the image, or run `make install`")
        if kind not in answer.content_type or not answer.body:
            raise Failed(f"{answer.path} is {answer.content_type} of {len(answer.body)} bytes")
    return "served, with the Socket.IO client"


CHECKS: Mapping[str, Check] = {"health": health, "ledger": ledger, "/metrics": metrics, "OpenAPI": openapi, "page": page}
REPEATED = ("health", "ledger")
"""Those that are asked again as long as the probe goes on."""


# --- beside listeners --------------------------------------------------------------------------------------------------


async def topic_stats(target: ProbeTarget) -> str:
    """Our listener by topic is counted."""
    stats = (await target.ask("GET", "/ws/stats")).expect(200).json
    if stats["active_connections"] < 1 or stats["subscriptions"]["measurements"] < 1:
        raise Failed(f"{TOPICS}/stats does not count our listener: {stats}")
    subscribed = ", ".join(f"{topic} {count}" for topic, count in stats["subscriptions"].items() if count)
    return f"{stats['active_connections']} connected; by topic: {subscribed}"


async def channel_stats(target: ProbeTarget, user: str) -> str:
    """Our listener by channel is named: as it says, or where access is required as it is known."""
    if target.shown:
        user = str((await target.ask("GET", "/auth/me")).expect(200).json.get("name"))
    answer = (await target.ask("GET", f"{CHANNELS}/stats")).expect(200)
    channels: dict[str, Any] = answer.json["channels"]
    if user not in [one["user_id"] for one in channels.get(CHANNEL, {}).get("users", ())]:
        raise Failed(f"{answer.path} does not name our listener {user} on {CHANNEL}")
    return f"{sum(one['connections'] for one in channels.values())} connected; by channel: " + ", ".join(
        f"{name} {one['connections']}" for name, one in channels.items()
    )


async def test_event(target: ProbeTarget, listener: Listener, device: str) -> str:
    """Sent to the channel, and heard there."""
    message = f"test event of {device} {secrets.token_hex(4)}"
    listener.expect(message, "")
    (await target.ask("POST", f"{CHANNELS}/test-event", channel=CHANNEL, message=message)).expect(200)
    with suppress(TimeoutError):
        async with asyncio.timeout(target.patience):
            await listener.wait(message)
    if listener.take(message) is None:
        raise Failed(f"not heard on the channel {CHANNEL} within {target.patience:g} s{_closed(listener)}")
    return f"sent and heard on the channel {CHANNEL}"


def _closed(listener: Listener) -> str:
    return f"; {listener.closed}" if listener.closed else ""


# --- the device --------------------------------------------------------------------------------------------------------


async def known(target: ProbeTarget, device: str) -> bool:
    """Whether the registry has it."""
    return (await target.ask("GET", f"/api/v1/devices/{device}")).expect(200, 404).status == 200


async def register(target: ProbeTarget, device: str) -> None:
    """Make the device known, as bridges may require."""
    body = {"id": device, "name": "sensor-bridge probe", "type": "probe"}
    (await target.ask("POST", "/api/v1/devices", body)).expect(201)


async def remove(target: ProbeTarget, device: str) -> None:
    """Out of the registry, and gone."""
    remedy = f"remove it later: curl -X DELETE {target.url}/api/v1/devices/{device}"
    try:
        (await target.ask("DELETE", f"/api/v1/devices/{device}")).expect(204, 404)
        if await known(target, device):
            raise Failed("it is still there")  # noqa: TRY301
    except Failed as error:
        raise Failed(str(error), remedy) from None


async def command(target: ProbeTarget, device: str, taker: CommandTaker) -> str:
    """Asked for by REST, taken by the device once with what was asked, confirmed by it."""
    body = {"command": "probe", "value": secrets.token_hex(4), "id": f"probe-{secrets.token_hex(8)}"}
    started = time.monotonic()
    asked = await _asked(target, device, body, 0)
    if asked["state"] == "failed":
        raise Failed(f"could not be sent: {asked.get('error')}")
    try:
        async with asyncio.timeout(target.patience):
            taken = await taker.commands.get()
    except TimeoutError:
        raise Failed(f"not received by the device within {target.patience:g} s", taker.advice) from None
    seconds = time.monotonic() - started
    if any(taken.get(name) != value for name, value in body.items()):
        raise Failed(f"the device received {taken}, asked for was {body}")
    await taker.confirm(body["id"])
    confirmed = await _asked(target, device, body, target.patience)
    if confirmed["state"] != "confirmed":
        raise Failed(f"received and confirmed, but {confirmed['state']} after {target.patience:g} s", taker.advice)
    if not taker.commands.empty():
        raise Failed("asked for twice under one id, the device received it twice")
    return f"asked by REST, received once after {duration(seconds)}, confirmed"


async def _asked(target: ProbeTarget, device: str, body: dict[str, Any], wait_seconds: float) -> dict[str, Any]:
    """Asked again under the same id it is the same command."""
    try:
        return await send_command(target.url, device, body, wait_seconds, target.token)
    except BridgeError as error:
        raise Failed(str(error)) from None
