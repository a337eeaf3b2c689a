"""Measures a bridge under load: `sensor-bridge bench`. Its own publishers and subscribers are bare sockets, so that they cost
little and what is measured is the bridge.
"""
