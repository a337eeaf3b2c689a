"""The description of the API: OpenAPI 3.1 from what `@describes` says of each route, and a page to read it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import orjson
from aiohttp import web
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from bridge import __version__
from bridge.api.describe import PROBLEMS, Auth, Content, Operation, describes, operation_of
from bridge.api.middleware.headers import hash_source, page_headers
from bridge.api.middleware.problems import json_response
from bridge.api.openapi.models import Problem
from bridge.core.access.permissions import Permission
from bridge.http.credentials import SESSION_COOKIE

Json = dict[str, Any]

_REF = "#/components/schemas/"
_PARAMETER = re.compile(r"\{(\w+)\}")
_SUCCESS = {101: "switching protocols", 200: "done", 201: "stored", 202: "accepted", 204: "done; no body"}


class OpenApi:
    """Describes the application it is asked in; made at the first question, when all routes are there."""

    def __init__(self) -> None:
        """Nothing is made yet."""
        self._document: Json | None = None

    def routes(self) -> list[web.RouteDef]:
        """The paths it answers."""
        return [web.get("/api/openapi.json", self._json), web.get("/api/docs", self._page)]

    def _of(self, request: web.Request) -> Json:
        if self._document is None:
            self._document = document(operations(request.app))
        return self._document

    @describes("This description", answers={200: dict[str, Any]}, tag="description", right=Auth.NONE)
    async def _json(self, request: web.Request) -> web.Response:
        return json_response(self._of(request))

    @describes("This description, as a page", answers={200: "text/html"}, tag="description", right=Auth.NONE)
    async def _page(self, request: web.Request) -> web.Response:
        return web.Response(text=page(self._of(request)), content_type="text/html", headers=_HEADERS)


_SCHEMES: Json = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "a token of POST /auth/login or of an identity provider, or an API key",
    },
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "device": {"type": "http", "scheme": "basic", "description": "a device: its id, and its key or secret"},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": SESSION_COOKIE,
        "description": "of the dashboard; it counts for pages of the bridge itself, and what changes something must name one",
    },
}
"""Any one of them, where access is required; none while it is open."""


def operations(app: web.Application) -> Iterator[tuple[str, str, Operation]]:
    """Method in lower case, path and description of every described route."""
    for route in app.router.routes():
        told = operation_of(route.handler)
        if told is not None and route.method != "HEAD" and route.resource is not None:
            yield route.method.lower(), route.resource.canonical, told


def document(found: Iterator[tuple[str, str, Operation]]) -> Json:
    """The description as OpenAPI 3.1 has it."""
    schemas = _Schemas()
    paths: dict[str, Json] = {}
    for method, path, told in found:
        paths.setdefault(path, {})[method] = _operation(method, path, told, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Sensor Bridge", "version": __version__, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {"schemas": dict(sorted(schemas.components.items())), "securitySchemes": _SCHEMES},
    }


def _operation(method: str, path: str, told: Operation, schemas: _Schemas) -> Json:
    said = {one["name"]: one for one in _parameters("path", told.path)}
    parameters = [
        said.get(name) or {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _PARAMETER.findall(path)
    ]
    parameters += [*_parameters("query", told.query), *_parameters("header", told.headers)]
    made: Json = {
        "operationId": re.sub(r"\W+", "_", f"{method}{path}").strip("_"),
        "summary": told.summary,
        "tags": [told.tag],
        "responses": {str(status): answer for status, answer in _responses(told, schemas)},
        "security": [{name: []} for name in _SCHEMES] if told.guarded else [],
    }
    if isinstance(told.permission, Permission):
        made["description"] = f"Where access is required: the right to {told.permission}."
    if parameters:
        made["parameters"] = parameters
    if told.body:
        content = {media: {"schema": schemas.of(kind)} for media, kind in told.body.items()}
        made["requestBody"] = {"required": True, "content": content}
    return made


def _responses(told: Operation, schemas: _Schemas) -> Iterator[tuple[int, Json]]:
    for status, content in sorted({**dict.fromkeys(told.problems, Problem), **told.answers}.items()):
        text = _SUCCESS.get(status) or PROBLEMS[status]
        answer: Json = {"description": text}
        if isinstance(content, str):
            answer["content"] = {content: {"schema": {"type": "string"}}}
        elif content is not None:
            answer["content"] = {_media(content): {"schema": schemas.of(content)}}
        if status in (429, 503) and _media(content) == _PROBLEM:
            answer["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}
        yield status, answer


_PROBLEM = "application/problem+json"


def _media(content: Content) -> str:
    return _PROBLEM if isinstance(content, type) and issubclass(content, Problem) else "application/json"


def _parameters(place: str, model: type[BaseModel] | None) -> Iterator[Json]:
    if model is None:
        return
    schema = model.model_json_schema(schema_generator=_Untitled)
    for name, given in schema["properties"].items():
        kind = _not_null(given)
        parameter = {"name": name, "in": place, "required": name in schema.get("required", ()), "schema": kind}
        if "description" in kind:
            parameter["description"] = kind.pop("description")
        yield parameter


def _not_null(schema: Json) -> Json:
    """A parameter is there or not, and never null."""
    kind = {name: value for name, value in schema.items() if name != "default" or value not in (None, [])}
    some = [one for one in kind.pop("anyOf", ()) if one != {"type": "null"}]
    if len(some) == 1:
        return {**some[0], **kind}
    return {**kind, "anyOf": some} if some else kind


class _Untitled(GenerateJsonSchema):
    """Without a title for each field, which would be its name again."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002
        return False


