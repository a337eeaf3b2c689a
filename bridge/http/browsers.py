"""Browsers, which expect pages and redirects where programs expect JSON."""

from collections.abc import Mapping
from urllib.parse import urlencode

from aiohttp import web


def is_navigation(request: web.BaseRequest) -> bool:
    """Whether a browser asks for a page, by a link or a form. Programs and scripts of pages do not ask for HTML."""
    return "text/html" in request.headers.get("Accept", "")


def is_from_browser(request: web.BaseRequest) -> bool:
    """Whether a browser may have sent a POST request: it states the origin, says that it fetches, or asks for HTML."""
    return is_navigation(request) or "Origin" in request.headers or "Sec-Fetch-Site" in request.headers


def redirect(page: str, query: Mapping[str, str] | None = None, fragment: str = "") -> web.HTTPFound:
    """Return a redirect to a page, relative to the path of the request: a proxy may have put a prefix in front."""
    parts = [page, f"?{urlencode(query)}" if query else "", f"#{fragment}" if fragment else ""]
    return web.HTTPFound("".join(parts), headers={"Cache-Control": "no-store"})
