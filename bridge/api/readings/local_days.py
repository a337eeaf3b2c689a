"""Summaries by local days: spans in which a zone keeps its offset from UTC, and days that a change of it cuts in two."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

from bridge.core.query import Bucket, FieldSummary
from bridge.core.rollup import DAY_MS

_MINUTE_MS = 60_000


class OffsetSpan(NamedTuple):
    """From `from_ms` to before `to_ms` local time is `offset_ms` ahead of UTC."""

    from_ms: int
    to_ms: int
    offset_ms: int


def offset_spans(zone: tzinfo, from_ms: int, to_ms: int) -> Iterator[OffsetSpan]:
    """Divide a span of time where the offset changes. Two changes on the same day of UTC would be missed; no zone has them."""
    begin_ms, offset_ms = from_ms, _offset_ms(zone, from_ms)
    at_ms = from_ms
    while at_ms < to_ms:
        next_ms = min(at_ms + DAY_MS, to_ms)
        next_offset_ms = _offset_ms(zone, next_ms)
        if next_offset_ms != offset_ms:
            change_ms = _first_with(zone, next_offset_ms, at_ms, next_ms)
            if begin_ms < change_ms:
                yield OffsetSpan(begin_ms, change_ms, offset_ms)
            begin_ms, offset_ms = change_ms, next_offset_ms
        at_ms = next_ms
    if begin_ms < to_ms:
        yield OffsetSpan(begin_ms, to_ms, offset_ms)


def _first_with(zone: tzinfo, offset_ms: int, low_ms: int, high_ms: int) -> int:
    """Return the time in (`low_ms`, `high_ms`] from which on the offset is this one."""
    while high_ms - low_ms > 1:
        middle_ms = (low_ms + high_ms) // 2
        if _offset_ms(zone, middle_ms) == offset_ms:
            high_ms = middle_ms
        else:
            low_ms = middle_ms
    return high_ms


def _offset_ms(zone: tzinfo, at_ms: int) -> int:
    offset = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone).utcoffset()
    return 0 if offset is None else round(offset.total_seconds() / 60) * _MINUTE_MS


def merged(parts: Iterable[tuple[OffsetSpan, Iterable[Bucket]]]) -> list[Bucket]:
    """Return the buckets of consecutive spans, with those of the same local start merged, by rising time and device."""
    found: dict[tuple[int, str], Bucket] = {}
    for span, buckets in parts:
        for bucket in buckets:
            key = (bucket.start_ms + span.offset_ms, bucket.device_id)
            found[key] = bucket if key not in found else _sum(found[key], bucket)
    return sorted(found.values(), key=lambda one: (one.start_ms, one.device_id))


def _sum(one: Bucket, other: Bucket) -> Bucket:
    """The start is that of `one`, the earlier part."""
    fields = dict(one.fields)
    for name, summary in other.fields.items():
        fields[name] = _merged(fields[name], summary) if name in fields else summary
    return Bucket(one.device_id, one.start_ms, one.count + other.count, fields)


def _merged(one: FieldSummary, other: FieldSummary) -> FieldSummary:
    count = one.count + other.count
    mean = (one.mean * one.count + other.mean * other.count) / count
    return FieldSummary(min(one.low, other.low), mean, max(one.high, other.high), count)
