"""Predictions, anomalies and advice to order, as the bridge's HTTP API and Socket.IO tell them.

STAGED: these bodies follow the contract of `/api/v1/predictions`, `/anomalies` and `/actions`. Days of readings come before any
of them, so a page test cannot wait for the bridge's own.
"""

from __future__ import annotations

import re
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
from playwright.async_api import BrowserContext, Page, Route, WebSocketRoute

from bridge.core.timestamp import iso

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
_URL = re.compile(r"/api/v1/(predictions|anomalies|actions)(/[^?]*)?(\?|$)")
_SOCKET = re.compile("/socket.io/")


def now_ms() -> int:
    return round(time.time() * 1000)


def prediction(device: str, field: str, unit: str, *, mean: float, spread: float, **over: Any) -> dict[str, Any]:
    """A forecast from the start of this hour that rises by a tenth of `mean` each hour, with bounds that widen by `spread`."""
    start = now_ms() // HOUR_MS * HOUR_MS
    values = [
        {
            "at": iso(start + hour * HOUR_MS),
            "mean": mean * (1 + hour / 10),
            "low": mean * (1 + hour / 10) - spread * (1 + hour / 2),
            "high": mean * (1 + hour / 10) + spread * (1 + hour / 2),
        }
        for hour in range(6)
    ]
    return {
        "deviceId": device,
        "field": field,
        "unit": unit,
        "made": iso(start),
        "model": "profile",
        "level": 0.9,
        "values": values,
        "days": 30,
        "mase30d": 0.6,
        "coverage30d": 0.9,
        "error30d": 22.0,
        "ofPersistence30d": 0.6,
        "exceeds": [],
    } | over


def learning(device: str, field: str, unit: str, days: int) -> dict[str, Any]:
    nothing = {"mase30d": None, "coverage30d": None, "error30d": None, "ofPersistence30d": None}
    return prediction(device, field, unit, mean=0, spread=0, model="learning", values=[], days=days, **nothing)


def anomaly(number: str, device: str = "office", **over: Any) -> dict[str, Any]:
    """A temperature that has not changed for 26 hours."""
    since = now_ms() - 26 * HOUR_MS
    return {
        "id": number,
        "deviceId": device,
        "kind": "stuck",
        "field": "temperature",
        "fields": ["temperature"],
        "priority": "low",
        "state": "standing",
        "detectedAt": iso(now_ms() - 2 * HOUR_MS),
        "since": iso(since),
        "endedAt": None,
        "outcome": None,
        "message": "Temperature has been exactly 21.4 °C for 24 hours.",
        "key": "anomaly.stuck",
        "parameters": {"value": 21.4, "hours": 24.0, "longestHours": 3.0, "limitHours": 24.0},
        "unit": "°C",
        "neighbour": None,
        "samples": [{"at": iso(since), "value": 21.4}, {"at": iso(now_ms() - 2 * HOUR_MS), "value": 21.4}],
        "neighbourSamples": [],
        "markedBy": None,
        "comment": None,
    } | over


def drift(number: str, device: str = "office", neighbour: str = "hall", **over: Any) -> dict[str, Any]:
    """CO2 that is a third below what the neighbour suggests."""
    days = [now_ms() - day * 24 * HOUR_MS for day in range(5, 0, -1)]
    return (
        anomaly(
            number,
            device,
            kind="drift",
            field="co2",
            fields=["co2"],
            key="anomaly.driftPercent",
            parameters={
                "change": -33.2,
                "mean": 520.0,
                "expected": 778.0,
                "neighbourMean": 760.0,
                "sum": 17.4,
                "limit": 15.0,
                "k": 1.0,
            },
            unit="ppm",
            neighbour=neighbour,
            samples=[{"at": iso(at), "value": 620 - 20 * n} for n, at in enumerate(days)],
            neighbourSamples=[{"at": iso(at), "value": 755 + n} for n, at in enumerate(days)],
            message="CO2 differs by -33.2 % from what hall in the same room suggests.",
        )
        | over
    )


