"""`python -m tests.bench.liveness URL SECONDS`: ask `/health/live` every 50 ms, and print how often and the longest answer.

A process of its own: what the bench does meanwhile is not measured.
"""

from __future__ import annotations

import asyncio
import sys
import time

import aiohttp
import orjson
import uvloop

INTERVAL_SECONDS = 0.05
DEADLINE_SECONDS = 30


async def main(url: str, seconds: float) -> None:
    """Print the number of answers and the longest one in seconds, as JSON. Each question is sent when it is due, however late
    the one before is answered.
    """
    waits: list[float] = []
    timeout = aiohttp.ClientTimeout(total=DEADLINE_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as tasks:

        async def ask() -> None:
            began = time.monotonic()
            async with session.get(f"{url}/health/live") as answer:
                assert answer.status == 200
            waits.append(time.monotonic() - began)

        for _ in range(round(seconds / INTERVAL_SECONDS)):
            tasks.create_task(ask())
            await asyncio.sleep(INTERVAL_SECONDS)
    sys.stdout.write(orjson.dumps({"answers": len(waits), "longest_seconds": max(waits)}).decode() + "\n")


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], float(sys.argv[2])))
