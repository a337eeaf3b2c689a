"""`sensor-bridge probe`: a running bridge tested from outside, as any stranger could, by every way in and every way out."""
