"""Checks over HTTP. Each returns a summary of its result, or raises `Failed`."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from prometheus_client.parser import text_string_to_metric_families

from bridge.core.errors import BridgeError
from bridge.tools.api_client import send_command
from bridge.tools.bench.report.text import duration
from bridge.tools.probe.inputs import CommandReceiver
from bridge.tools.probe.listener import Listener
from bridge.tools.probe.outputs import CHANNEL, CHANNELS, TOPICS
from bridge.tools.probe.results import Failed
from bridge.tools.probe.target import ProbeTarget

Check = Callable[[ProbeTarget], Awaitable[str]]

_OUTCOMES = ("stored", "duplicate", "rejected", "ignored", "dropped", "waiting")


async def failing_parts(target: ProbeTarget) -> dict[str, str]:
    response = (await target.request("GET", "/health/ready")).expect(200, 503)
    parts = response.json.get("parts")
    if not isinstance(parts, dict) or (response.status == 200) != (response.json.get("status") == "ok"):
        raise Failed(f"{response.request}: unexpected response {response.status} {response.json}")
    return {name: part.get("reason", "") for name, part in parts.items() if part.get("status") != "ok"}


async def health(target: ProbeTarget) -> str:
    (await target.request("GET", "/health/live")).expect(200)
    failing = await failing_parts(target)
    if failing:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in failing.items())
        raise Failed(f"not ready: {reasons}", "run `sensor-bridge check` with the bridge's settings to see how to fix it")
    return "alive and ready"


async def ledger(target: ProbeTarget) -> str:
    response = (await target.request("GET", "/websocket/status")).expect(200)
    status = response.json
    if status.get("success") is not True or status.get("websocketEnabled") is not True:
        raise Failed(f"{response.request}: unexpected response {status}")
    accounts = status["ledger"]
    for source, account in accounts.items():
        if account["received"] != sum(account[name] for name in _OUTCOMES):
            raise Failed(f"the account of {source} does not add up: {account}", "report it with the bridge's log")
    received, waiting = (sum(account[name] for account in accounts.values()) for name in ("received", "waiting"))
    return f"adds up: {received:,} received by {', '.join(accounts) or 'no source yet'}; {waiting:,} waiting"


async def metrics(target: ProbeTarget) -> str:
    response = (await target.request("GET", "/metrics")).expect(200)
    try:
        names = [family.name for family in text_string_to_metric_families(response.body.decode())]
    except ValueError as error:
        raise Failed(f"{response.request}: not in Prometheus' format: {error}") from None
    if "bridge_part_up" not in names:
        raise Failed(f"{response.request}: bridge_part_up is missing")
    return f"{len(names)} metrics"


async def openapi(target: ProbeTarget) -> str:
    response = (await target.request("GET", "/api/openapi.json")).expect(200)
    document = response.json
    if not str(document.get("openapi", "")).startswith("3.1") or "/api/v1/readings" not in document.get("paths", {}):
        raise Failed(f"{response.request}: not an OpenAPI 3.1 document of a bridge")
    return f"{len(document['paths'])} paths, version {document['info']['version']}"


async def page(target: ProbeTarget) -> str:
    for path, content_type in (("/", "text/html"), ("/socket.io/socket.io.js", "javascript")):
        response = (await target.request("GET", path)).expect(
            200, remedy="install the wheel or the image, or run `make install`"
        )
        if content_type not in response.content_type or not response.body:
            raise Failed(f"{response.request}: {response.content_type} of {len(response.body)} bytes, expected {content_type}")
    return "served, with the Socket.IO client"


CHECKS: Mapping[str, Check] = {"health": health, "ledger": ledger, "/metrics": metrics, "OpenAPI": openapi, "page": page}
REPEATED = ("health", "ledger")
"""Checks that run in every round."""


# --- with listeners ----------------------------------------------------------------------------------------------------


async def topic_stats(target: ProbeTarget) -> str:
    stats = (await target.request("GET", "/ws/stats")).expect(200).json
    if stats["active_connections"] < 1 or stats["subscriptions"]["measurements"] < 1:
        raise Failed(f"{TOPICS}/stats does not count the probe's listener: {stats}")
    subscribed = ", ".join(f"{topic} {count}" for topic, count in stats["subscriptions"].items() if count)
    return f"{stats['active_connections']} connected; by topic: {subscribed}"


async def channel_stats(target: ProbeTarget, user: str) -> str:
    """The statistics by channel list our listener as `user`, or under its account if access is required."""
    if target.headers:
        user = str((await target.request("GET", "/auth/me")).expect(200).json.get("name"))
    response = (await target.request("GET", f"{CHANNELS}/stats")).expect(200)
    channels: dict[str, Any] = response.json["channels"]
    if user not in [entry["user_id"] for entry in channels.get(CHANNEL, {}).get("users", ())]:
        raise Failed(f"{response.request}: the probe's listener {user} is missing on {CHANNEL}")
    return f"{sum(stats['connections'] for stats in channels.values())} connected; by channel: " + ", ".join(
        f"{name} {stats['connections']}" for name, stats in channels.items()
    )


async def test_event(target: ProbeTarget, listener: Listener, device: str) -> str:
    """A test event sent to the channel is received there."""
    message = f"test event of {device} {secrets.token_hex(4)}"
    listener.expect(message, "")
    (await target.request("POST", f"{CHANNELS}/test-event", channel=CHANNEL, message=message)).expect(200)
    with suppress(TimeoutError):
        async with asyncio.timeout(target.patience):
            await listener.wait(message)
    if listener.take(message) is None:
        closed = f"; {listener.closed}" if listener.closed else ""
        raise Failed(f"not received on the channel {CHANNEL} within {target.patience:g} s{closed}")
    return f"sent and received on the channel {CHANNEL}"


# --- the device --------------------------------------------------------------------------------------------------------


def _path(device: str) -> str:
    return f"/api/v1/devices/{quote(device, safe='')}"


async def is_registered(target: ProbeTarget, device: str) -> bool:
    return (await target.request("GET", _path(device))).expect(200, 404).status == 200


async def register(target: ProbeTarget, device: str) -> None:
    """Add the device to the registry, as bridges may require."""
    body = {"id": device, "name": "sensor-bridge probe", "type": "probe"}
    (await target.request("POST", "/api/v1/devices", body)).expect(201)


async def remove(target: ProbeTarget, device: str) -> None:
    remedy = f"remove it later: curl -X DELETE {target.url}{_path(device)}"
    try:
        (await target.request("DELETE", _path(device))).expect(204, 404)
        if await is_registered(target, device):
            raise Failed("the device is still registered")  # noqa: TRY301
    except Failed as error:
        raise Failed(str(error), remedy) from None


async def command(target: ProbeTarget, device: str, receiver: CommandReceiver) -> str:
    """A command sent by REST is received once by the device, as it was sent, and its confirmation arrives."""
    body = {"command": "probe", "value": secrets.token_hex(4), "id": f"probe-{secrets.token_hex(8)}"}
    started = time.monotonic()
    sent = await _send(target, device, body, 0)
    if sent["state"] == "failed":
        raise Failed(f"could not be sent: {sent.get('error')}")
    try:
        async with asyncio.timeout(target.patience):
            received = await receiver.commands.get()
    except TimeoutError:
        raise Failed(f"not received by the device within {target.patience:g} s", receiver.advice) from None
    seconds = time.monotonic() - started
    if any(received.get(name) != value for name, value in body.items()):
        raise Failed(f"the device received {received}, sent was {body}")
    await receiver.confirm(body["id"])
    confirmed = await _send(target, device, body, target.patience)
    if confirmed["state"] != "confirmed":
        raise Failed(f"received and confirmed, but {confirmed['state']} after {target.patience:g} s", receiver.advice)
    if not receiver.commands.empty():
        raise Failed("sent twice with the same id, the command was received twice")
    return f"sent by REST, received once after {duration(seconds)}, confirmed"


async def _send(target: ProbeTarget, device: str, body: dict[str, Any], wait_seconds: float) -> dict[str, Any]:
    """Send a command. With the same id again it is the same command."""
    try:
        return await send_command(target.url, device, body, wait_seconds, target.token)
    except BridgeError as error:
        raise Failed(str(error)) from None
