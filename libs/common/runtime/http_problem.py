"""Errors over HTTP as application/problem+json (RFC 9457): type, title, status, detail.

Nothing a caller sent is repeated in them.
"""

from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from libs.common.runtime.log import get_logger

log = get_logger(__name__)

PROBLEM_MEDIA_TYPE = "application/problem+json"
_TYPE = "urn:portcullis:problem:"


class Problem(Exception):  # noqa: N818 - the name of the thing it becomes
    """What is wrong with a request, or with the world it asked something of.

    Attributes:
        kind: a short name that programs may rely on.
        more: further members of the answer.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.headers = headers or {}
        self.more = more

    def answer(self) -> Response:
        """The response that tells it."""
        body = {
            "type": _TYPE + self.kind,
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            **self.more,
        }
        return Response(
            msgspec.json.encode(body, enc_hook=str),
            self.status,
            headers=self.headers,
            media_type=PROBLEM_MEDIA_TYPE,
        )


async def _tell_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.answer()


async def _tell_http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    headers = dict(error.headers or {})
    return Problem(error.status_code, kind, str(error.detail), headers=headers).answer()


async def _tell_invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = [
        f"{'.'.join(str(part) for part in fault['loc'][1:]) or fault['loc'][0]}: {fault['msg']}"
        for fault in error.errors()
    ]
    return Problem(422, "invalid-request", "; ".join(faults)).answer()


async def _tell_defect(request: Request, error: Exception) -> Response:
    log.error("request failed", path=request.url.path, exc_info=error)
    return Problem(500, "defect", f"a defect: {type(error).__name__}; the log says more").answer()


def tell_problems(app: FastAPI) -> None:
    """Let an application tell every error as a problem."""
    app.add_exception_handler(Problem, _tell_problem)
    app.add_exception_handler(HTTPException, _tell_http)
    app.add_exception_handler(RequestValidationError, _tell_invalid)
    app.add_exception_handler(Exception, _tell_defect)
