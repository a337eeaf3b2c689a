"""Live delivery to clients: the hub, and the wire protocols that its clients speak."""
