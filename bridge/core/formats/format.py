"""What a payload format is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Format = Callable[[bytes, Mapping[str, str]], Mapping[str, Any]]
"""What makes raw fields, flat and by names that `take_apart` knows, of a payload and the named levels of its topic.

Raises `PayloadError`, whatever the bytes, and nothing else. `bridge.core.formats` has those other than `json_format`.
"""
