"""InfluxDB's line protocol: one metric a line, as text.

Source: InfluxDB documentation, "Line protocol".

    air,host=gateway,device=kitchen temperature=21.5,humidity=40i,ok=t 1795860000000000000

`,`, `=` and blanks are escaped by a backslash, text fields are quoted. Whole numbers end in `i` or `u`. The time is in
nanoseconds unless the sender was told another precision. `metric.py` has the meaning of tags and fields.
"""

import re
from collections.abc import Iterator
from typing import Any

from bridge.core.errors import NotReading
from bridge.core.formats.encodings.merging import merge_samples
from bridge.core.formats.encodings.metric import Metric, is_of_computer, read_metric
from bridge.core.formats.format import FormatSpec, Parsed
from bridge.core.formats.payload import Payload
from bridge.core.message import RejectionReason
from bridge.core.payload import PAYLOAD_LIMIT_BYTES, PayloadError, quote
from bridge.core.readings.leaf import Leaf

LINES_LIMIT = 1000
_KEY = r"(?:[^,=\s\\]|\\.)+"
_VALUE = r'(?:"(?:[^"\\]|\\.)*"|[^,\s"]+)'
_LINE = re.compile(
    rf"((?:[^,\s\\]|\\.)+)((?:,{_KEY}={_KEY})*)[ ]+({_KEY}={_VALUE}(?:,{_KEY}={_VALUE})*)(?:[ ]+(-?\d{{1,20}}))?[ ]*", re.DOTALL
)
_TAG = re.compile(rf",({_KEY})=({_KEY})", re.DOTALL)
_FIELD = re.compile(rf"({_KEY})=({_VALUE})", re.DOTALL)
_ESCAPED = re.compile(r"\\([,= \\])")
_ESCAPED_TEXT = re.compile(r'\\(["\\])')
_WHOLE = re.compile(r"([+-]?\d{1,20})[iu]", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d{1,40}\.?\d{0,40}|\.\d{1,40})(?:[eE][+-]?\d{1,3})?", re.ASCII)
_FLAGS = {"t": True, "T": True, "true": True, "True": True, "TRUE": True} | {
    "f": False, "F": False, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_NAMED = ("measurement", "tags", "fields", "timestamp")
_TOO_MANY = f"beyond the {LINES_LIMIT} lines of a message"


def influx_format(payload: Payload) -> Parsed:
    parsed = Parsed([])
    names: set[str] = set()
    mistake = ""
    lines = list(_lines(payload.text()))
    for number, line in enumerate(lines, start=1):
        metric = _parse(line, f"{number}." if len(lines) > 1 else "") if number <= LINES_LIMIT else None
        if metric is None:
            mistake = mistake or f"line {number}: {quote(line)}"
            reason = _TOO_MANY if number > LINES_LIMIT else "not a line of the protocol"
            parsed.common.append(Leaf(str(number), None, None, None, reason))
            continue
        names.add(metric.name)
        one = read_metric(metric, payload)
        parsed.samples += one.samples
        parsed.common += one.common
    if not names:
        raise PayloadError(RejectionReason.NOT_JSON, f"not line protocol: {mistake or 'the payload is empty'}")
    if not parsed.samples and not mistake and all(is_of_computer(name) for name in names):
        raise NotReading("metrics of the computer itself")
    parsed.samples = merge_samples(parsed.samples)
    return parsed


def _lines(text: str) -> Iterator[str]:
    """Yield the lines that are neither empty nor a comment. A line ends outside quotes."""
    start, is_quoted = 0, False
    for found in re.finditer(r'\\.|"|\n', text, re.DOTALL):
        if found[0] == '"':
            is_quoted = not is_quoted
        elif found[0] == "\n" and not is_quoted:
            yield from _line(text[start : found.start()])
            start = found.end()
    yield from _line(text[start:])


def _line(text: str) -> Iterator[str]:
    line = text.strip()
    if line and not line.startswith("#"):
        yield line


def _parse(line: str, at: str) -> Metric | None:
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    tags = {_plain(key): _plain(value) for key, value in _TAG.findall(found[2])}
    fields: dict[str, Any] = {}
    for key, text in _FIELD.findall(found[3]):
        value = _value(text)
        if value is None:
            return None
        fields[_plain(key)] = value
    return Metric(_plain(found[1]), tags, fields, None if found[4] is None else int(found[4]), at, _NAMED)


def _value(text: str) -> str | float | bool | None:
    """Return the value of a field, or None if it is none."""
    if text.startswith('"'):
        return _ESCAPED_TEXT.sub(r"\1", text[1:-1])
    if text in _FLAGS:
        return _FLAGS[text]
    whole = _WHOLE.fullmatch(text)
    if whole is not None:
        return int(whole[1])
    return float(text) if _NUMBER.fullmatch(text) else None


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)


def recognizes(payload: Payload) -> bool:
    if payload.data[:1] in (b"", b"{", b"[", b'"') or b"=" not in payload.data or len(payload.data) > PAYLOAD_LIMIT_BYTES:
        return False
    return _parse(next(_lines(payload.text()), ""), "") is not None


SPEC = FormatSpec("influx", "telegraf/{deviceId}/+", (), influx_format, recognizes)
