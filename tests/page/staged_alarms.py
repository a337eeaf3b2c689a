"""The alarms of a bridge to order, as its HTTP API tells them: states, floods and late readings that take hours to come.

The records are the bridge's own (`AlarmRecord`, `AlarmKpis`); only who keeps them is replaced. A page that polls sees changes
within seconds.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
from playwright.async_api import BrowserContext, Page, Route, WebSocketRoute

from bridge.alarms.conditions import Above
from bridge.alarms.defaults import DEFAULT_RULES
from bridge.alarms.kpis import AlarmKpis
from bridge.alarms.record import AlarmRecord, AlarmState, Peak, TransitionKind
from bridge.alarms.rules import Priority
from bridge.core.timestamp import iso

MINUTE_MS = 60_000
_RULES = {rule.id: rule for rule in DEFAULT_RULES}
_SOCKET = re.compile("/socket.io/")
_URL = re.compile(r"/api/v1/alarms(/[^?]*)?(\?|$)")


def alarm(
    number: str, rule: str = "co-ceiling", device: str | None = "boiler", value: float | bool | None = 212, **over: Any
) -> AlarmRecord:
    """An unacknowledged alarm of a default rule, raised 3 minutes ago in the cellar at home."""
    one, now_ms = _RULES[rule], round(time.time() * 1000)
    place = {"site": "Home", "room": "Cellar"} | {key: over.pop(key) for key in ("site", "room") if key in over}
    message, advice = one.texts(value, ", ".join(filter(None, (place["room"], place["site"]))) or str(device))
    record = AlarmRecord(
        id=number,
        rule=rule,
        device_id=device,
        priority=one.priority,
        state=AlarmState.UNACKNOWLEDGED,
        message=message,
        advice=advice,
        field=one.field,
        latched=one.latched,
        value=value,
        unit=one.unit,
        limit=one.limit,
        peak=None if value is None else Peak(value, now_ms - MINUTE_MS),
        standard=one.standard.key if one.standard else None,
        indicative=one.indicative,
        raised_ms=now_ms - 3 * MINUTE_MS,
        first=True,
        group=number,
        **place,
    )
    return replace(record, **over)


class StagedAlarms:
    """Answers `/api/v1/alarms` of a page."""

    def __init__(self, records: Iterable[AlarmRecord] = ()) -> None:
        self.records = {one.id: one for one in records}
        self.refused: dict[str, str] = {}
        """Reasons by id: an action with the alarm fails."""
        self.asked: list[tuple[str, dict[str, Any]]] = []
        """What was posted: the path after `/alarms`, and the body."""
        self.is_catching_up = False
        self.kpis: AlarmKpis | None = None

    async def serve(self, page: Page | BrowserContext) -> None:
        await page.route_web_socket(_SOCKET, _withhold_alarms)
        await page.route(_URL, self._answer)

    def put(self, record: AlarmRecord) -> None:
        self.records[record.id] = record

    async def _answer(self, route: Route) -> None:
        url = urlsplit(route.request.url)
        path = url.path.partition("/api/v1/alarms")[2]
        if route.request.method == "POST":
            body = orjson.loads(route.request.post_data or "{}")
            self.asked.append((path, body))
            await self._post(route, path, body)
        elif path == "/rules":
            await route.fulfill(
                json={"profile": "home", "rules": [_rule(one) for one in _RULES], "file": {"path": "x", "error": None}}
            )
        elif path == "/stats":
            await route.fulfill(json=self.kpis.public() if self.kpis else {})
        elif path:
            await self._detail(route, path.removeprefix("/"))
        else:
            await self._list(route, parse_qs(url.query))

    async def _list(self, route: Route, query: dict[str, list[str]]) -> None:
        state, device, priority = (query.get(name, [""])[0] for name in ("state", "device", "priority"))
        shown = [
            one.public()
            for one in self.records.values()
            if _is_of(one, state) and device in ("", one.device_id) and priority in ("", one.priority)
        ]
        await route.fulfill(json={"alarms": shown, "next": None, "catchingUp": self.is_catching_up})

    async def _detail(self, route: Route, number: str) -> None:
        record = self.records[number]
        at = iso(record.raised_ms or 0)
        raised = {"id": f"{number}-1", "kind": TransitionKind.RAISED, "at": at, "by": None, "comment": None, "held": False}
        delivery = {"target": "family", "state": "failed", "attempts": 3, "at": at, "error": "no route to host"}
        await route.fulfill(json={"alarm": record.public(), "transitions": [raised], "deliveries": [delivery]})

    async def _post(self, route: Route, path: str, body: dict[str, Any]) -> None:
        if path == "/acknowledge":
            refused = [{"id": one, "reason": self.refused[one]} for one in body["ids"] if one in self.refused]
            for one in body["ids"]:
                if one not in self.refused:
                    self._change(one, "acknowledge", body)
            await route.fulfill(json={"acknowledged": [], "refused": refused})
            return
        _, number, action = path.split("/")
        if number in self.refused:
            await route.fulfill(status=409, json={"detail": self.refused[number]})
            return
        self._change(number, action, body)
        await route.fulfill(json={"alarm": self.records[number].public()})

    def _change(self, number: str, action: str, body: dict[str, Any]) -> None:
        record, now_ms = self.records[number], round(time.time() * 1000)
        changes: dict[str, dict[str, Any]] = {
            "acknowledge": {
                "state": AlarmState.ACKNOWLEDGED if record.is_active else AlarmState.NORMAL,
                "acknowledged_ms": now_ms,
                "acknowledged_by": "ann",
                "comment": body.get("comment"),
            },
            "reset": {"state": AlarmState.NORMAL},
            "shelve": {"shelved_until_ms": now_ms + 1000 * body.get("seconds", 0)},
            "unshelve": {"shelved_until_ms": None},
        }
        self.put(replace(record, **changes[action]))


def _withhold_alarms(socket: WebSocketRoute) -> None:
    """Keep from a page which alarms the bridge itself has when the page connects: none, which would replace the staged ones."""

    def tell(message: str | bytes) -> None:
        if not str(message).startswith('42["alerts"'):
            socket.send(message)

    socket.connect_to_server().on_message(tell)


def _is_of(record: AlarmRecord, state: str) -> bool:
    is_hidden = record.shelved_until_ms is not None or record.out_of_service
    is_standing = record.state is not AlarmState.NORMAL
    return {"standing": is_standing, "shelved": is_hidden, "ended": not is_standing and not is_hidden, "all": True}[state]


def _rule(rule_id: str) -> dict[str, Any]:
    rule = _RULES[rule_id]
    condition = rule.condition
    kind = "above" if isinstance(condition, Above) else type(condition).__name__.lower()
    clear = condition.clear if isinstance(condition, Above) else None
    return {
        "id": rule.id,
        "field": rule.field,
        "unit": rule.unit,
        "condition": {"kind": kind},
        "limit": rule.limit,
        "clear": clear,
        "priority": rule.priority,
        "enabled": True,
        "scope": {},
    }


def calm_kpis() -> AlarmKpis:
    now_ms = round(time.time() * 1000)
    standing = dict.fromkeys(Priority, 0)
    return AlarmKpis(now_ms - 86_400_000, now_ms, 12, standing, 0.083, 14, 0.004, [("boiler", "co2-air")], ["1"], 95.0, 700.0)
