"""Closes a bridge part by part, each within its time: one that takes longer is left behind, and the others still close.

Otherwise one call that a library never ends would keep the lease, the place in the cluster and the MQTT session of a bridge
that was told to stop.
"""

import asyncio
import logging
from collections.abc import Collection, Coroutine, Iterable
from typing import Any

from bridge.core.errors import StopIncomplete
from bridge.wiring.components import Components
from bridge.wiring.exit_deadline import place_of

log = logging.getLogger(__name__)

JOBS_SECONDS = 3.0
"""For jobs to end once they are cancelled: two connections to a broker that does not answer are dropped after 1.5 s."""

_CANCEL_AGAIN_SECONDS = 2.0
"""Longer than what a cancelled job does at its end."""
_NAMED = 10
_CLIENTS_SECONDS = 2.0
_CLUSTER_SECONDS = 2.5
_SAVING_SECONDS = 4.0
_LEASE_SECONDS = 1.5


async def cancel(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Cancel tasks until they have ended.

    On Python 3.11 a cancellation that comes together with an error may be lost, most of all in a driver that tries again then.
    So after a while everything that was cancelled and still runs is cancelled again; a TaskGroup would pass on only the first.
    """
    pending: Collection[asyncio.Task[Any]] = set(tasks)
    for task in pending:
        task.cancel()
    while pending:
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN_SECONDS)
        for task in _cancelled() if pending else ():
            task.cancel()


def _cancelled() -> list["asyncio.Task[Any]"]:
    """The tasks that were cancelled and have not ended."""
    return [task for task in asyncio.all_tasks() if task.cancelling() and task is not asyncio.current_task()]


class Closing:
    """The parts of one stop. Call `check` at the end."""

    def __init__(self) -> None:
        self.unfinished: list[str] = []
        """Parts that did not end in time, or failed."""

    async def end(self, name: str, job: "asyncio.Task[None]", seconds: float) -> None:
        """Wait for a job that ends by itself, at most `seconds`; then leave it behind. Raises its error."""
        try:
            await asyncio.wait((job,), timeout=seconds)
        finally:
            job.cancel()  # does nothing to one that is done
        if job.done():
            await job
        else:
            self.leave(name, seconds)

    async def close(self, name: str, job: Coroutine[Any, Any, None], seconds: float) -> None:
        """Close a part. If that fails it is logged, and the next part is closed."""
        try:
            await self.end(name, asyncio.create_task(job, name=f"close {name}"), seconds)
        except Exception:
            log.exception("bridge: stopping: %s: not closed: please report this", name)
            self.unfinished.append(name)

    def leave(self, name: str, seconds: float) -> None:
        waiting = [f"{one.get_name()} ({place_of(one.get_coro())})" for one in _cancelled()]
        log.error(
            "bridge: stopping: %s: still not closed after %g s: left behind; cancelled and not ended: %s",
            name,
            seconds,
            "; ".join(waiting[:_NAMED]),
        )
        self.unfinished.append(name)

    async def close_all(self, components: Components, *, may_write: bool) -> None:
        """Close the components. `may_write` is False if another bridge has the store."""
        access, devices, analysis = components.access, components.devices, components.analysis
        await self.close("clients", components.realtime.hub.close(), _CLIENTS_SECONDS)
        if components.cluster is not None:
            await self.close("cluster", components.cluster.close(), _CLUSTER_SECONDS)
        if may_write:
            saving = {
                "devices": devices.registry.close(),
                "alarms": components.alarms.service.close(),
                "audit": access.service.close(),
            }
            if components.cluster is None and analysis.anomalies is not None:
                saving["anomalies"] = analysis.anomalies.close()
            async with asyncio.TaskGroup() as tasks:  # together: each may wait for a store that is unavailable
                for name, job in saving.items():
                    tasks.create_task(self.close(name, job, _SAVING_SECONDS))
        await self.close("lease", components.storage.lease.release(), _LEASE_SECONDS)

    def check(self) -> None:
        """Raise `StopIncomplete` if something was left behind."""
        if self.unfinished:
            raise StopIncomplete(f"bridge: stopped, but not closed in time: {', '.join(self.unfinished)}")
