"""`python -m tests.newcomer`: do the eleven jobs, print their times and stumbles; exit code 1 if there are any."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from tests.browser import chromium
from tests.docs.site import Site
from tests.newcomer.jobs import JOBS
from tests.newcomer.newcomer import Newcomer
from tests.servers import REPO, free_port, is_open

PICTURES = REPO / "build" / "newcomer"
"""What the page looks like after each job."""

_OWN = {"data", ".git", "build", "dist", ".env"}
"""What the folder of a newcomer does not share with this checkout."""


@dataclass(frozen=True, slots=True)
class Done:
    """A job that was done, or was given up."""

    title: str
    steps: int
    seconds: float
    stumbles: list[str]


async def do_jobs(folder: Path) -> list[Done]:
    """Each in turn; one that fails does not end the others."""
    site, default_ports = _site(folder)
    async with chromium() as browser:
        context = await browser.new_context(viewport={"width": 1280, "height": 860}, locale="en", accept_downloads=True)
        async with Newcomer(folder, site, await context.new_page(), default_ports=default_ports) as newcomer:
            if not default_ports:
                newcomer.use_broker(int(site.broker_url.rpartition(":")[2]))
            done = [await _do(newcomer, title, job) for title, job in JOBS]
        await context.close()
    return done


async def _do(newcomer: Newcomer, title: str, job: Callable[[Newcomer], Awaitable[None]]) -> Done:
    newcomer.steps, newcomer.stumbles = 0, []
    began = time.monotonic()
    try:
        await job(newcomer)
    except Exception as error:  # whatever stops a newcomer is the result
        newcomer.stumbles.append(f"given up: {type(error).__name__}: {error}")
    seconds = time.monotonic() - began
    await newcomer.page.screenshot(path=PICTURES / f"{title}.png", full_page=True)
    done = Done(title, newcomer.steps, seconds, newcomer.stumbles)
    print(
        f"{done.seconds:5.1f} s  {title}", *(f"         {one}" for one in done.stumbles), sep="\n", file=sys.stderr, flush=True
    )
    return done


def checkout(folder: Path) -> Path:
    """A folder like this checkout after `make install`, in which nothing has run."""
    folder.mkdir()
    for path in REPO.iterdir():
        if path.name not in _OWN:
            (folder / path.name).symlink_to(path)
    return folder


def _site(folder: Path) -> tuple[Site, bool]:
    """The default ports if they are free, otherwise others, by the settings that the documentation names."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("BRIDGE_", "MAKE"))}
    environ |= {"XDG_CONFIG_HOME": str(folder.parent), "COLUMNS": "140"}
    if not is_open(3000) and not is_open(1883):
        return Site(3000, "mqtt://localhost:1883", environ), True
    port, broker = free_port(), free_port()
    environ |= {"BRIDGE_HTTP__PORT": str(port), "BRIDGE_MQTT__URL": f"mqtt://localhost:{broker}"}
    return Site(port, f"mqtt://localhost:{broker}", environ), False


def table(done: list[Done]) -> str:
    """In Markdown."""
    rows = [f"| {one.title} | {one.steps} | {one.seconds:.1f} | {len(one.stumbles) or 'none'} |" for one in done]
    total = f"| all | {sum(one.steps for one in done)} | {sum(one.seconds for one in done):.0f} | |"
    return "\n".join(["| job | steps | seconds | stumbles |", "|---|---:|---:|---:|", *rows, total])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.newcomer", description=__doc__)
    parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job would let its children ignore Ctrl-C
    with tempfile.TemporaryDirectory() as parent:
        done = asyncio.run(do_jobs(checkout(Path(parent) / "sensor-bridge")))
    print(table(done))
    return int(any(one.stumbles for one in done))


if __name__ == "__main__":
    sys.exit(main())
