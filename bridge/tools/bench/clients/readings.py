"""The payloads of the load."""

import random
import time

import orjson

_BODIES = 256
_AGE_MS = 12 * 3600 * 1000  # in the past: device clocks must not be ahead, and a burst uses a millisecond per reading


class Readings:
    """Distinct payloads like those of an ESP32 with an ENS160, an MQ-7 and a PM sensor."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)  # noqa: S311 - not a secret
        self._bodies = [_body(rng) for _ in range(_BODIES)]
        self._start_ms = time.time_ns() // 1_000_000 - _AGE_MS

    def __getitem__(self, n: int) -> bytes:
        """Return the payload of reading `n`, about 160 bytes: 0.3 µs."""
        return b"%b%d}" % (self._bodies[n % _BODIES], self._start_ms + n)


def _body(rng: random.Random) -> bytes:
    values = {
        "temperature": round(rng.uniform(18, 28), 1),
        "humidity": round(rng.uniform(30, 60), 1),
        "aqi": rng.randint(1, 5),
        "eco2": rng.randint(400, 1600),
        "tvoc": rng.randint(0, 600),
        "coPpm": round(rng.uniform(0, 5), 2),
        "flameDetected": False,
        "pm25": round(rng.uniform(1, 40), 1),
    }
    return orjson.dumps(values)[:-1] + b',"timestamp":'
