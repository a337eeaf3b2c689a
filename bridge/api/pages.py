"""The dashboard as built by Vite, with the test page, the API reference, the examples, and the Socket.IO client script."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from bridge.api.middleware.auth import public
from bridge.api.middleware.headers import DASHBOARD, standalone_headers

_PACKAGE = Path(__file__).resolve().parent.parent
_NOT_BUILT = "the dashboard is not built: run `make install`, which needs npm"
_FOLDERS = (_PACKAGE / "_page", _PACKAGE.parent / "web" / "dist")  # in the wheel; in a checkout


_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def routes(device_socket: _Handler) -> list[web.AbstractRouteDef]:
    """Return the routes of `/` with its files, `/test`, `/socket.io/socket.io.js` and `/examples/`.

    `device_socket` serves the WebSocket handshakes at `/`: devices whose address has no path connect there.
    """
    built = _built()
    if built is None:
        return [web.get("/", _root(_not_built, device_socket)), web.get("/socket.io/socket.io.js", _not_built)]
    page = _Page(built)
    return [
        web.get("/", _root(page.index, device_socket)),
        web.get("/test", page.test),
        web.get("/socket.io/socket.io.js", page.client_script),
        *(web.get(f"/{file.name}", page.file) for file in built.iterdir() if file.is_file() and not _is_special(file)),
        *([web.static("/assets", built / "assets")] if (built / "assets").is_dir() else []),
        *(_examples(page, built / "examples") if (built / "examples").is_dir() else []),
    ]


def reference() -> web.FileResponse:
    """Return the page of the API description. Raises 404 if the dashboard is not built."""
    built = _built()
    if built is None:
        raise web.HTTPNotFound(text=_NOT_BUILT)
    return web.FileResponse(built / "api" / "docs.html", headers={"Cache-Control": "no-cache", **DASHBOARD})


def _built() -> Path | None:
    return next((folder for folder in _FOLDERS if (folder / "index.html").exists()), None)


def _examples(page: "_Page", folder: Path) -> list[web.AbstractRouteDef]:
    """One page per protocol, and an index."""
    return [
        web.get("/examples", _redirect_to_examples),
        web.get("/examples/", page.examples),
        *(web.get(f"/examples/{file.name}", page.file) for file in sorted(folder.iterdir())),
    ]


def _is_special(file: Path) -> bool:
    """Whether a file has a route of its own, or is a compressed variant, which `FileResponse` finds by itself."""
    return file.name in ("index.html", "test.html") or file.suffix in (".gz", ".br")


class _Page:
    def __init__(self, built: Path) -> None:
        self._built = built
        self._headers = {
            file: standalone_headers(file.read_text("utf-8")) for file in (*built.glob("*.html"), *built.glob("*/*.html"))
        }

    async def index(self, _: web.Request) -> web.FileResponse:
        return web.FileResponse(self._built / "index.html", headers={"Cache-Control": "no-cache", **DASHBOARD})

    @public
    async def test(self, _: web.Request) -> web.FileResponse:
        return web.FileResponse(self._built / "test.html", headers={"Cache-Control": "no-cache", **DASHBOARD})

    @public
    async def client_script(self, _: web.Request) -> web.FileResponse:
        return web.FileResponse(self._built / "socket.io.js", headers={"Cache-Control": "public, max-age=3600"})

    @public
    async def examples(self, _: web.Request) -> web.FileResponse:
        file = self._built / "examples" / "index.html"
        return web.FileResponse(file, headers={"Cache-Control": "no-cache", **self._headers[file]})

    @public
    async def file(self, request: web.Request) -> web.FileResponse:
        file = self._built / request.path.lstrip("/")
        return web.FileResponse(file, headers=self._headers.get(file))


def _root(page: _Handler, device_socket: _Handler) -> _Handler:
    """The page, or the socket, which authenticates its clients itself."""

    @public
    async def handle(request: web.Request) -> web.StreamResponse:
        upgrades = request.method == "GET" and request.headers.get("Upgrade", "").lower() == "websocket"
        return await (device_socket if upgrades else page)(request)

    return handle


@public
async def _redirect_to_examples(_: web.Request) -> web.Response:
    raise web.HTTPPermanentRedirect("examples/")


@public
async def _not_built(_: web.Request) -> web.Response:
    raise web.HTTPNotFound(text=_NOT_BUILT)
