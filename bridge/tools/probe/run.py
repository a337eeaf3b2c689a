"""The whole of it, in order: what is asked, who listens, what is sent, and what is left behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

from bridge.tools.bench.stage import Screen
from bridge.tools.probe import checks
from bridge.tools.probe.findings import Failed, Findings, Skipped
from bridge.tools.probe.listener import Listener
from bridge.tools.probe.rounds import Rounds
from bridge.tools.probe.samples import ProbeReadings
from bridge.tools.probe.target import ProbeTarget
from bridge.tools.probe.ways_in import WAYS_IN, CommandTaker, ProbeContext, WayIn
from bridge.tools.probe.ways_out import CHANNELS, TOPICS, ListenerContext, WayOut

STORE = "store"


@dataclass(frozen=True, slots=True)
class Duration:
    """Once, or again and again for some seconds; `stopped` ends it before."""

    seconds: float | None = None
    interval: float = 1.0
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def rounds(self) -> AsyncIterator[float]:
        """One in any case, then one each `interval`: how many seconds have passed."""
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
    """One run against one bridge. `findings` grow as it goes on; `left` is how many readings stay in the store."""

    def __init__(self, target: ProbeTarget, ways_out: dict[str, WayOut], duration: Duration, screen: Screen) -> None:
        """Nothing is asked yet."""
        self.findings = Findings()
        self.left = 0
        self._target = target
        self._ways_out = ways_out
        self._duration = duration
        self._screen = screen
        self._ways_in: dict[str, WayIn] = {}
        self._listeners: dict[str, Listener] = {}

    async def run(self, given: ProbeContext) -> None:
        """What fails becomes a finding."""
        for name, check in checks.CHECKS.items():
            await self._ask(name, check)
        async with AsyncExitStack() as stack:
            await self._listen(stack, ListenerContext(self._target, given.device, given.tasks))
            await self._ask_beside_listeners(given.device)
            if await self._can_store():
                await stack.enter_async_context(self._registered(given.device))
                await self._readings(stack, given)

    # --- asking ------------------------------------------------------------------------------------------------------------

    async def _ask(self, name: str, check: checks.Check) -> None:
        await self._note(name, lambda: check(self._target))

    async def _note(
        self, name: str, question: Callable[[], Awaitable[str]], *, timed: bool = True, of_way: bool = False
    ) -> bool:
        """The answer, or why there is none; whether it held."""
        self._screen.progress(name)
        finding = self.findings.question(name, of_way=of_way)
        started = time.monotonic()
        try:
            said = await question()
        except Skipped as error:
            finding.said = str(error)
        except Failed as error:
            finding.fails(str(error), error.remedy)
        except (KeyError, TypeError, AttributeError) as error:
            finding.fails(f"the answer has not the shape of the contract: {error!r}", "is it a bridge of this version?")
        else:
            finding.held(said, time.monotonic() - started if timed else None)
            return True
        return False

    async def _ask_beside_listeners(self, device: str) -> None:
        if TOPICS in self._listeners:
            await self._ask(f"{TOPICS}/stats", checks.topic_stats)
        if (listener := self._listeners.get(CHANNELS)) is None:
            return
        await self._note(f"{CHANNELS}/stats", lambda: checks.channel_stats(self._target, device))
        await self._note("test event", lambda: checks.test_event(self._target, listener, device))

    async def _can_store(self) -> bool:
        """Nothing is sent while nothing can be stored: it would come long after everyone has stopped waiting."""
        with suppress(Failed):
            if STORE not in await checks.failing_parts(self._target):
                return True
        self.findings.question("readings").said = "none sent: the bridge cannot store them now"
        return False

    # --- ways out ----------------------------------------------------------------------------------------------------------

    async def _listen(self, stack: AsyncExitStack, ears: ListenerContext) -> None:
        for name, way_out in self._ways_out.items():

            async def connect(name: str = name, way_out: WayOut = way_out) -> str:
                self._listeners[name] = await stack.enter_async_context(way_out(ears))
                return "listens"

            await self._note(f"{name} out", connect, of_way=True)

    # --- the device --------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _registered(self, device: str) -> AsyncIterator[None]:
        """For as long as it is needed. One that was known before stays known."""
        ours = False

        async def register() -> str:
            nonlocal ours
            if await checks.known(self._target, device):
                return f"{device} was there before, and stays"
            ours = True
            await checks.register(self._target, device)
            return device

        async def remove() -> str:
            await checks.remove(self._target, device)
            return device

        await self._note("device registered", register)
        try:
            yield
        finally:
            if ours:
                await self._note("device removed", remove)

    # --- readings ----------------------------------------------------------------------------------------------------------

    async def _readings(self, stack: AsyncExitStack, given: ProbeContext) -> None:
        listeners = tuple(self._listeners.values())
        rounds = Rounds(self._target, ProbeReadings(given.device, self._target.now_ms), listeners, self.findings)
        try:
            for name in WAYS_IN:
                await self._open(stack, name, given, rounds)
            await self._together(rounds)
        finally:
            rounds.end()
            self.left = rounds.stored
            for name, listener in self._listeners.items():
                if listener.closed:
                    self.findings.question(f"{name} out").fails(listener.closed, "")

    async def _open(self, stack: AsyncExitStack, name: str, given: ProbeContext, rounds: Rounds) -> None:
        """Connect, send one, and take a command."""

        async def connect() -> str:
            self._ways_in[name] = await stack.enter_async_context(WAYS_IN[name](given))
            return "connected"

        if not await self._note(f"{name} in", connect, of_way=True):
            return
        way = self._ways_in[name]
        await rounds.send(name, way, timed=False)
        if isinstance(way, CommandTaker):

            async def command() -> str:
                if not self.findings.entry(name).held:
                    raise Skipped("none sent: no reading of the device has come that way")
                return await checks.command(self._target, given.device, way)

            await self._note(f"command by {name}", command, timed=False)

    async def _together(self, rounds: Rounds) -> None:
        """One reading by all ways, then as many by each as there is time for."""
        ways = {name: way for name, way in self._ways_in.items() if self.findings.entry(name).held}
        name = f"one reading by {len(ways)} ways"
        sent = None
        try:
            sent = await rounds.send_together(ways) if len(ways) > 1 else None
        except Failed as error:
            self.findings.question(name).fails(str(error), error.remedy)
        await self._again_and_again(rounds)
        if sent is not None:
            judged = sent
            await self._note(name, lambda: rounds.judge_together(judged), timed=False)

    async def _again_and_again(self, rounds: Rounds) -> None:
        async for passed in self._duration.rounds():
            self._screen.progress(self._going(passed))
            for name, way in self._ways_in.items():
                await rounds.send(name, way)
            if passed:
                for name in checks.REPEATED:
                    await self._ask(name, checks.CHECKS[name])

    def _going(self, passed: float) -> str:
        sent = sum(one.sent for one in self.findings.entries.values())
        heard = sum(one.heard for one in self.findings.deliveries.values())
        lost = sum(one.lost for one in self.findings.deliveries.values())
        of = "" if self._duration.seconds is None else f"{passed:,.0f} of {self._duration.seconds:,.0f} s · "
        return f"{of}{sent:,} readings sent, heard {heard:,} times, {lost:,} lost, {self.findings.failed} failures"