def ventilate(number: str, device: str = "office", **over: Any) -> dict[str, Any]:
    """Advice because of a forecast of CO2."""
    return {
        "id": number,
        "deviceId": device,
        "at": iso(now_ms() - MINUTE_MS),
        "action": "ventilate",
        "reason": "forecast",
        "field": "co2",
        "limit": 2000,
        "unit": "ppm",
        "probability": 0.62,
        "within": 1,
        "standard": "standard.ubaCo2",
        "message": "Air the room now: CO2 is likely to rise above 2,000 ppm within 1 h (62 %).",
        "key": "advice.ventilate.forecast",
        "parameters": {"limit": 2000, "hours": 1, "probability": 62},
        "alarm": None,
        "command": None,
    } | over


class StagedAnalysis:
    """Answers `/api/v1/predictions`, `/anomalies` and `/actions` of a page, and sends events over its live connection."""

    def __init__(self) -> None:
        self.predictions: list[dict[str, Any]] = []
        self.anomalies: dict[str, dict[str, Any]] = {}
        self.advice: list[dict[str, Any]] = []
        self.refusal: tuple[int, str] | None = None
        """Status and words with which a mark is refused."""
        self.marked: list[tuple[str, dict[str, Any]]] = []
        """The ids of anomalies that were marked as wrong, and the bodies."""
        self.page_size = 50
        self._sockets: list[WebSocketRoute] = []

    async def serve(self, page: Page | BrowserContext) -> None:
        await page.route_web_socket(_SOCKET, self._connect)
        await page.route(_URL, self._answer)

    def put(self, *anomalies: dict[str, Any]) -> None:
        self.anomalies |= {one["id"]: one for one in anomalies}

    def send(self, event: str, body: dict[str, Any]) -> None:
        """Send a Socket.IO event to every open page."""
        message = orjson.dumps([event, {"timestamp": iso(now_ms()), "kind": event, "data": body}]).decode()
        for socket in self._sockets:
            socket.send(f"42{message}")

    def _connect(self, socket: WebSocketRoute) -> None:
        """Pass on what the bridge sends, besides its alarms: staged ones would be replaced."""
        self._sockets.append(socket)

        def tell(message: str | bytes) -> None:
            if not str(message).startswith('42["alerts"'):
                socket.send(message)

        socket.connect_to_server().on_message(tell)

    async def _answer(self, route: Route) -> None:
        url = urlsplit(route.request.url)
        kind, *rest = url.path.partition("/api/v1/")[2].split("/")
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if route.request.method == "POST":
            await self._mark(route, rest[0], orjson.loads(route.request.post_data or "{}"))
        elif kind == "predictions":
            of_device = [one for one in self.predictions if one["deviceId"] == query["device"]]
            await route.fulfill(json={"predictions": of_device})
        elif kind == "actions":
            await route.fulfill(json={"actions": self.advice, "next": None})
        else:
            await self._list(route, query)

    async def _list(self, route: Route, query: dict[str, str]) -> None:
        """Newest first."""
        state, device, before = query["state"], query.get("device"), query.get("before")
        found = [
            one
            for one in sorted(self.anomalies.values(), key=lambda one: str(one["since"]), reverse=True)
            if state in ("all", one["state"]) and device in (None, one["deviceId"])
        ]
        start = next((place + 1 for place, one in enumerate(found) if one["id"] == before), 0)
        shown = found[start : start + self.page_size]
        has_more = len(found) > start + len(shown)
        await route.fulfill(json={"anomalies": shown, "next": shown[-1]["id"] if has_more else None})

    async def _mark(self, route: Route, number: str, body: dict[str, Any]) -> None:
        if self.refusal is not None:
            status, detail = self.refusal
            await route.fulfill(status=status, json={"detail": detail})
            return
        self.marked.append((number, body))
        ended = {"state": "wrong", "outcome": "wrong", "endedAt": iso(now_ms()), "markedBy": "ann"}
        self.put(self.anomalies[number] | ended | {"comment": body.get("comment")})
        await route.fulfill(json=self.anomalies[number])
