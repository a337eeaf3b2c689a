"""`sensor-bridge actions …`: the advice of a running bridge, and the switch of its commands."""

from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from bridge.cli.analysis.api import LIST_LIMIT, call_bridge, print_more
from bridge.cli.options import LOCAL_BRIDGE, JsonOption, TokenFileOption, TokenOption, UrlOption
from bridge.cli.render import Column, local_time_of, print_json, print_list
from bridge.cli.runner import console, errors, print_line

actions = typer.Typer(no_args_is_help=True, help="List the advice of a running bridge; turn its commands on or off.")

_PATH = "/api/v1/actions"


@actions.command("list")
def list_actions(
    url: UrlOption = LOCAL_BRIDGE,
    device: Annotated[str | None, typer.Option(help="Only this device.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=LIST_LIMIT, help="Maximum number of rows.")] = 100,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what the bridge has advised, the newest first, and the commands that followed."""
    given = {"device": device, "limit": limit}
    query = urlencode({name: value for name, value in given.items() if value is not None})
    answer = call_bridge(url, "GET", f"{_PATH}?{query}", None, token, token_file)
    if as_json:
        print_json(console, answer["actions"])
    else:
        columns = ("at", "device", "action", Column("message", prose=True), Column("command", prose=True))
        rows = [
            (local_time_of(one["at"]), one["deviceId"], one["action"], one["message"], _command(one["command"]))
            for one in answer["actions"]
        ]
        print_list(console, columns, rows, "no advice was given")
    if answer["next"]:
        print_more(limit)
    _print_switch(answer["commands"])


@actions.command("off")
def turn_off(url: UrlOption = LOCAL_BRIDGE, token: TokenOption = None, token_file: TokenFileOption = None) -> None:
    """Turn off all commands that follow advice, at all bridges at once. Advice goes on."""
    _print_switch(call_bridge(url, "POST", f"{_PATH}/commands", {"enabled": False}, token, token_file)["commands"])


@actions.command("on")
def turn_on(url: UrlOption = LOCAL_BRIDGE, token: TokenOption = None, token_file: TokenFileOption = None) -> None:
    """Let the rules send commands again."""
    _print_switch(call_bridge(url, "POST", f"{_PATH}/commands", {"enabled": True}, token, token_file)["commands"])


def _command(made: dict[str, Any] | None) -> str:
    if made is None:
        return ""
    value = made["parameters"].get("value")
    text = f"{made['command']}{'' if value is None else f' {value}'} to {made['deviceId']}: {made['state']}"
    return f"{text} ({made['error']})" if made["error"] else text


def _print_switch(state: dict[str, Any]) -> None:
    changed = "" if state["changedAt"] is None else f", by {state['by']}, {local_time_of(state['changedAt'])}"
    print_line(f"commands are {'on' if state['enabled'] else 'off'}{changed}", errors)
