"""Sensor Bridge: MQTT readings, stored in MongoDB and rebroadcast live, each only after it is safe."""

__version__ = "0.1.0"
