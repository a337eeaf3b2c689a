"""Sensor Bridge: MQTT readings, stored in MongoDB or SQLite, then broadcast live."""

__version__ = "0.1.0"
