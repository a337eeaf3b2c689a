"""The channels of `/api/v1/ws`."""

from collections.abc import Collection, Iterable

from bridge.core.errors import AccountError

GENERAL = "general"
CHANNELS = (GENERAL, "sensors", "readings", "locations", "anomalies", "predictions")


def channels_of(names: Iterable[str] | None) -> frozenset[str] | None:
    """Return the channels that an account may listen to; None is every channel. Raises `AccountError`."""
    if names is None:
        return None
    channels = frozenset(names)
    if not channels or not channels.issubset(CHANNELS):
        raise AccountError("channels", f"must be one or more of {', '.join(CHANNELS)}; null or absent is every channel")
    return channels


def channels_to_document(channels: Collection[str] | None) -> list[str] | None:
    """Return channels in JSON types, in the order of `CHANNELS`."""
    return None if channels is None else [name for name in CHANNELS if name in channels]
