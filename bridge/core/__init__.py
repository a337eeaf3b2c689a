"""The domain of readings, devices and access: pure code without sockets, clock or logging."""
