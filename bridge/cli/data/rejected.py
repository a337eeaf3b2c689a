"""`sensor-bridge rejected …`: the quarantine in the store, with or without a running bridge."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from bridge.cli.options import JsonOption, load_store_settings
from bridge.cli.render import Column, counting_bar, local_time, print_json, print_list
from bridge.cli.runner import ConfigOption, console, errors, print_line, run_loop
from bridge.core.message import RejectionReason
from bridge.core.payload import PAYLOAD_LIMIT_BYTES
from bridge.core.query import QuarantinedMessage, QuarantineGroup, QuarantineQuery
from bridge.core.timestamp import iso
from bridge.ports import Store
from bridge.settings import StoreSettings
from bridge.stores import open_store
from bridge.tools.terminal import printable

if TYPE_CHECKING:
    from bridge.maintenance.retry import RetryResult

rejected = typer.Typer(no_args_is_help=True, help="List, retry and remove rejected messages.")

_HEX_WIDTH = 16

CodeOption = Annotated[
    RejectionReason | None,
    typer.Option("--code", metavar="CODE", help="Only messages rejected with this code, as `rejected list` shows it."),
]
DeviceOption = Annotated[str | None, typer.Option("--device", help="Only messages whose topic has this level.")]
TopicOption = Annotated[str | None, typer.Option("--topic", help="Only messages on this topic.")]


@asynccontextmanager
async def _prepared(settings: StoreSettings) -> AsyncIterator[Store]:
    async with open_store(settings) as store:
        await store.prepare()
        yield store


@rejected.command("list")
def rejected_list(
    config: ConfigOption = None,
    messages: Annotated[bool, typer.Option("--messages", help="List single messages instead of groups.")] = False,
    code: CodeOption = None,
    device: DeviceOption = None,
    topic: TopicOption = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Maximum number of messages.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List rejected messages in groups by reason; with --messages or a filter, the newest messages."""
    settings = load_store_settings(config).store

    async def find_messages() -> list[QuarantinedMessage]:
        async with _prepared(settings) as store:
            return await store.quarantine.messages(QuarantineQuery(code, topic, device, limit=limit))

    async def find_groups() -> list[QuarantineGroup]:
        async with _prepared(settings) as store:
            return await store.quarantine.groups()

    if messages or code or device or topic:
        found = run_loop(find_messages())
        if as_json:
            print_json(console, [message.public() for message in found])
        else:
            print_messages(console, found)
    else:
        groups = run_loop(find_groups())
        if as_json:
            print_json(console, [group.public() for group in groups])
        else:
            print_groups(console, groups)


@rejected.command("show")
def rejected_show(
    message_id: Annotated[str, typer.Argument(metavar="ID", help="Id, as `rejected list --messages` shows it.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print a rejected message with its payload."""
    from bridge.maintenance.quarantine import get_message

    async def find() -> QuarantinedMessage:
        async with _prepared(load_store_settings(config).store) as store:
            return await get_message(store, message_id)

    message = run_loop(find())
    if as_json:
        print_json(console, message.public())
    else:
        print_message(console, message)


@rejected.command("retry")
def rejected_retry(
    config: ConfigOption = None, code: CodeOption = None, device: DeviceOption = None, topic: TopicOption = None
) -> None:
    """Decode rejected messages again with the current settings. Valid ones are stored and leave the quarantine.

    Clients of a running bridge do not receive them; use POST /api/v1/rejected/retry for that.
    """
    from bridge.core.decode import Decoder
    from bridge.maintenance.retry import enforce_registration, standalone_retry, stored_profiles
    from bridge.wiring import load_routes

    settings = load_store_settings(config)
    query = QuarantineQuery(code, topic, device)

    async def retry() -> "RetryResult":
        async with _prepared(settings.store) as store:
            decoding = Decoder((), profiles=await stored_profiles(store))
            await load_routes(decoding, settings, store)
            decoder = await enforce_registration(decoding, settings.devices, store)
            with counting_bar(errors, "retrying", await store.quarantine.count(query)) as advance:
                async with standalone_retry(store, decoder) as quarantine:
                    return await quarantine.retry(query, advance)

    print_retry_result(console, run_loop(retry()))


@rejected.command("clear")
def rejected_clear(
    config: ConfigOption = None,
    code: CodeOption = None,
    device: DeviceOption = None,
    topic: TopicOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Remove rejected messages permanently."""
    from bridge.maintenance.quarantine import clear

    query = QuarantineQuery(code, topic, device)

    async def remove() -> None:
        async with _prepared(load_store_settings(config).store) as store:
            count = await store.quarantine.count(query)
            if count and not yes:
                typer.confirm(f"Remove {count:,} rejected messages permanently?", abort=True)
            with counting_bar(errors, "removing", count) as advance:
                removed = await clear(store, query, advance)
            print_line(f"{removed:,} removed")

    run_loop(remove())


# --- what is printed -------------------------------------------------------------------------------------------------


def print_groups(to: Console, groups: Sequence[QuarantineGroup]) -> None:
    columns = ("code", "field", Column("count", number=True), "newest", Column("example", prose=True))
    rows = [(group.code, group.field or "", f"{group.count:,}", local_time(group.newest_ms), group.reason) for group in groups]
    if groups:
        total = sum(group.count for group in groups)
        print_line(f"{total:,} rejected {'message' if total == 1 else 'messages'}; --messages lists them\n", to)
    print_list(to, columns, rows, "the quarantine is empty")


def print_messages(to: Console, messages: Sequence[QuarantinedMessage]) -> None:
    rows = [
        (str(one.id), local_time(one.received_ms, seconds=True), one.topic, one.code, one.field or "", one.reason)
        for one in messages
    ]
    print_list(
        to, ("id", "received", "topic", "code", "field", Column("reason", prose=True)), rows, "no rejected message matches"
    )


def print_message(to: Console, message: QuarantinedMessage) -> None:
    truncated = " (truncated)" if len(message.payload) == PAYLOAD_LIMIT_BYTES else ""
    for name, text in (
        ("id", str(message.id)),
        ("received", iso(message.received_ms)),
        ("source", message.source),
        ("topic", message.topic),
        ("code", message.code),
        ("field", message.field or ""),
        ("reason", message.reason),
        ("retained", "yes" if message.retained else ""),
        ("payload", f"{len(message.payload)} bytes{truncated}"),
    ):
        if text:
            to.out(f"{name:9} {printable(text)}", highlight=False)
    to.out(format_payload(message.payload), highlight=False)


def print_retry_result(to: Console, result: "RetryResult") -> None:
    rows = [("stored", "", f"{result.stored:,}"), ("duplicate", "already stored", f"{result.duplicate:,}")]
    if result.outdated:
        rows.append(("out of date", "an old status or event", f"{result.outdated:,}"))
    rows += [
        ("still bad", f"{code}: {name}" if name else code, f"{count:,}") for (code, name), count in result.bad.most_common()
    ]
    print_list(to, ("outcome", Column("reason", prose=True), Column("messages", number=True)), rows, "")


def format_payload(payload: bytes) -> str:
    """Return UTF-8 text with control characters escaped, or a hexadecimal dump of other bytes."""
    try:
        return printable(payload.decode("utf-8"), allowed="\n\t")
    except UnicodeDecodeError:
        rows = (payload[start : start + _HEX_WIDTH] for start in range(0, len(payload), _HEX_WIDTH))
        return "\n".join(
            f"{number * _HEX_WIDTH:05x}  {row.hex(' '):{3 * _HEX_WIDTH}} {_ascii(row)}" for number, row in enumerate(rows)
        )


def _ascii(row: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
