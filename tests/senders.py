"""Settings for the MQTT clients by which tests themselves publish."""

from __future__ import annotations

from pydantic import SecretStr

from bridge.settings import MqttSettings


def patient(url: str) -> MqttSettings:
    """Let connections and publications wait: the broker of a busy machine may answer after many seconds."""
    return MqttSettings(url=SecretStr(url), connect_timeout_seconds=20, timeout_seconds=60)
