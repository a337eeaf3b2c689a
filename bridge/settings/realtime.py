"""Settings of realtime clients."""

from typing import Annotated

from pydantic import Field

from bridge.settings.section import Seconds, Section


class RealtimeSettings(Section):
    """Limits and timeouts of realtime clients."""

    client_buffer_bytes: Annotated[int, Field(ge=64 * 1024, le=64 * 1024 * 1024)] = 256 * 1024
    slow_seconds: Seconds = 30.0
    recent_records: Annotated[int, Field(ge=1000, le=1_000_000)] = 10_000
    catch_up_records: Annotated[int, Field(ge=0, le=10_000_000)] = 100_000
    settle_seconds: Annotated[float, Field(ge=0, le=5)] = 0.25
    handshake_seconds: Seconds = 10.0
    max_clients: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    max_clients_per_address: Annotated[int, Field(ge=1, le=1_000_000)] = 2_500
    message_rate: Annotated[float, Field(gt=0, le=10_000)] = 20.0
    message_burst: Annotated[int, Field(ge=1, le=100_000)] = 100
    ping_interval_seconds: Annotated[float, Field(ge=1, le=3600)] = 25.0
    ping_timeout_seconds: Annotated[float, Field(ge=1, le=3600)] = 20.0
    compression: bool = False
