"""How changes come into the repository: commit messages, workflows, releases."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from tests.servers import REPO

SCRIPTS = REPO / ".github" / "scripts"


def script(name: str) -> Path:
    """The path of one of the scripts that hooks and workflows run."""
    return SCRIPTS / f"{name}.py"


def load(name: str) -> ModuleType:
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(f"habits_{name}", script(name))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module
