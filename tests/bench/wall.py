"""`python -m tests.bench.wall`: memory of wall mode over hours, with lost connections.

The heap is measured after a forced garbage collection in each interval, at whose end every connection of the page is reset. The
first minutes do not count for the slope: histories load, and the JIT compiler works.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
import urllib.request
from dataclasses import dataclass
from statistics import linear_regression
from urllib.parse import urlsplit

from playwright.async_api import Page, expect
from rich.console import Console

from tests.bench.page import fleet, metrics
from tests.browser import chromium
from tests.faults.proxy import Fault, FaultyProxy
from tests.servers import until

DEVICES_PER_ROOM = 4
_START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Sample:
    """The page's memory at a moment, in seconds since the start."""

    at: float
    heap_bytes: float
    nodes: float
    listeners: float
    shown: str
    """The room."""


async def sample(page: Page, started: float) -> Sample:
    """Measure after two collections, because the first one may leave what finalizers held."""
    session = await page.context.new_cdp_session(page)
    try:
        await session.send("Performance.enable")
        await metrics(session)
        now = await metrics(session)
    finally:
        await session.detach()
    room = await page.locator("h1").inner_text()
    return Sample(time.monotonic() - started, now["JSHeapUsedSize"], now["Nodes"], now["JSEventListeners"], room)


def slope_bytes_per_hour(samples: list[Sample]) -> float:
    """The growth of the heap by linear regression; 0 of fewer than three samples."""
    if len(samples) < 3:
        return 0.0
    return linear_regression([one.at / 3600 for one in samples], [one.heap_bytes for one in samples]).slope


def place_devices(base: str, devices: int) -> None:
    """Give the devices rooms, so that there is something to rotate."""
    with urllib.request.urlopen(f"{base}/api/v1/devices?limit=2000", timeout=10) as answer:  # noqa: S310 - this bridge
        listed = [one["id"] for one in json.load(answer)["devices"]]
    assert len(listed) >= devices, f"{len(listed)} of {devices} devices are known"
    for number, device in enumerate(listed):
        body = json.dumps({"site": "Bench", "room": f"Room {number // DEVICES_PER_ROOM + 1}"}).encode()
        where, headers = f"{base}/api/v1/devices/{device}", {"Content-Type": "application/json"}
        request = urllib.request.Request(where, body, headers, method="PATCH")  # noqa: S310
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310


async def known_devices(base: str) -> int:
    def count() -> int:
        with urllib.request.urlopen(f"{base}/api/v1/devices?limit=2000", timeout=10) as answer:  # noqa: S310 - this bridge
            return len(json.load(answer)["devices"])

    return await asyncio.to_thread(count)


async def main() -> None:
    """Run wall mode in a window of 1920 × 1080, and print a line per interval."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.wall", description=__doc__)
    parser.add_argument("--devices", type=int, default=50)
    parser.add_argument("--rate", type=float, default=50, help="readings per second, over all devices")
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--every", type=float, default=60, help="seconds between two measurements")
    parser.add_argument("--settle", type=float, default=8, help="minutes at the start that do not count for the slope")
    parser.add_argument("--no-cuts", action="store_true", help="leave the connections alone")
    arguments = parser.parse_args()
    console = Console(width=140)
    async with fleet(arguments.devices, arguments.rate) as base, chromium() as browser:
        proxy = FaultyProxy(urlsplit(base).port or 0)
        async with proxy.serving():
            async with asyncio.timeout(_START_SECONDS):
                while await known_devices(base) < arguments.devices:
                    await asyncio.sleep(0.5)
            await asyncio.to_thread(place_devices, base, arguments.devices)
            page = await browser.new_page(viewport={"width": 1920, "height": 1080})
            errors: list[str] = []
            page.on("pageerror", lambda error: errors.append(str(error)))
            await page.goto(f"http://127.0.0.1:{proxy.port}/?wall&every=5")
            await until(lambda: page.locator(".wall-tile").count(), what="a device")
            started, samples = time.monotonic(), []
            while time.monotonic() - started < 60 * arguments.minutes:
                await asyncio.sleep(arguments.every)
                one = await sample(page, started)
                samples.append(one)
                console.print(
                    f"{one.at / 60:6.1f} min  heap {one.heap_bytes / 1e6:6.2f} MB  nodes {one.nodes:5.0f}  "
                    f"listeners {one.listeners:4.0f}  connections {proxy.connections}  {one.shown}"
                )
                if not arguments.no_cuts:
                    proxy.set(Fault.RESET)
                    await expect(page.locator(".wall")).to_have_attribute("data-connected", "true", timeout=60_000)
            counted = [one for one in samples if one.at >= 60 * arguments.settle]
            slope = slope_bytes_per_hour(counted)
            console.print(
                f"{arguments.rate:g} readings/s of {arguments.devices} devices: "
                f"heap {slope / 1e3:+.0f} KB an hour over {len(counted)} samples"
            )
            console.print(f"errors of the page: {errors or 'none'}")


if __name__ == "__main__":
    asyncio.run(main())
