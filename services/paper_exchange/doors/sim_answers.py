"""How every door of `/sim` reads and answers: strictly, and always saying that it is a simulation.

A handler reads with `read_body` and `read_query` and raises `SimRefusalError`; `guarded` makes the
400 of either, with `error` saying what was wrong without repeating what was sent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from decimal import Decimal
from typing import TypeVar

import msgspec
from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from services.paper_exchange.clock import ClockError
from services.paper_exchange.doors.sim_requests import Asked, NoQuery
from services.paper_exchange.wire.refusals import RefusalError

_encode = msgspec.json.Encoder().encode
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_Query = TypeVar("_Query", bound=Asked)
_Body = TypeVar("_Body")


class SimRefusalError(Exception):
    """A request to the simulation that cannot be done; its text says why."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


def sim_answer(body: Mapping[str, object], status: int = 200) -> web.Response:
    """A JSON answer that says it comes from a simulation."""
    raw = _encode({"simulation": True, **body})
    return web.Response(body=raw, status=status, content_type="application/json")


def read_query(request: web.Request, model: type[_Query]) -> _Query:
    """The query as this model; raises `ValidationError`, and `SimRefusalError` for doubles."""
    query = request.query
    if len(query) != len(set(query)):
        raise SimRefusalError("a name is in the query twice")
    return model.model_validate_strings(dict(query))


async def read_body(
    request: web.Request, model: TypeAdapter[_Body], *, empty: bytes = b""
) -> _Body:
    """The body as this model (`empty` where there is none); raises what `guarded` answers."""
    read_query(request, NoQuery)
    try:
        raw = await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise SimRefusalError("the body is too large") from error
    return model.validate_json(raw or empty, strict=True)


def guarded(routes: Iterable[web.RouteDef]) -> list[web.RouteDef]:
    """The same routes with every refusal answered as such."""
    return [
        web.RouteDef(route.method, route.path, _guard(route.handler), route.kwargs)
        for route in routes
    ]


def plain(amount: Decimal) -> str:
    """An amount without trailing zeros; zero is "0" and nothing else."""
    return f"{amount.normalize():f}" if amount else "0"


def _guard(handler: Handler) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except SimRefusalError as error:
            return sim_answer({"error": str(error)}, error.status)
        except ValidationError as error:
            return sim_answer({"error": _say(error)}, 400)
        except (ClockError, RefusalError) as error:
            return sim_answer({"error": str(error)}, 400)

    return handle


def _say(error: ValidationError) -> str:
    """Each fault with its place."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    where = [".".join(map(str, fault["loc"])) or "body" for fault in faults]
    return "; ".join(f"{at}: {fault['msg']}" for at, fault in zip(where, faults, strict=True))
