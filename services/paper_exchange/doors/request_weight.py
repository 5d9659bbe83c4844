"""HTTP's way past the doorkeeper: refuses, answers refusals in JSON, and adds the used weight."""

from typing import Final

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from services.paper_exchange.clock import MarketClock
from services.paper_exchange.doors.doorkeeper import USED_WEIGHT_HEADER, Doorkeeper
from services.paper_exchange.wire.refusals import RefusalError

WEIGHT: Final = web.RequestKey("request_weight", int)
"""A handler sets ``request[WEIGHT]`` to what it cost; without it a request costs 1."""
COUNTED_PREFIXES: Final = ("/fapi/", "/api/", "/sapi/")

_encode = msgspec.json.Encoder().encode


def json_answer(body: object, status: int = 200) -> web.Response:
    """Return a JSON response; Decimals become strings."""
    return web.Response(body=_encode(body), status=status, content_type="application/json")


class RequestWeight:
    """The middleware in front of everything the venue counts."""

    def __init__(self, clock: MarketClock, doorkeeper: Doorkeeper) -> None:
        self._clock = clock
        self._doorkeeper = doorkeeper

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turn away whom the doorkeeper does not admit, and charge everybody else."""
        if not request.path.startswith(COUNTED_PREFIXES):
            return await handler(request)
        address = request.remote or ""
        turned = self._doorkeeper.admit(address, self._clock.now_ns())
        if turned is not None:
            away = json_answer(turned.body, turned.status)
            away.headers.update(turned.headers)
            return away
        response: web.StreamResponse
        try:
            response = await handler(request)
        except RefusalError as refusal:
            response = json_answer(refusal.body(), refusal.status)
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
            response = json_answer(_no_such_path(request), web.HTTPNotFound.status_code)
        if not response.prepared:
            weight = request.get(WEIGHT, 1)
            used = self._doorkeeper.charge(address, weight, self._clock.now_ns())
            response.headers.setdefault(USED_WEIGHT_HEADER, str(used))
        return response


def _no_such_path(request: web.Request) -> dict[str, object]:
    """What the venue says of a path it does not have, and of a method a path does not take."""
    text = f"Path {request.path}, Method {request.method} is invalid"
    return {"code": -5000, "msg": text}
