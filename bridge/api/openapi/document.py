"""The description of the API: OpenAPI 3.1 built from `@describes`, and the page of the dashboard that shows it."""

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from aiohttp import web
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from bridge import __version__
from bridge.api import pages
from bridge.api.describe import PROBLEMS, Auth, Content, Operation, describes, operation_of
from bridge.api.middleware.problems import json_response
from bridge.api.openapi.models import Problem
from bridge.core.access.permissions import Permission
from bridge.http.credentials import SESSION_COOKIE, cookie_name

Json = dict[str, Any]

REFERENCE = "#/components/schemas/"
_PARAMETER = re.compile(r"\{(\w+)\}")
_SUCCESS = {
    101: "switching protocols",
    200: "done",
    201: "stored",
    202: "accepted",
    204: "done; no body",
    302: "a browser (Accept: text/html) is redirected",
}


class OpenApi:
    """Routes of the description, which is built at the first request, when all routes are known."""

    def __init__(self) -> None:
        self._document: Json | None = None
        self._building = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/api/openapi.json", self._json), web.get("/api/docs", self._page)]

    async def _built(self, request: web.Request) -> Json:
        """Build it in a thread, so that readings do not wait for it."""
        async with self._building:
            if self._document is None:
                self._document = await asyncio.to_thread(document, operations(request.app))
            return self._document

    @describes("This description", answers={200: dict[str, Any]}, tag="description", permission=Auth.NONE)
    async def _json(self, request: web.Request) -> web.Response:
        return json_response(await self._built(request))

    @describes(
        "This description as a page, which also sends requests",
        answers={200: "text/html"},
        problems=(404,),
        tag="description",
        permission=Auth.NONE,
    )
    async def _page(self, _: web.Request) -> web.FileResponse:
        return pages.reference()


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
        "name": cookie_name(SESSION_COOKIE, "ID"),
        "description": "of the dashboard, where ID is the bridge's own; accepted from pages of the bridge itself only",
    },
}
"""Any one of these where access is required; none while it is open."""


class DescribedRoute(NamedTuple):
    """A route with its description."""

    method: str
    """In lower case."""
    path: str
    operation: Operation
    alias_of: str | None
    """The method and the path of the first route with the same handler and parameters, such as `PATCH /api/v1/devices/{id}`."""


def operations(app: web.Application) -> Iterator[DescribedRoute]:
    """Yield every described route."""
    firsts: dict[tuple[Callable[..., Any], tuple[str, ...]], str] = {}
    for route in app.router.routes():
        operation = operation_of(route.handler)
        if operation is not None and route.method != "HEAD" and route.resource is not None:
            path = route.resource.canonical
            name = f"{route.method} {path}"
            first = firsts.setdefault((route.handler, tuple(_PARAMETER.findall(path))), name)
            yield DescribedRoute(route.method.lower(), path, operation, None if first == name else first)


def document(routes: Iterator[DescribedRoute]) -> Json:
    """Build the OpenAPI 3.1 document. `x-alias-of` of an alias names the first route; `x-permission` is the needed right."""
    schemas = _Schemas()
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Sensor Bridge", "version": __version__, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {"schemas": dict(sorted(schemas.components.items())), "securitySchemes": _SCHEMES},
    }


def _operation(route: DescribedRoute, schemas: "_Schemas") -> Json:
    method, path, operation, alias_of = route
    described = {parameter["name"]: parameter for parameter in _parameters("path", operation.path)}
    parameters = [
        described.get(name) or {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _PARAMETER.findall(path)
    ]
    parameters += [*_parameters("query", operation.query), *_parameters("header", operation.headers)]
    result: Json = {
        "operationId": re.sub(r"\W+", "_", f"{method}{path}").strip("_"),
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": {str(status): answer for status, answer in _responses(operation, schemas)},
        "security": [{name: []} for name in _SCHEMES] if operation.guarded else [],
    }
    if isinstance(operation.permission, Permission):
        result["description"] = f"Needs the right to {operation.permission}, where access is required."
        result["x-permission"] = operation.permission.value
    if alias_of is not None:
        result["x-alias-of"] = alias_of
    if parameters:
        result["parameters"] = parameters
    if operation.body:
        content = {media: {"schema": schemas.schema(kind)} for media, kind in operation.body.items()}
        result["requestBody"] = {"required": True, "content": content}
    return result


def _responses(operation: Operation, schemas: "_Schemas") -> Iterator[tuple[int, Json]]:
    for status, content in sorted({**dict.fromkeys(operation.problems, Problem), **operation.answers}.items()):
        text = _SUCCESS.get(status) or PROBLEMS[status]
        answer: Json = {"description": text}
        if isinstance(content, str):
            answer["content"] = {content: {"schema": {"type": "string"}}}
        elif content is not None:
            answer["content"] = {_media(content): {"schema": schemas.schema(content)}}
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
        kind = _without_null(given)
        parameter = {"name": name, "in": place, "required": name in schema.get("required", ()), "schema": kind}
        if "description" in kind:
            parameter["description"] = kind.pop("description")
        yield parameter


def _without_null(schema: Json) -> Json:
    """Remove null from a schema: a parameter is absent and never null."""
    kind = {name: value for name, value in schema.items() if name != "default" or value not in (None, [])}
    options = [option for option in kind.pop("anyOf", ()) if option != {"type": "null"}]
    if len(options) == 1:
        return {**options[0], **kind}
    return {**kind, "anyOf": options} if options else kind


class _Untitled(GenerateJsonSchema):
    """Schemas without field titles, which would repeat the names."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002
        return False


@cache
def _schema_of(kind: Content) -> tuple[Json, Mapping[str, Json]]:
    """Return the schema of a type and those of the models in it. Most answers are of few types: 0.9 s became 0.5 s."""
    schema = TypeAdapter(kind).json_schema(ref_template=REFERENCE + "{model}", schema_generator=_Untitled)
    definitions = schema.pop("$defs", {})
    return schema, definitions


class _Schemas:
    """Collects the schemas of models by name."""

    def __init__(self) -> None:
        self.components: dict[str, Json] = {}

    def schema(self, kind: Content) -> Json:
        """Return the schema of a type; a reference if it is a model."""
        schema, definitions = _schema_of(kind)
        for name, definition in definitions.items():
            self._add(name, definition)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            self._add(kind.__name__, schema)
            return {"$ref": REFERENCE + kind.__name__}
        return schema

    def _add(self, name: str, schema: Json) -> None:
        if self.components.setdefault(name, schema) != schema:
            raise ValueError(f"two models are named {name}: rename one of them")
