"""Removal of the readings that a probe stored."""

import asyncio
from typing import Any

from bridge.tools.probe.results import Failed
from bridge.tools.probe.target import ProbeTarget

_PATH = "/api/v1/readings"
_PAGE = 1000
_CONCURRENT = 8


async def newest_cursor(target: ProbeTarget, device: str) -> int:
    """Return the cursor of the device's last reading so far; 0 for none. Raises `Failed`."""
    page = (await target.request("GET", _PATH, device=device, limit=1)).expect(200).json
    return max((int(reading["seq"]) for reading in page["readings"]), default=0)


async def remove_readings(target: ProbeTarget, device: str, since: int) -> int:
    """Delete the device's readings after a cursor; return how many. Raises `Failed`."""
    removed = 0
    while True:
        page = (await target.request("GET", _PATH, device=device, since=since, limit=_PAGE)).expect(200).json
        readings: list[dict[str, Any]] = page["readings"]
        for start in range(0, len(readings), _CONCURRENT):
            ids = [reading["_id"] for reading in readings[start : start + _CONCURRENT]]
            removed += sum(await asyncio.gather(*(_remove(target, identity) for identity in ids)))
        if len(readings) < _PAGE:
            return removed
        since = int(readings[-1]["seq"])


async def _remove(target: ProbeTarget, identity: str) -> bool:
    answer = await target.request("DELETE", f"{_PATH}/{identity}")
    if answer.status == 403:
        raise Failed(f"{answer.request}: the token may not remove readings", "give a --token with the right to manage")
    return answer.expect(204, 404).status == 204
