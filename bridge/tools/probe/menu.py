"""The menu of `sensor-bridge probe` without arguments on a terminal: test once, for some time, a test event, statistics."""

import enum
from dataclasses import replace

import aiohttp
from rich.console import Console
from rich.prompt import Confirm, FloatPrompt, IntPrompt, Prompt
from rich.text import Text

from bridge.core.access.channels import CHANNELS, GENERAL
from bridge.tools.probe.command import ProbeOptions
from bridge.tools.probe.outputs import CHANNELS as CHANNELS_PATH
from bridge.tools.probe.results import Failed
from bridge.tools.probe.target import ProbeTarget
from bridge.tools.terminal import printable

_FIVE_MINUTES = 300.0
_SECONDS = (1.0, 86_400.0)
_INTERVALS = (0.1, 3600.0)
LEVELS = ["info", "warning", "error"]


class Choice(enum.IntEnum):
    ONCE = 1
    FIVE_MINUTES = 2
    CUSTOM = 3
    TEST_EVENT = 4
    STATISTICS = 5


_TEXTS = {
    Choice.ONCE: "Test once",
    Choice.FIVE_MINUTES: "Test continuously (5 minutes)",
    Choice.CUSTOM: "Test continuously, as long as you say",
    Choice.TEST_EVENT: "Send a test event",
    Choice.STATISTICS: "Show statistics",
}
RUNS = (Choice.ONCE, Choice.FIVE_MINUTES, Choice.CUSTOM)
"""The choices that run the probe."""


def ask_url(options: ProbeOptions, console: Console) -> ProbeOptions:
    return replace(options, url=Prompt.ask("URL of the bridge", console=console, default=options.url))


def ask_choice(console: Console) -> Choice:
    for choice, text in _TEXTS.items():
        console.print(Text(f"{choice}. {text}"))
    return Choice(IntPrompt.ask("Choice", console=console, choices=[str(int(choice)) for choice in Choice]))


def ask_options(choice: Choice, options: ProbeOptions, console: Console) -> ProbeOptions:
    """Return the options of a choice among `RUNS`."""
    if choice is Choice.FIVE_MINUTES:
        options = replace(options, seconds=_FIVE_MINUTES)
    elif choice is Choice.CUSTOM:
        seconds = _ask_number("Seconds", _SECONDS, _FIVE_MINUTES, console)
        options = replace(options, seconds=seconds, interval=_ask_number("Seconds between rounds", _INTERVALS, 1.0, console))
    return replace(options, clean=Confirm.ask("Remove the readings of the test afterwards", console=console, default=True))


def _ask_number(question: str, bounds: tuple[float, float], default: float, console: Console) -> float:
    low, high = bounds
    while True:
        number = FloatPrompt.ask(f"{question} ({low:g} to {high:g})", console=console, default=default)
        if low <= number <= high:
            return number
        console.print(Text(f"must be from {low:g} to {high:g}"))


async def send_test_event(options: ProbeOptions, console: Console) -> bool:
    """Ask for a test event and send it; return whether it was sent."""
    channel = Prompt.ask("Channel", console=console, choices=list(CHANNELS), default=GENERAL)
    level = Prompt.ask("Level", console=console, choices=LEVELS, default=LEVELS[0])
    message = Prompt.ask("Message", console=console, default="test")
    query = {"channel": channel, "level": level, "message": message}
    return await _request("POST", f"{CHANNELS_PATH}/test-event", options, console, query)


async def show_statistics(options: ProbeOptions, console: Console) -> bool:
    """Print the statistics of the channels; return whether the bridge answered."""
    return await _request("GET", f"{CHANNELS_PATH}/stats", options, console, {})


async def _request(method: str, path: str, options: ProbeOptions, console: Console, query: dict[str, str]) -> bool:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
        target = ProbeTarget(options.url, session, options.patience, options.token)
        await target.check_is_bridge()
        try:
            answer = (await target.request(method, path, **query)).expect(200)
        except Failed as error:
            console.print(Text(printable(error.with_remedy)))
            return False
    console.print(Text(printable(answer.body.decode())))
    return True
