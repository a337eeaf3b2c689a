"""The structure of `bridge/` as its imports tell it: rooms, arrows, circles. `python -m tests.house` draws it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.servers import REPO

PACKAGE = REPO / "bridge"
Graph = dict[str, set[str]]


def read_modules(package: Path = PACKAGE) -> dict[str, str]:
    """Name and source of every module of the package."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text("utf-8")
    return found


MODULES = read_modules()


@cache
def imports(module: str, source: str) -> tuple[str, ...]:
    """Every module that `source`, the text of `module`, imports, wherever in it; relative imports are made absolute."""
    return tuple(_imports(module, source))


def _imports(module: str, source: str) -> Iterator[str]:
    is_package = (REPO / Path(*module.split(".")) / "__init__.py").exists()
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                inside = f"{origin}.{alias.name}"
                yield inside if inside in MODULES else origin


def room_of(module: str, inside: str = "bridge") -> str:
    """The child of the package `inside` that `module` belongs to; the package itself is a room of its own."""
    return ".".join(module.split(".")[: inside.count(".") + 2])


def graph(inside: str = "bridge") -> Graph:
    """Which rooms of a package import which others of it."""
    arrows: Graph = {}
    for module, source in MODULES.items():
        if module != inside and not module.startswith(f"{inside}."):
            continue
        room = room_of(module, inside)
        arrows.setdefault(room, set())
        for imported in imports(module, source):
            if imported != inside and not imported.startswith(f"{inside}."):
                continue
            if (target := room_of(imported, inside)) != room:
                arrows[room].add(target)
                arrows.setdefault(target, set())
    return arrows


def circle(arrows: Graph) -> list[str]:
    """A circle of imports, its first room repeated at the end; empty if there is none."""
    finished: set[str] = set()

    def visit(room: str, path: list[str]) -> list[str]:
        if room in path:
            return [*path[path.index(room) :], room]
        if room in finished:
            return []
        for target in sorted(arrows[room]):
            if found := visit(target, [*path, room]):
                return found
        finished.add(room)
        return []

    return next((found for room in sorted(arrows) if (found := visit(room, []))), [])


def layers(arrows: Graph) -> list[list[str]]:
    """Rooms by height: each imports only rooms of the layers before it. The graph has no circle."""
    height: dict[str, int] = {}

    def measure(room: str) -> int:
        if room not in height:
            height[room] = 1 + max((measure(target) for target in arrows[room]), default=-1)
        return height[room]

    for room in arrows:
        measure(room)
    return [sorted(room for room in arrows if height[room] == level) for level in range(max(height.values()) + 1)]


def packages() -> list[str]:
    """Every package that has at least two modules or packages inside."""
    names = {".".join(name.split(".")[:depth]) for name in MODULES for depth in range(1, name.count(".") + 1)}
    return sorted(names)


def drawing(inside: str = "bridge") -> str:
    """Rooms from the outermost layer to the innermost, each with the rooms that it imports."""
    arrows = graph(inside)
    lines = [f"{inside}: {len(arrows)} rooms, {sum(map(len, arrows.values()))} arrows"]
    for level, rooms in reversed(list(enumerate(layers(arrows)))):
        lines.append(f"  layer {level}")
        for room in rooms:
            count = sum(room_of(module, inside) == room for module in MODULES if module.startswith(inside))
            targets = ", ".join(target.removeprefix(f"{inside}.") for target in sorted(arrows[room]))
            lines.append(f"    {room.removeprefix(f'{inside}.'):<14} {count:>3} modules  -> {targets or '-'}")
    return "\n".join(lines)


if __name__ == "__main__":
    print("\n\n".join(drawing(name) for name in ("bridge", "bridge.core", "bridge.realtime")))
