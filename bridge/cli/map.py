"""`sensor-bridge map`: decode a message with every payload format and propose the settings for the best one."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bridge.cli.runner import print_line
from bridge.core.discovery.attempts import FormatAttempt, best_of
from bridge.core.errors import BridgeError
from bridge.core.formats.registry import FormatName
from bridge.core.payload import join_names, quote
from bridge.core.readings.measurements import MEASUREMENTS_BY_NAME, Value
from bridge.core.readings.reading import Reading
from bridge.core.timestamp import iso
from bridge.core.topic import TopicPattern
from bridge.settings import MqttSettings
from bridge.sources.mqtt.client import first_message
from bridge.tools.terminal import printable

_LISTED_KEYS = 20
_LISTED_READINGS = 10


async def capture_message(settings: MqttSettings, topic: str, seconds: float) -> tuple[str, bytes]:
    """Return topic and payload of the next message on a topic filter. Raises `BridgeError` if none arrives in time."""
    message = await first_message(settings, TopicPattern.parse(topic).topic_filter, seconds)
    if message is None:
        raise BridgeError(f"no message on {quote(topic)} at {settings.address} within {seconds:g} seconds")
    return message


# --- output ----------------------------------------------------------------------------------------------------------


def explain(console: Console, attempts: list[FormatAttempt]) -> bool:
    """Print how each format decodes the message, and the settings for the best. Return False if no format decodes a reading."""
    best = best_of(attempts)
    table = Table(show_lines=True)
    for heading in ("format", "pattern", "result"):
        table.add_column(heading, overflow="fold")
    for attempt in attempts:
        if best is not None and not _is_worth_showing(attempt, attempts):
            continue
        style = "bold green" if attempt is best else "" if attempt.readings else "dim"
        table.add_row(Text(attempt.format, style), Text(quote(attempt.pattern)[1:-1]), _result(attempt))
    console.print(table)
    if best is None:
        print_line('No format decodes a reading. For other JSON, give the path of each field: format = "mapping".', console)
        return False
    print_line(f"Best: {best.format}.{_auto_note(best, attempts)}", console)
    _print_dropped(best, console)
    print_line("In config/bridge.toml, under [mqtt], together with your other subscriptions:\n", console)
    print_line(f"subscriptions = [\n    {best.setting},\n]", console)
    if any(path.converts for path in best.fields.values()):
        print_line("\nThe scale is a guess from the magnitude of the number: compare it with the sensor's display.", console)
    return True


def _auto_note(best: FormatAttempt, attempts: Sequence[FormatAttempt]) -> str:
    """Return what `auto` does with the message."""
    auto = next((attempt for attempt in attempts if attempt.format is FormatName.AUTO), None)
    if auto is None or not auto.readings:
        return ""
    chosen = auto.readings[0].family or FormatName.JSON.value
    return f' The default format "auto" chooses {"it" if chosen == best.format else chosen}.'


def _is_worth_showing(attempt: FormatAttempt, attempts: Sequence[FormatAttempt]) -> bool:
    """Whether a format is one of the general ones or the message's family, or reads it in its own way."""
    if attempt.is_family or attempt.format.spec.recognizes is None:
        return True
    others = [_meaning(other) for other in attempts if other.is_family or other.format is FormatName.JSON]
    return bool(attempt.readings) and _meaning(attempt) not in others


def _meaning(attempt: FormatAttempt) -> list[Mapping[str, Value]]:
    return [reading.values for reading in attempt.readings]


def _print_dropped(best: FormatAttempt, console: Console) -> None:
    dropped = [path for reading in best.readings for path in reading.ignored]
    if dropped:
        names = join_names([printable(path) for path in dropped])
        print_line(f"It does not take: {names}. The table has the reasons.", console)
    if sum(len(reading.values) for reading in best.readings) <= sum(len(reading.extra) for reading in best.readings):
        print_line('Most of the message is not taken: format = "mapping" takes a field from the path that you give.', console)


def _result(attempt: FormatAttempt) -> Text:
    if not attempt.readings:
        return Text(printable(attempt.error), "dim")
    text = Text("\n").join(_reading(reading) for reading in attempt.readings[:_LISTED_READINGS])
    if len(attempt.readings) > _LISTED_READINGS:
        text.append(f"\nand {len(attempt.readings) - _LISTED_READINGS} more readings")
    if attempt.error:
        text.append(f"\nrejected: {printable(attempt.error)}")
    return text


def _reading(reading: Reading) -> Text:
    """Return the record of one reading, a line per key, and below it every key that was not taken, with its reason."""
    record = {
        "deviceId": reading.device_id,
        **reading.values,
        "timestamp": iso(reading.timestamp_ms),
        **{name: value for name, value in reading.optional_keys().items() if name != "extra"},
    }
    if reading.family:
        record["family"] = reading.family
    units = {name: MEASUREMENTS_BY_NAME[name].unit for name in reading.values if name in MEASUREMENTS_BY_NAME}
    text = Text("\n".join(printable(f"{name}: {value} {units.get(name, '')}".rstrip()) for name, value in record.items()))
    for path, reason in list(reading.ignored.items())[:_LISTED_KEYS]:
        text.append(f"\nnot taken: {printable(path)} ({reason})", "yellow")
    if len(reading.ignored) > _LISTED_KEYS:
        text.append(f"\nnot taken: {len(reading.ignored) - _LISTED_KEYS} more keys", "yellow")
    return text
