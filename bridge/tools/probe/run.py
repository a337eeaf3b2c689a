"""Run a probe: HTTP checks, listeners, then readings and commands through each input."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

from bridge.tools.bench.context import ProgressDisplay
from bridge.tools.probe import checks
from bridge.tools.probe.cleaning import remove_readings
from bridge.tools.probe.inputs import INPUTS, CommandReceiver, Input, InputContext
from bridge.tools.probe.listener import Listener
from bridge.tools.probe.outputs import CHANNELS, TOPICS, ListenerContext, OpenOutput
from bridge.tools.probe.readings import ProbeReadings
from bridge.tools.probe.results import Failed, ProbeReport, Skipped
from bridge.tools.probe.rounds import Rounds
from bridge.tools.probe.target import ProbeTarget

STORE = "store"


@dataclass(frozen=True, slots=True)
class Schedule:
    """One round, or rounds for some seconds; `stopped` ends them early."""

    seconds: float | None = None
    interval: float = 1.0
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def rounds(self) -> AsyncIterator[float]:
        """Yield the seconds since the start, at least once, then once per interval."""
        started = due = time.monotonic()
        yield 0.0
        while self.seconds is not None:
            due = max(due + self.interval, time.monotonic())
            if due > started + self.seconds:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(due - time.monotonic()):
                    await self.stopped.wait()
            if self.stopped.is_set():
                return
            yield time.monotonic() - started


class Probe:
    """A run against one bridge. `report` grows during the run; `remaining` is the number of readings left in the store."""

    def __init__(
        self, target: ProbeTarget, outputs: dict[str, OpenOutput], schedule: Schedule, display: ProgressDisplay
    ) -> None:
        self.report = ProbeReport()
        self.remaining = 0
        self._target = target
        self._outputs = outputs
        self._schedule = schedule
        self._display = display
        self._inputs: dict[str, Input] = {}
        self._listeners: dict[str, Listener] = {}

    async def run(self, context: InputContext) -> None:
        for name in checks.CHECKS:
            await self._run_http_check(name)
        async with AsyncExitStack() as stack:
            await self._open_outputs(stack, ListenerContext(self._target, context.device, context.tasks))
            await self._check_statistics(context.device)
            if await self._can_store():
                await stack.enter_async_context(self._registered(context.device))
                await self._send_readings(stack, context)

    async def clean(self, device: str, since: int) -> None:
        """Remove the readings of this run, those after the cursor `since`."""

        async def remove() -> str:
            removed = await remove_readings(self._target, device, since)
            self.remaining = 0
            return f"{removed} readings of {device}"

        await self._check("readings removed", remove)

    # --- checks ------------------------------------------------------------------------------------------------------------

    async def _run_http_check(self, name: str) -> None:
        await self._check(name, lambda: checks.CHECKS[name](self._target))

    async def _check(
        self, name: str, check: Callable[[], Awaitable[str]], *, timed: bool = True, connects: bool = False
    ) -> bool:
        self._display.progress(name)
        result = self.report.check(name, connects=connects)
        started = time.monotonic()
        try:
            answer = await check()
        except Skipped as error:
            result.answer = str(error)
        except Failed as error:
            result.add_failure(str(error), error.remedy)
        except (KeyError, TypeError, AttributeError) as error:
            result.add_failure(f"the response violates the contract: {error!r}", "check that the bridge has this version")
        else:
            result.add_pass(answer, time.monotonic() - started if timed else None)
            return True
        return False

    async def _check_statistics(self, device: str) -> None:
        if TOPICS in self._listeners:
            await self._check(f"{TOPICS}/stats", lambda: checks.topic_stats(self._target))
        if (listener := self._listeners.get(CHANNELS)) is None:
            return
        await self._check(f"{CHANNELS}/stats", lambda: checks.channel_stats(self._target, device))
        await self._check("test event", lambda: checks.test_event(self._target, listener, device))

    async def _can_store(self) -> bool:
        """Return whether the store is available: otherwise readings would arrive after the probe has stopped waiting."""
        with suppress(Failed):
            if STORE not in await checks.failing_parts(self._target):
                return True
        self.report.check("readings").answer = "none sent: the bridge's store is unavailable"
        return False

    # --- outputs -----------------------------------------------------------------------------------------------------------

    async def _open_outputs(self, stack: AsyncExitStack, context: ListenerContext) -> None:
        for name, open_output in self._outputs.items():

            async def connect(name: str = name, open_output: OpenOutput = open_output) -> str:
                self._listeners[name] = await stack.enter_async_context(open_output(context))
                return "connected"

            await self._check(f"{name} out", connect, connects=True)

    # --- the device --------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _registered(self, device: str) -> AsyncIterator[None]:
        """Register the device within the context. A device that was registered before stays registered."""
        added = False

        async def register() -> str:
            nonlocal added
            if await checks.is_registered(self._target, device):
                return f"{device} was registered before and stays registered"
            added = True
            await checks.register(self._target, device)
            return device

        async def remove() -> str:
            await checks.remove(self._target, device)
            return device

        await self._check("device registered", register)
        try:
            yield
        finally:
            if added:
                await self._check("device removed", remove)

    # --- readings ----------------------------------------------------------------------------------------------------------

    async def _send_readings(self, stack: AsyncExitStack, context: InputContext) -> None:
        listeners = tuple(self._listeners.values())
        rounds = Rounds(self._target, ProbeReadings(context.device, self._target.now_ms), listeners, self.report)
        try:
            for name in INPUTS:
                await self._open_input(stack, name, context, rounds)
            await self._run_rounds(rounds)
        finally:
            rounds.finish()
            self.remaining = rounds.stored
            for name, listener in self._listeners.items():
                if listener.closed:
                    self.report.check(f"{name} out").add_failure(listener.closed, "")

    async def _open_input(self, stack: AsyncExitStack, name: str, context: InputContext, rounds: Rounds) -> None:
        async def connect() -> str:
            self._inputs[name] = await stack.enter_async_context(INPUTS[name](context))
            return "connected"

        if not await self._check(f"{name} in", connect, connects=True):
            return
        source = self._inputs[name]
        await rounds.send(name, source, timed=False)
        if isinstance(source, CommandReceiver):

            async def command() -> str:
                if not self.report.input(name).passed:
                    raise Skipped("no command sent: no reading of the device was stored through this input")
                return await checks.command(self._target, context.device, source)

            await self._check(f"command by {name}", command, timed=False)

    async def _run_rounds(self, rounds: Rounds) -> None:
        """Send one reading through all inputs, then a reading per input and round."""
        inputs = {name: source for name, source in self._inputs.items() if self.report.input(name).passed}
        name = f"one reading through {len(inputs)} inputs"
        shared = None
        try:
            shared = await rounds.send_shared(inputs) if len(inputs) > 1 else None
        except Failed as error:
            self.report.check(name).add_failure(str(error), error.remedy)
        async for seconds in self._schedule.rounds():
            self._display.progress(self._progress(seconds))
            for input_name, source in self._inputs.items():
                await rounds.send(input_name, source)
            if seconds:
                for check_name in checks.REPEATED:
                    await self._run_http_check(check_name)
        if shared is not None:
            sent = shared
            await self._check(name, lambda: rounds.check_shared(sent), timed=False)

    def _progress(self, seconds: float) -> str:
        report, total = self.report, self._schedule.seconds
        lost = sum(path.lost for path in report.paths.values())
        elapsed = "" if total is None else f"{seconds:,.0f} of {total:,.0f} s · "
        return f"{elapsed}{report.sent:,} readings sent, {report.received:,} received, {lost:,} lost, {report.failed} failures"
