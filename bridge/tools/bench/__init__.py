"""`sensor-bridge bench`: load-test a bridge. Publishers and subscribers are bare sockets, so that they cost little."""
