"""A bridge in this process, as the command runs it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from bridge.app import Bridge
from bridge.settings import (
    AccessSettings,
    AlarmsSettings,
    AnalysisSettings,
    ClusterSettings,
    DevicesSettings,
    HomeAssistantSettings,
    HttpSettings,
    MqttSettings,
    PageSettings,
    RealtimeSettings,
    Settings,
    StoreSettings,
    SubscriptionSettings,
)
from tests import servers


@asynccontextmanager
async def start_bridge(
    mqtt_url: str,
    store_url: str,
    *,
    ready: bool = True,
    client_id: str | None = None,
    http: HttpSettings | None = None,
    realtime: RealtimeSettings | None = None,
    devices: DevicesSettings | None = None,
    access: AccessSettings | None = None,
    alarms: AlarmsSettings | None = None,
    analysis: AnalysisSettings | None = None,
    home_assistant: HomeAssistantSettings | None = None,
    page: PageSettings | None = None,
    cluster: ClusterSettings | None = None,
    subscriptions: Sequence[SubscriptionSettings] | None = None,
    stop_seconds: float = 4.0,
    mqtt: Mapping[str, object] | None = None,
    **store: object,
) -> AsyncIterator[Bridge]:
    """Running, connected, and stopped the proper way; under the same `client_id` the broker keeps its session."""
    broker: dict[str, object] = {"url": mqtt_url, "client_id": client_id or f"bridge-{uuid.uuid4().hex[:8]}", **(mqtt or {})}
    if subscriptions is not None:
        broker["subscriptions"] = tuple(subscriptions)
    settings = Settings(
        mqtt=MqttSettings.model_validate(broker),
        store=StoreSettings.model_validate({"url": store_url, **store}),
        http=http or HttpSettings(port=0),
        realtime=realtime or RealtimeSettings(),
        devices=devices or DevicesSettings(),
        access=access or AccessSettings(),
        alarms=alarms or AlarmsSettings(),
        analysis=analysis or AnalysisSettings(),
        home_assistant=home_assistant or HomeAssistantSettings(),
        page=page or PageSettings(),
        cluster=cluster or ClusterSettings(),
        stop_seconds=stop_seconds,
    )
    bridge = Bridge(settings)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(bridge.run(), name="bridge")
        waiting = tasks.create_task(bridge.listening.wait())
        await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if running.done():
            running.result()
        if ready:
            await servers.until(lambda: bridge.health.ready, what="ready")
        try:
            yield bridge
        finally:
            bridge.stop()
            await running
