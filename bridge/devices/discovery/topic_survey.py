"""Surveys of the broker's topics that a running bridge makes on request: one at a time, for a limited time."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

from bridge.core.discovery.findings import Finding
from bridge.core.discovery.survey import Survey
from bridge.core.errors import BrokerUnavailable, SurveyRunning
from bridge.core.reasons import with_cause
from bridge.core.timestamp import iso
from bridge.devices.discovery.active_routes import ActiveRoutes

log = logging.getLogger(__name__)

SECONDS_LIMIT = 600
_FINDINGS_SECONDS = 1.0  # results are computed at most this often

Listen = Callable[[float, Callable[[str, bytes, bool], None]], Coroutine[Any, Any, None]]
"""Delivers topic, payload and whether it is retained, for some seconds. Raises `BrokerUnavailable`."""


class TopicSurvey:
    """The last survey and its results."""

    def __init__(self, routes: ActiveRoutes, listen: Listen, *, prefix: str, discovery: bool) -> None:
        self._routes = routes
        self._listen = listen
        self._prefix = prefix
        self._discovery = discovery
        self._requested = asyncio.Event()
        self._computing = asyncio.Lock()
        self._survey: Survey | None = None
        self._findings: list[Finding] = []
        self._computed_at = 0.0
        self._seconds = 0.0
        self._started_ms = 0
        self._reason = ""

    async def run(self) -> None:
        """Make the requested surveys until cancelled."""
        while True:
            await self._requested.wait()
            try:
                await self._listen(self._seconds, self._on_message)
            except BrokerUnavailable as error:
                self._reason = str(error)
                log.info("discovery: survey ended early: %s", error)
            finally:
                self._requested.clear()
                self._computed_at = 0.0

    def start(self, seconds: float) -> None:
        """Begin a survey. Raises `SurveyRunning`."""
        if self._requested.is_set():
            raise SurveyRunning("a survey is running already: wait until it has finished")
        self._survey, self._findings, self._reason = Survey(prefix=self._prefix), [], ""
        self._seconds, self._started_ms = seconds, time.time_ns() // 1_000_000
        self._computed_at = 0.0
        self._requested.set()

    def _on_message(self, topic: str, payload: bytes, retained: bool) -> None:
        if self._survey is not None:
            self._survey.add(topic, payload, retained=retained)

    async def public(self) -> dict[str, Any]:
        """Return the state and the results so far, as JSON types."""
        survey = self._survey
        if survey is None:
            return {"state": "idle", "findings": []}
        findings = await self._current(survey)
        state = "listening" if self._requested.is_set() else "failed" if self._reason else "finished"
        return {
            "state": state,
            **(with_cause({"reason": self._reason}) if self._reason else {}),
            "seconds": self._seconds,
            "startedAt": iso(self._started_ms),
            "messages": survey.messages,
            "topics": survey.topic_count,
            "dropped": survey.dropped,
            "findings": [finding.public() for finding in findings],
        }

    async def _current(self, survey: Survey) -> list[Finding]:
        """Compute the results in a thread, at most once a second: thousands of topics take longer than clients may wait."""
        async with self._computing:
            if time.monotonic() - self._computed_at >= _FINDINGS_SECONDS:
                routes, topics = self._routes.routes, dict(self._routes.topics)
                now_ms = time.time_ns() // 1_000_000
                snapshot = survey.copy()
                self._findings = await asyncio.to_thread(snapshot.findings, now_ms, routes, topics, discovery=self._discovery)
                self._computed_at = time.monotonic()
            return self._findings
