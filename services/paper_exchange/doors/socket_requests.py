"""Requests of the WebSocket API, read: method names, parameters and what their signature covers.

Pure. Parameters are signed sorted by name and joined as `name=value`, without the signature.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import RefusalError

METHODS: Final[Mapping[str, tuple[str, str]]] = {
    "order.place": ("POST", "/fapi/v1/order"),
    "order.modify": ("PUT", "/fapi/v1/order"),
    "order.cancel": ("DELETE", "/fapi/v1/order"),
    "order.status": ("GET", "/fapi/v1/order"),
    "algoOrder.place": ("POST", "/fapi/v1/algoOrder"),
    "algoOrder.cancel": ("DELETE", "/fapi/v1/algoOrder"),
    "account.balance": ("GET", "/fapi/v2/balance"),
    "v2/account.balance": ("GET", "/fapi/v3/balance"),
    "account.status": ("GET", "/fapi/v2/account"),
    "v2/account.status": ("GET", "/fapi/v3/account"),
    "account.position": ("GET", "/fapi/v2/positionRisk"),
    "v2/account.position": ("GET", "/fapi/v3/positionRisk"),
    "userDataStream.start": ("POST", "/fapi/v1/listenKey"),
    "userDataStream.ping": ("PUT", "/fapi/v1/listenKey"),
    "userDataStream.stop": ("DELETE", "/fapi/v1/listenKey"),
}
"""The REST endpoint that each method of a key is; market methods are `MARKET_METHODS`."""
RETURN_RATE_LIMITS: Final = "returnRateLimits"
_JSON_TYPES: Final = {
    "id": ("an integer, a string or null", (int, str, type(None))),
    "method": ("a string", (str,)),
    "params": ("an object", (dict,)),
}

_decode = msgspec.json.Decoder(float_hook=str).decode
_encode = msgspec.json.Encoder().encode


class SocketRequest(NamedTuple):
    """One request; `id` comes back with its answer."""

    id: int | str | None
    method: str
    params: dict[str, Any]

    def returns_rate_limits(self, default: bool) -> bool:
        """Whether its answer carries rate limits: as it says itself, else as the socket does."""
        wanted = self.params.get(RETURN_RATE_LIMITS)
        return default if wanted is None else text_of(wanted).lower() != "false"


class SocketRequestError(Exception):
    """A message that is no request; `id` is its id where it has a usable one."""

    def __init__(self, refusal: RefusalError, request_id: int | str | None = None) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal
        self.id = request_id


def read_request(message: str | bytes) -> SocketRequest:
    """Read one message; fractions are kept as the text sent. Raises `SocketRequestError`, -1135."""
    try:
        sent = _decode(message)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise SocketRequestError(RefusalError(-1135)) from error
    if not isinstance(sent, dict):
        raise SocketRequestError(RefusalError(-1135))
    request_id = sent.get("id")
    if isinstance(request_id, bool) or not isinstance(request_id, int | str | None):
        request_id = None
    values = {"params": {}, **sent}
    for name, (expected, types) in _JSON_TYPES.items():
        value = values.get(name)
        if name not in values or isinstance(value, bool) or not isinstance(value, types):
            text = f"Invalid '{name}' in JSON request; expected {expected}."
            raise SocketRequestError(RefusalError(-1135, text=text), request_id)
    return SocketRequest(request_id, values["method"], values["params"])


def signed_parameters(params: Mapping[str, object]) -> Parameters:
    """The parameters of one request, with the bytes that its signature covers.

    A JSON number stands for the text it was sent as, true and false for those words.
    """
    values = {name: text_of(value) for name, value in params.items() if value is not None}
    payload = "&".join(f"{name}={values[name]}" for name in sorted(values) if name != "signature")
    return Parameters.of_values(values, payload.encode("utf-8", "surrogatepass"))


def text_of(value: object) -> str:
    """A JSON value as the text that the same parameter has in a query."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | dict | list):
        return _encode(value).decode()
    return str(value)
