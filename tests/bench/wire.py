"""MQTT packets, for who still looks for them here."""

from bridge.bench.publisher import connect_packet, publish_packet

__all__ = ["connect_packet", "publish_packet"]
