"""Test payloads: valid readings, and 16 kinds of invalid payloads."""

from __future__ import annotations

import random

import orjson


def good(n: int) -> bytes:
    return orjson.dumps({"temperature": n % 80, "humidity": 40.5, "timestamp": 1_767_000_000_000 + n})


def hostile(n: int, source: random.Random) -> bytes:
    """Return an invalid payload; `n` cycles through the 16 kinds."""
    whole = good(n)
    kinds = (
        lambda: source.randbytes(source.randint(1, 200)),
        lambda: whole[: source.randint(1, len(whole) - 1)],
        lambda: b"",
        lambda: b"\xff\xfe" + whole,
        lambda: b"[" * source.randint(2, 60_000),
        lambda: b'{"a":' * source.randint(2, 10_000),
        lambda: b"[1, 2, 3]",
        lambda: source.choice((b"null", b"42", b'"temperature"', b"true", b"NaN")),
        lambda: b'{"temperature": 1e999, "humidity": -Infinity}',
        lambda: orjson.dumps({source.choice(("$where", "a.b", "\0", "__proto__", "x" * 5000)): 1}),
        lambda: orjson.dumps({"temperature": {"$gt": ""}, "humidity": [1]}),
        lambda: orjson.dumps({"temperature": source.choice((-127, -1000, 1000, "hot", True, None))}),
        lambda: b'{"temperature": ' + b"9" * source.randint(400, 5000) + b"}",
        lambda: b'{"x": "' + b"y" * 70_000 + b'"}',
        lambda: b'{"\\ud800": "\\udfff", "temperature": "\\ud800"}',
        lambda: b"{}" + b"\0" * source.randint(1, 50),
    )
    return kinds[n % len(kinds)]()
