"""What the HTTP server says of itself in the log, without what its clients sent."""

from __future__ import annotations

import logging

from aiohttp.http_exceptions import HttpProcessingError


def request_log() -> logging.Logger:
    """For aiohttp, which would log the beginning of a header that is too long: `Authorization`, or a cookie."""
    log = logging.getLogger(__name__)
    log.addFilter(_says_nothing_of_clients)  # once: a filter that is there is not added again
    return log


def _says_nothing_of_clients(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
