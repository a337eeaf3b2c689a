"""`python -m tests.bench.wall`: memory of wall mode over hours, with lost connections.

As on a real wall, nothing is attached to the page but in the moments of measuring. The heap is measured after a forced garbage
collection in each interval, at whose end every connection of the page is reset.

Quick resets come first: then the JIT compiler knows the code of connecting, and the browser's record of requests has reached
its limit of 250. What the page leaks per reset, it leaks after them too.

For hours V8 goes on to compile functions of the page that run once per connection, as they become frequent. With
`--without-compilers` it interprets all of them, so that what grows is not machine code.
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

from rich.console import Console

from tests.bench.devtools import DevTools, HeapParts, attached
from tests.bench.page import fleet
from tests.browser import unattended_chromium
from tests.faults.proxy import Fault, FaultyProxy
from tests.servers import until

DEVICES_PER_ROOM = 4
_START_SECONDS = 60.0
_WARM_UP_EVERY_SECONDS = 2.0
_WITHOUT_COMPILERS = "--js-flags=--no-sparkplug --no-maglev --no-turbofan"
_COLLECT_ERRORS = """
  window.errorsOfPage = [];
  const note = (error) => { if (window.errorsOfPage.length < 20) window.errorsOfPage.push(String(error)); };
  addEventListener("error", (event) => note(event.message));
  addEventListener("unhandledrejection", (event) => note(event.reason));
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """The page's memory at a moment, in seconds since the start."""

    at: float
    heap_bytes: float
    nodes: float
    listeners: float
    shown: str
    """The room."""
    parts: HeapParts | None
    """Of every tenth sample."""


async def is_connected(page: DevTools) -> bool:
    return bool(await page.evaluate("document.querySelector('.wall')?.dataset.connected === 'true'"))


async def sample(port: int, started: float, with_parts: bool) -> Sample:
    async with attached(port) as page:
        await until(lambda: is_connected(page), what="a connection of the page")
        now = await page.metrics()
        room = await page.evaluate("document.querySelector('h1').innerText")
        parts = await page.heap_parts() if with_parts else None
    return Sample(time.monotonic() - started, now["JSHeapUsedSize"], now["Nodes"], now["JSEventListeners"], room, parts)


def slope_per_hour(points: list[tuple[float, float]]) -> float:
    """The growth by linear regression of values at seconds; 0 of fewer than three."""
    if len(points) < 3:
        return 0.0
    return linear_regression([at / 3600 for at, _ in points], [value for _, value in points]).slope


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


async def warm_up(port: int, proxy: FaultyProxy, resets: int) -> None:
    async with attached(port) as page:
        await until(lambda: page.evaluate("document.querySelectorAll('.wall-tile').length"), what="a device")
        await page.evaluate(_COLLECT_ERRORS)
        if resets:
            proxy.set(Fault.RESET)
            proxy.set(Fault.REFUSE)
            # From the first failed request on, V8 keeps a context of 80 KB or more for what it knows of errors.
            assert await page.evaluate("fetch('/', { cache: 'no-store' }).then(() => false, () => true)"), (
                "the request was answered"
            )
            proxy.set(Fault.NONE)
    for _ in range(resets):
        proxy.set(Fault.RESET)
        await asyncio.sleep(_WARM_UP_EVERY_SECONDS)


def report(console: Console, one: Sample, connections: int) -> None:
    parts = ""
    if one.parts:
        parts = ", ".join(f"{name.removesuffix('_bytes')} {getattr(one.parts, name) / 1e3:.0f}" for name in HeapParts.names())
    console.print(
        f"{one.at / 60:6.1f} min  heap {one.heap_bytes / 1e6:6.2f} MB  nodes {one.nodes:5.0f}  "
        f"listeners {one.listeners:4.0f}  connections {connections}  {one.shown}{f'  ({parts} KB)' if parts else ''}"
    )


def summary(samples: list[Sample]) -> str:
    """The growth in KB an hour and per interval, of the heap and of its parts."""
    grown = [f"heap {slope_per_hour([(one.at, one.heap_bytes) for one in samples]) / 1e3:+.0f} KB an hour"]
    for name in HeapParts.names():
        points = [(one.at, float(getattr(one.parts, name))) for one in samples if one.parts]
        grown.append(f"{name.removesuffix('_bytes')} {slope_per_hour(points) / 1e3:+.0f}")
    return f"{', '.join(grown)}; {len(samples)} samples"


async def main() -> None:
    """Run wall mode in a window of 1920 × 1080, and print a line per interval."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.wall", description=__doc__)
    parser.add_argument("--devices", type=int, default=50)
    parser.add_argument("--rate", type=float, default=50, help="readings per second, over all devices")
    parser.add_argument("--minutes", type=float, default=120, help="with --settle, without the warm-up")
    parser.add_argument("--every", type=float, default=60, help="seconds between two measurements")
    parser.add_argument("--warm-up", type=int, default=150, help="resets before the first measurement, one every 2 s")
    parser.add_argument("--settle", type=float, default=8, help="minutes after the warm-up that do not count for the slope")
    parser.add_argument("--parts", type=int, default=10, help="of how many samples one has the parts of the heap")
    parser.add_argument("--without-compilers", action="store_true", help="interpret the scripts, without machine code")
    parser.add_argument("--no-cuts", action="store_true", help="leave the connections alone, in the warm-up too")
    arguments = parser.parse_args()
    console = Console(width=140)
    async with fleet(arguments.devices, arguments.rate) as base:
        proxy = FaultyProxy(urlsplit(base).port or 0)
        async with proxy.serving():
            async with asyncio.timeout(_START_SECONDS):
                while await known_devices(base) < arguments.devices:
                    await asyncio.sleep(0.5)
            await asyncio.to_thread(place_devices, base, arguments.devices)
            url = f"http://127.0.0.1:{proxy.port}/?wall&every=5"
            options = [_WITHOUT_COMPILERS] if arguments.without_compilers else []
            async with unattended_chromium(url, "--window-size=1920,1080", *options) as port:
                await warm_up(port, proxy, 0 if arguments.no_cuts else arguments.warm_up)
                started = time.monotonic()
                samples: list[Sample] = []
                while time.monotonic() - started < 60 * arguments.minutes:
                    await asyncio.sleep(arguments.every)
                    one = await sample(port, started, len(samples) % arguments.parts == 0)
                    samples.append(one)
                    report(console, one, proxy.connections)
                    if not arguments.no_cuts:
                        proxy.set(Fault.RESET)
                async with attached(port) as page:
                    errors = await page.evaluate("window.errorsOfPage")
            counted = [one for one in samples if one.at >= 60 * arguments.settle]
            console.print(f"{arguments.rate:g} readings/s of {arguments.devices} devices: {summary(counted)}")
            console.print(f"errors of the page: {errors or 'none'}")


if __name__ == "__main__":
    asyncio.run(main())
