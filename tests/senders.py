"""Settings for the MQTT clients by which tests themselves publish."""

from __future__ import annotations

from pydantic import SecretStr

from bridge.settings import MqttSettings


def patient(url: str) -> MqttSettings:
    """Let a publication wait: the broker of a busy machine may acknowledge it after many seconds."""
    return MqttSettings(url=SecretStr(url), timeout_seconds=60)
