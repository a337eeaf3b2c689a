"""Security headers of responses."""

import base64
import hashlib
import re

from aiohttp import web

from bridge.api.middleware.auth import identity_of
from bridge.core.access.permissions import IdentityKind

_STRICT = "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
_HSTS = "max-age=31536000"
_SCRIPT = re.compile(r"<script(?: type=\"module\")?>(.*?)</script>", re.DOTALL)


def page_headers(policy: str) -> dict[str, str]:
    """Return the headers of a page that loads only resources allowed by `policy` and may not be framed."""
    return {
        "Content-Security-Policy": f"{_STRICT}; {policy}",
        "X-Frame-Options": "DENY",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    }


DASHBOARD = page_headers(
    "script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; "
    "manifest-src 'self'; worker-src 'self'"
)
"""The headers of the dashboard: it loads its own files and connects to its own origin."""


def hash_source(inline: str) -> str:
    """Return the source expression that allows an inline style or script in a policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()}'"


def standalone_headers(html: str) -> dict[str, str]:
    """Return the headers of a page with inline scripts: these scripts are allowed, and no others."""
    scripts = " ".join(["'self'", *map(hash_source, _SCRIPT.findall(html))])
    return page_headers(f"script-src {scripts}; style-src 'self'; img-src 'self'; connect-src 'self'")


async def add(request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers to every response; an aiohttp signal."""
    headers = response.headers
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "no-referrer")
    if request.secure:
        headers.setdefault("Strict-Transport-Security", _HSTS)
    if identity_of(request).kind is not IdentityKind.ANYONE:
        headers.setdefault("Cache-Control", "no-store")
