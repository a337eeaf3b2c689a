"""The HTTP server's logger, without anything that clients sent."""

import logging

from aiohttp.http_exceptions import HttpProcessingError


def request_log() -> logging.Logger:
    """Return the logger for aiohttp, which would log the beginning of an oversized header: `Authorization`, or a cookie."""
    log = logging.getLogger(__name__)
    log.addFilter(_has_no_client_data)  # a filter is added only once
    return log


def _has_no_client_data(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
