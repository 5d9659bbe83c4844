"""The venue's WebSocket API: how a request is signed and written, and what an answer says.

A request is signed over all its parameters but the signature, `apiKey` included, sorted by name and
joined as `name=value` without percent-encoding. An answer carries a status like HTTP's, and the
venue's counts as `rateLimits`; they are told under the names of the HTTP headers, so that one table
of outcomes and one budget serve both ways. Source: the WebSocket API pages of USD-M Futures.
"""

from collections.abc import Mapping

import msgspec

from libs.common.venue.budget import HEADERS
from libs.common.venue.payloads import PayloadError
from libs.common.venue.signing import ParameterValue, sign_hmac, spell_value


class SocketAnswer(msgspec.Struct, frozen=True):
    """One answer, as the outcome table wants it. `request_id` empty: it answers no request."""

    request_id: str
    status: int
    body: bytes
    headers: Mapping[str, str]


class _RateLimit(msgspec.Struct):
    kind: str = msgspec.field(name="rateLimitType")
    interval: str
    interval_count: int = msgspec.field(name="intervalNum")
    count: int


class _Frame(msgspec.Struct):
    id: str | int | None = None
    status: int = 0
    result: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()
    rate_limits: tuple[_RateLimit, ...] = msgspec.field(name="rateLimits", default=())


class _ErrorData(msgspec.Struct):
    server_ms: int | None = msgspec.field(name="serverTime", default=None)
    retry_ms: int | None = msgspec.field(name="retryAfter", default=None)


class _Error(msgspec.Struct):
    data: _ErrorData | None = None


_encode = msgspec.json.Encoder().encode
_FRAME = msgspec.json.Decoder(_Frame)
_ERROR = msgspec.json.Decoder(_Error)
_HEADER_OF = dict(
    zip(
        (("REQUEST_WEIGHT", "MINUTE", 1), ("ORDERS", "SECOND", 10), ("ORDERS", "MINUTE", 1)),
        HEADERS,
        strict=True,
    )
)


def encode_request(
    request_id: str,
    method: str,
    parameters: Mapping[str, ParameterValue | None],
    api_key: str,
    secret: str,
) -> bytes:
    """Return the frame of one signed request.

    Raises TypeError and ValueError as `encode_parameters` does.
    """
    params: dict[str, str | int] = {"apiKey": api_key}
    pairs = [f"apiKey={api_key}"]
    for name, value in parameters.items():
        if value is not None:
            text = spell_value(name, value)
            pairs.append(f"{name}={text}")
            # Times and ids are JSON numbers, as documented; amounts are text, so that none is lost.
            params[name] = value if type(value) is int else text
    pairs.sort(key=_name_of)
    params["signature"] = sign_hmac(secret, "&".join(pairs))
    return _encode({"id": request_id, "method": method, "params": params})


def decode_answer(frame: bytes) -> SocketAnswer:
    """Read one frame. Raises PayloadError when it is no answer at all."""
    try:
        read = _FRAME.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PayloadError(f"cannot be read as an answer: {error}") from None
    headers = {
        header: str(one.count)
        for one in read.rate_limits
        if (header := _HEADER_OF.get((one.kind, one.interval, one.interval_count)))
    }
    error_body = bytes(read.error)
    if error_body:
        headers |= _retry_after(error_body)
    return SocketAnswer(
        "" if read.id is None else str(read.id),
        read.status,
        error_body or bytes(read.result),
        headers,
    )


def _name_of(pair: str) -> str:
    return pair[: pair.index("=")]


def _retry_after(error_body: bytes) -> dict[str, str]:
    """The wait that an error names as two epoch times, as the header that HTTP has for it."""
    try:
        data = _ERROR.decode(error_body).data
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    if data is None or data.server_ms is None or data.retry_ms is None:
        return {}
    return {"retry-after": str(max(0, -((data.server_ms - data.retry_ms) // 1_000)))}
