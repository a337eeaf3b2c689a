"""`python -m tests.bench.page`: CPU and memory of the dashboard while 500 devices send 500 readings per second."""

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

VIEWS = {"overview": "#/", "table": "#/?view=table", "feed": "#/feed", "device": "#/device/kitchen"}

_SETTLE_SECONDS = 8.0  # for the first load, the histories of the visible devices, and the JIT compiler
_WATCH = """() => {
  window.frames_ = []; window.longTasks_ = [];
  new PerformanceObserver((list) => { for (const entry of list.getEntries()) window.longTasks_.push(entry.duration); })
    .observe({ type: "longtask" });
  let before = performance.now();
  const frame = (now) => { window.frames_.push(now - before); before = now; requestAnimationFrame(frame); };
  requestAnimationFrame(frame);
}"""


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a view over a period."""

    view: str
    busy: float
    """Share of the main thread's time, as are `script` and `layout`."""
    script: float
    layout: float
    """Including style."""
    long_tasks: int
    """Tasks of at least 50 ms."""
    frames_ms: list[float]
    heap_start_bytes: float
    heap_end_bytes: float


@asynccontextmanager
async def fleet(devices: int, rate: float) -> AsyncIterator[str]:
    """Yield the URL of a bridge that receives from this many devices."""
    with tempfile.TemporaryDirectory() as folder, mosquitto(Path(folder) / "mosquitto") as broker:
        settings = DevicesSettings.model_validate({"open": True})
        async with start_bridge(broker, f"sqlite:///{folder}/bridge.db", devices=settings) as bridge:
            sender = MqttSettings(url=SecretStr(broker), client_id="bench-page")
            simulator = asyncio.create_task(simulate(sender, devices=devices, rate=rate, seed=1), name="simulator")
            try:
                yield f"http://127.0.0.1:{bridge.port}"
            finally:
                simulator.cancel()
                await asyncio.wait((simulator,))


async def measure(page: Page, view: str, url: str, seconds: float) -> Cost:
    """Measure a view after it is drawn."""
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable", {"timeDomain": "threadTicks"})  # CPU time of the thread, not wall time
    await page.goto("about:blank")
    await page.goto(url)
    await page.locator(".card, .device-table tbody tr, .row, .chart").first.wait_for()
    await asyncio.sleep(_SETTLE_SECONDS)
    start, started = await metrics(session), time.monotonic()
    await page.evaluate(_WATCH)
    await asyncio.sleep(seconds)
    frames, long_tasks = await page.evaluate("[window.frames_, window.longTasks_]")
    passed = time.monotonic() - started
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
    """Return the browser's metrics of the page after a garbage collection."""
    await session.send("HeapProfiler.collectGarbage")
    response: dict[str, Any] = await session.send("Performance.getMetrics")
    return {metric["name"]: float(metric["value"]) for metric in response["metrics"]}


def table_of(costs: list[Cost], title: str) -> Table:
    """Return a table with a row per view."""
    table = Table("view", "busy %", "script %", "layout %", "long tasks", title=title)
    for name in ("frame p50 ms", "p95", "p99", "max", "frames/s", "heap MB", "then"):
        table.add_column(name, justify="right")
    for cost in costs:
        cut = quantiles(cost.frames_ms, n=100)
        frames = [f"{value:.0f}" for value in (cut[49], cut[94], cut[98], max(cost.frames_ms))]
        rate = 1000 * len(cost.frames_ms) / sum(cost.frames_ms)
        shares = [f"{100 * share:.0f}" for share in (cost.busy, cost.script, cost.layout)]
        heaps = [f"{size / 1e6:.1f}" for size in (cost.heap_start_bytes, cost.heap_end_bytes)]
        table.add_row(cost.view, *shares, str(cost.long_tasks), *frames, f"{rate:.0f}", *heaps)
    return table


async def main() -> None:
    """Measure each view in turn, in a window of 1280 × 900."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.page", description=__doc__)
    parser.add_argument("--devices", type=int, default=500)
    parser.add_argument("--rate", type=float, default=500, help="readings per second, over all devices")
    parser.add_argument("--seconds", type=float, default=60, help="per view")
    parser.add_argument("--view", choices=VIEWS, action="append", help="only this view; may be repeated")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    async with fleet(arguments.devices, arguments.rate) as base, chromium() as browser:
        page = await browser.new_page(viewport={"width": 1280, "height": 900})
        await page.goto(base)
        await until(lambda: page.locator(".card").count(), what="a device")
        costs = [await measure(page, view, f"{base}/{VIEWS[view]}", arguments.seconds) for view in arguments.view or VIEWS]
    title = f"{arguments.devices} devices, {arguments.rate:g} readings/s, {arguments.seconds:g} s each; load before {load:.1f}"
    Console(width=140).print(table_of(costs, title))


if __name__ == "__main__":
    asyncio.run(main())
