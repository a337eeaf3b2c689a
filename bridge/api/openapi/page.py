"""The HTML page of the OpenAPI description."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import orjson

from bridge import __version__
from bridge.api.middleware.headers import hash_source, page_headers

Json = dict[str, Any]

REFERENCE = "#/components/schemas/"
_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
details { border: 1px solid #8885; border-radius: 6px; margin: .4rem 0; padding: .4rem .8rem; }
summary { cursor: pointer; } code, pre { font: 13px/1.4 ui-monospace, monospace; }
pre { overflow: auto; background: #8881; padding: .6rem; } b.m { display: inline-block; min-width: 4rem; }
table { border-collapse: collapse; } td { border-top: 1px solid #8883; padding: .2rem .8rem .2rem 0; vertical-align: top; }
"""

HEADERS = page_headers(f"style-src {hash_source(_STYLE)}")


def page(description: Mapping[str, Any]) -> str:
    """Return the description as HTML, without scripts and external resources."""
    routes = [(path, method, item) for path, methods in description["paths"].items() for method, item in methods.items()]
    tags = sorted({item["tags"][0] for _, _, item in routes})
    parts = [
        f"<h2>{escape(tag)}</h2>"
        + "".join(_route(path, method, item) for path, method, item in routes if item["tags"] == [tag])
        for tag in tags
    ]
    schemas = "".join(_named_schema(name, schema) for name, schema in description["components"]["schemas"].items())
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Sensor Bridge: API</title><style>{_STYLE}</style><h1>Sensor Bridge {escape(__version__)}</h1>"
        '<p><a href="/api/openapi.json">openapi.json</a></p>'
        f"{''.join(parts)}<h2>schemas</h2>{schemas}</html>"
    )


def _route(path: str, method: str, operation: Json) -> str:
    rows = [
        (f"<code>{escape(item['name'])}</code>", item["in"], escape(item.get("description", "")), _schema(item["schema"]))
        for item in operation.get("parameters", ())
    ]
    bodies: Json = operation["requestBody"]["content"] if "requestBody" in operation else {}
    rows += [("body", escape(media), "", _schema(body["schema"])) for media, body in bodies.items()]
    answers = [(status, *_response(response)) for status, response in operation["responses"].items()]
    return (
        f'<details><summary><b class="m">{method.upper()}</b> <code>{escape(path)}</code> '
        f"{escape(operation['summary'])}</summary>"
        f"{_table(rows)}<p>answers</p>{_table(answers)}</details>"
    )


def _response(response: Json) -> tuple[str, str, str]:
    content: Json = response.get("content", {})
    media = next(iter(content), "")
    return escape(response["description"]), escape(media), _schema(content[media]["schema"]) if media else ""


def _table(rows: Sequence[Sequence[str]]) -> str:
    lines = (f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{''.join(lines)}</table>"


def _named_schema(name: str, schema: Json) -> str:
    title = f"{escape(name)}: {escape(schema.get('description', ''))}"
    return f'<details id="{escape(name)}"><summary>{title}</summary><pre>{_links(schema)}</pre></details>'


def _schema(schema: Json) -> str:
    return f"<code>{_links(schema, 0)}</code>"


def _links(schema: Json, option: int = orjson.OPT_INDENT_2) -> str:
    """Return JSON with its references as links to the schemas on the page."""
    text = escape(orjson.dumps(schema, option=option).decode(), quote=False)
    return re.sub(rf"\"{REFERENCE}(\w+)\"", r'<a href="#\1">\1</a>', text)
