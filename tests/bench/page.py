"""`python -m tests.bench.page`: what the page costs the browser while 500 devices send 500 readings a second."""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

from playwright.async_api import CDPSession, Page
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from bridge.settings import DevicesSettings, MqttSettings
from bridge.tools.simulator import simulate
from tests.browser import chromium
from tests.running import start_bridge
from tests.servers import mosquitto, until

VIEWS = {"overview": "#/", "feed": "#/feed", "device": "#/device/kitchen"}

_SETTLE_SECONDS = 8.0  # for the first load, the histories of what is in sight, and warm code
_WATCH = """() => {
  window.frames_ = []; window.longTasks_ = [];
  new PerformanceObserver((list) => { for (const one of list.getEntries()) window.longTasks_.push(one.duration); })
    .observe({ type: "longtask" });
  let before = performance.now();
  const frame = (now) => { window.frames_.push(now - before); before = now; requestAnimationFrame(frame); };
  requestAnimationFrame(frame);
}"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one view for a while."""

    view: str
    busy: float
    """Share of the main thread's time."""
    script: float
    layout: float
    """Style and layout."""
    long_tasks: int
    """Of 50 ms and more."""
    frames_ms: list[float]
    heap_start_bytes: float
    heap_end_bytes: float


@asynccontextmanager
async def fleet(devices: int, rate: float) -> AsyncIterator[str]:
    """The address of a bridge that hears so many devices."""
    with tempfile.TemporaryDirectory() as folder, mosquitto(Path(folder) / "mosquitto") as broker:
        anyone = DevicesSettings.model_validate({"open": True})
        async with start_bridge(broker, f"sqlite:///{folder}/bridge.db", devices=anyone) as bridge:
            sender = MqttSettings(url=SecretStr(broker), client_id="bench-page")
            sending = asyncio.create_task(simulate(sender, devices=devices, rate=rate, seed=1), name="simulator")
            try:
                yield f"http://127.0.0.1:{bridge.port}"
            finally:
                sending.cancel()
                await asyncio.wait((sending,))


async def measure(page: Page, view: str, url: str, seconds: float) -> Cost:
    """What the view costs once it is drawn."""
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable", {"timeDomain": "threadTicks"})  # of the processor: not what others take of it
    await page.goto("about:blank")
    await page.goto(url)
    await page.locator(".card, .row, .chart").first.wait_for()
    await asyncio.sleep(_SETTLE_SECONDS)
    start, begun = await metrics(session), time.monotonic()
    await page.evaluate(_WATCH)
    await asyncio.sleep(seconds)
    frames, long_tasks = await page.evaluate("[window.frames_, window.longTasks_]")
    passed = time.monotonic() - begun
    end = await metrics(session)
    share = {name: (end[name] - start[name]) / passed for name in end}
    return Cost(
        view,
        share["TaskDuration"],
        share["ScriptDuration"],
        share["LayoutDuration"] + share["RecalcStyleDuration"],
        len(long_tasks),
        frames,
        start["JSHeapUsedSize"],
        end["JSHeapUsedSize"],
    )


async def metrics(session: CDPSession) -> dict[str, float]:
    """What the browser counts of the page, its memory after everything unused has been thrown away."""
    await session.send("HeapProfiler.collectGarbage")
    found: dict[str, Any] = await session.send("Performance.getMetrics")
    return {one["name"]: float(one["value"]) for one in found["metrics"]}


def shown(costs: list[Cost], title: str) -> Table:
    """A row for each view."""
    table = Table("view", "busy %", "script %", "layout %", "long tasks", title=title)
    for name in ("frame p50 ms", "p95", "p99", "max", "frames/s", "heap MB", "then"):
        table.add_column(name, justify="right")
    for one in costs:
        cut = quantiles(one.frames_ms, n=100)
        frames = [f"{value:.0f}" for value in (cut[49], cut[94], cut[98], max(one.frames_ms))]
        rate = 1000 * len(one.frames_ms) / sum(one.frames_ms)
        shares = [f"{100 * share:.0f}" for share in (one.busy, one.script, one.layout)]
        heaps = [f"{size / 1e6:.1f}" for size in (one.heap_start_bytes, one.heap_end_bytes)]
        table.add_row(one.view, *shares, str(one.long_tasks), *frames, f"{rate:.0f}", *heaps)
    return table


async def main() -> None:
    """Each view in turn, in one window of 1280 × 900."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.page", description=__doc__)
    parser.add_argument("--devices", type=int, default=500)
    parser.add_argument("--rate", type=float, default=500, help="readings a second, of all devices")
    parser.add_argument("--seconds", type=float, default=60, help="for each view")
    parser.add_argument("--view", choices=VIEWS, action="append", help="only this one; again for more")
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    async with fleet(asked.devices, asked.rate) as base, chromium() as browser:
        page = await browser.new_page(viewport={"width": 1280, "height": 900})
        await page.goto(base)
        await until(lambda: page.locator(".card").count(), what="a device")
        costs = [await measure(page, view, f"{base}/{VIEWS[view]}", asked.seconds) for view in asked.view or VIEWS]
    title = f"{asked.devices} devices, {asked.rate:g} readings a second, {asked.seconds:g} s each; load before {load:.1f}"
    Console(width=140).print(shown(costs, title))


if __name__ == "__main__":
    asyncio.run(main())
