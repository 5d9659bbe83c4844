"""The documentation of this venue as a page: Swagger UI from this machine's own files.

The files are those that ship with `fastapi-offline`, which every other service serves, too. The
page's content security policy lets a browser fetch nothing from anywhere else.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import web

from services.paper_exchange.doors.openapi import describe
from services.paper_exchange.wire.stream_names import Route

ASSETS: Final = "/docs/assets"
VENUE_PREFIXES: Final = ("/fapi/", "/api/", "/ws", "/stream", *(f"/{route}/" for route in Route))
POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'"
)
PAGE: Final = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Portcullis paper exchange</title>
<link rel="stylesheet" href="{ASSETS}/swagger-ui.css">
<link rel="icon" href="{ASSETS}/favicon.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="{ASSETS}/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
START: Final = """SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
});
"""


class DocsHttp:
    """Handlers of `/docs` and `/openapi.json`. Raises `RuntimeError` without fastapi-offline."""

    def __init__(self) -> None:
        self._assets = _assets_folder()

    def routes(self) -> list[web.AbstractRouteDef]:
        """The page, what it loads, and the document it shows."""
        return [
            web.get("/docs", self.page),
            web.get("/docs/start.js", self.start),
            web.get("/openapi.json", self.document),
            web.static(ASSETS, self._assets),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """GET /docs."""
        headers = {"Content-Security-Policy": POLICY}
        return web.Response(text=PAGE, content_type="text/html", headers=headers)

    async def start(self, request: web.Request) -> web.Response:
        """GET /docs/start.js: show the document in the page."""
        return web.Response(text=START, content_type="text/javascript")

    async def document(self, request: web.Request) -> web.Response:
        """GET /openapi.json: /sim and the probes described, the venue's own endpoints listed."""
        venue_endpoints = {
            f"{route.method} {route.resource.canonical}"
            for route in request.app.router.routes()
            if route.resource is not None
            and route.method != "HEAD"
            and route.resource.canonical.startswith(VENUE_PREFIXES)
        }
        body = msgspec.json.encode(describe(venue_endpoints))
        return web.Response(body=body, content_type="application/json")


def _assets_folder() -> Path:
    """Find the files without importing the package, which would import all of FastAPI."""
    found = find_spec("fastapi_offline")
    if found is None or found.origin is None:
        raise RuntimeError("fastapi-offline is not installed: run `make setup`")
    return Path(found.origin).with_name("static")
