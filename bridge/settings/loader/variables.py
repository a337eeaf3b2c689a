"""Environment variables, and those of the file `.env` in the working folder, which the environment overrides."""

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv.parser import parse_stream

DOTENV_PATH = Path(".env")
PREFIX = "BRIDGE_"
ALIAS_PREFIX = "WEBSOCKET_"

_FILE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Variable:
    """A value, and where it is set: `environment NAME` or `.env:3 NAME`."""

    value: str
    origin: str


def read_variables(environ: Mapping[str, str], path: Path, mistakes: list[str]) -> dict[str, Variable]:
    """Return the variables of both by name. Variables of other programs in the file are left out."""
    variables = {name: Variable(value, f"environment {name}") for name, value in environ.items()}
    names = {name.upper() for name in environ}
    in_file = _read_dotenv(path, mistakes)
    return {name: variable for name, variable in in_file.items() if name.upper() not in names} | variables


def effective_environment(environ: Mapping[str, str] = os.environ, path: Path = DOTENV_PATH) -> dict[str, str]:
    """Return the values of both by name, whatever is wrong with the file."""
    return {name: variable.value for name, variable in read_variables(environ, path, []).items()}


def _read_dotenv(path: Path, mistakes: list[str]) -> dict[str, Variable]:
    if not path.is_file():
        return {}
    try:
        with path.open("rb") as file:
            raw = file.read(_FILE_BYTES + 1)
        if len(raw) > _FILE_BYTES:
            mistakes.append(f"{path}: larger than the {_FILE_BYTES} bytes allowed")
            return {}
        text = raw.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        mistakes.append(f"{path}: cannot be read: {error}")
        return {}
    variables: dict[str, Variable] = {}
    for binding in parse_stream(io.StringIO(text)):
        # A binding begins with the empty lines and the spaces before it.
        line = binding.original.line + len(binding.original.string) - len(binding.original.string.lstrip("\n"))
        name = (binding.key or binding.original.string.strip().removeprefix("export ").lstrip()).upper()
        if not name.startswith((PREFIX, ALIAS_PREFIX)):
            continue
        if binding.error or binding.key is None or binding.value is None:
            mistakes.append(f"{path}:{line}: not a line NAME=value: quote a value with quotation marks or several lines")
        else:
            variables[binding.key] = Variable(binding.value, f"{path}:{line} {binding.key}")
    return variables
