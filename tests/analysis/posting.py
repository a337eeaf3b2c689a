"""Readings of simulated minutes, posted to a bridge."""

from __future__ import annotations

from typing import Any

START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
_EVERY_MS = 120_000


def saturated(device: str, count: int = 8, *, first: int = 0, co2: float = 5000) -> list[dict[str, Any]]:
    """Readings of every other minute at the end of the sensor's range: ten minutes and five readings are an anomaly."""
    return [{"deviceId": device, "co2": co2, "timestamp": START_MS + (first + one) * _EVERY_MS} for one in range(count)]


def recovered(device: str, first: int = 8) -> list[dict[str, Any]]:
    """Readings of the two hours after them: the anomaly ends."""
    numbers = range(first, first + 65)
    return [{"deviceId": device, "co2": 600 + one % 7, "timestamp": START_MS + one * _EVERY_MS} for one in numbers]
