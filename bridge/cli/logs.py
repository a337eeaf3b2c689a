"""The log of `run` and `demo`, on standard error."""

import logging
import sys

from bridge.settings import Settings
from bridge.tools.terminal import printable


class _PrintableFormatter(logging.Formatter):
    """Escapes control characters: a text of a library may quote what a stranger sent."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), "\n\t")


def log_to_stderr(settings: Settings, worker: int | None = None) -> None:
    """Lines of a worker have its number."""
    handler = logging.StreamHandler(sys.stderr)
    of_worker = "" if worker is None else f"worker {worker}: "
    handler.setFormatter(_PrintableFormatter(f"%(asctime)s %(levelname)-7s {of_worker}%(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=settings.log.level.upper())
    for verbose in ("socketio", "engineio", "aiohttp.access", "pymongo", "bridge.sources.mqtt.client"):
        logging.getLogger(verbose).setLevel(logging.WARNING)
