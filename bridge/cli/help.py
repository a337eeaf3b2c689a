"""The help of the command line: commands under headings, and kinds of values in plain words."""

from typing import Any

import typer
from typer.core import TyperGroup, TyperOption

PANELS = {
    "Run": ("run", "demo", "check"),
    "Look": ("tail", "alarms", "actions", "anomalies", "forecast"),
    "Devices": ("discover", "map", "device", "command"),
    "Data": ("export", "import", "rejected"),
    "Accounts": ("user", "key", "import-users"),
    "Operate": ("probe", "cluster", "version"),
    "Develop": ("simulate", "bench"),
}
"""The headings of `--help`, and the commands under each in their order. A command that is missing here is listed first."""

_KINDS = {
    "str": "TEXT",
    "path": "PATH",
    "file": "FILE",
    "int": "NUMBER",
    "float": "NUMBER",
    "int range": "NUMBER",
    "float range": "NUMBER",
}


def arrange(group: TyperGroup) -> TyperGroup:
    """Put the commands under their headings, and name the kinds of values; return the same group."""
    places = {name: (at, panel) for at, (name, panel) in enumerate(_panel_of_each())}
    group.commands = dict(sorted(group.commands.items(), key=lambda item: places.get(item[0], (-1, ""))[0]))
    for name, command in group.commands.items():
        if name in places:
            setattr(command, "rich_help_panel", places[name][1])  # noqa: B010 - of Typer's commands and groups, not of Click's
    _name_kinds(group)
    return group


def _panel_of_each() -> list[tuple[str, str]]:
    return [(name, panel) for panel, names in PANELS.items() for name in names]


def _name_kinds(command: Any) -> None:  # noqa: ANN401 - commands and groups
    context = typer.Context(command)
    for param in (*command.params, command.get_help_option(context)):
        if isinstance(param, TyperOption) and param.metavar is None:
            param.metavar = _kind(param, context)
    for inner in getattr(command, "commands", {}).values():
        _name_kinds(inner)


def _kind(option: TyperOption, context: typer.Context) -> str | None:
    """Return the kind of an option's value: empty for a switch, None for a choice, whose values Typer lists."""
    if option.is_flag:
        return ""
    described = getattr(option, "type_descriptor", None)  # Typer before 0.29 names kinds in these words itself
    if described is None or described.is_choice:
        return None
    return _KINDS.get(option.display_type(context).strip("<>").removeprefix("list[").removesuffix("]"))