class _Schemas:
    """Schemas of models, each once, by name."""

    def __init__(self) -> None:
        self.components: dict[str, Json] = {}

    def of(self, kind: Content) -> Json:
        """The schema of a type, as a reference where it is a model."""
        schema = TypeAdapter(kind).json_schema(ref_template=_REF + "{model}", schema_generator=_Untitled)
        for name, definition in schema.pop("$defs", {}).items():
            self._add(name, definition)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            self._add(kind.__name__, schema)
            return {"$ref": _REF + kind.__name__}
        return schema

    def _add(self, name: str, schema: Json) -> None:
        if self.components.setdefault(name, schema) != schema:
            raise ValueError(f"two models are called {name}: give one of them another name")


# --- the page --------------------------------------------------------------------------------------------------------

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
details { border: 1px solid #8885; border-radius: 6px; margin: .4rem 0; padding: .4rem .8rem; }
summary { cursor: pointer; } code, pre { font: 13px/1.4 ui-monospace, monospace; }
pre { overflow: auto; background: #8881; padding: .6rem; } b.m { display: inline-block; min-width: 4rem; }
table { border-collapse: collapse; } td { border-top: 1px solid #8883; padding: .2rem .8rem .2rem 0; vertical-align: top; }
"""

_HEADERS = page_headers(f"style-src {hash_source(_STYLE)}")


def page(described_api: Mapping[str, Any]) -> str:
    """The description for people: no script, nothing from elsewhere."""
    routes = [(path, method, one) for path, methods in described_api["paths"].items() for method, one in methods.items()]
    tags = sorted({one["tags"][0] for _, _, one in routes})
    parts = [
        f"<h2>{escape(tag)}</h2>" + "".join(_route(path, method, one) for path, method, one in routes if one["tags"] == [tag])
        for tag in tags
    ]
    shapes = "".join(_shape(name, schema) for name, schema in described_api["components"]["schemas"].items())
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Sensor Bridge: API</title><style>{_STYLE}</style><h1>Sensor Bridge {escape(__version__)}</h1>"
        '<p><a href="/api/openapi.json">openapi.json</a></p>'
        f"{''.join(parts)}<h2>shapes</h2>{shapes}</html>"
    )


def _route(path: str, method: str, one: Json) -> str:
    rows = [
        (f"<code>{escape(given['name'])}</code>", given["in"], escape(given.get("description", "")), _schema(given["schema"]))
        for given in one.get("parameters", ())
    ]
    bodies: Json = one["requestBody"]["content"] if "requestBody" in one else {}
    rows += [("body", escape(media), "", _schema(body["schema"])) for media, body in bodies.items()]
    answers = [(status, *_answered(answer)) for status, answer in one["responses"].items()]
    return (
        f'<details><summary><b class="m">{method.upper()}</b> <code>{escape(path)}</code> {escape(one["summary"])}</summary>'
        f"{_table(rows)}<p>answers</p>{_table(answers)}</details>"
    )


def _answered(answer: Json) -> tuple[str, str, str]:
    content: Json = answer.get("content", {})
    media = next(iter(content), "")
    return escape(answer["description"]), escape(media), _schema(content[media]["schema"]) if media else ""


def _table(rows: Sequence[Sequence[str]]) -> str:
    lines = (f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{''.join(lines)}</table>"


def _shape(name: str, schema: Json) -> str:
    title = f"{escape(name)}: {escape(schema.get('description', ''))}"
    return f'<details id="{escape(name)}"><summary>{title}</summary><pre>{_links(schema)}</pre></details>'


def _schema(schema: Json) -> str:
    return f"<code>{_links(schema, 0)}</code>"


def _links(schema: Json, option: int = orjson.OPT_INDENT_2) -> str:
    """JSON with its references as links; `"$ref": "#/components/schemas/Record"` leads to the shape on the page."""
    text = escape(orjson.dumps(schema, option=option).decode(), quote=False)
    return re.sub(rf"\"{_REF}(\w+)\"", r'<a href="#\1">\1</a>', text)
