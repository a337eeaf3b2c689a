"""`sensor-bridge probe`: test a running bridge from outside, through every input and every output."""
