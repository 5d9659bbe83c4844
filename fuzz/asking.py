"""Requests out of a seed: mostly what a client would ask, often wrong in one way, signed or not."""

from collections.abc import Mapping
from random import Random
from typing import Final, NamedTuple

from fuzz.signers import Signer
from fuzz.values import NAMES, Sight, Values
from services.paper_exchange.core import ENDPOINTS
from services.paper_exchange.doors.socket_requests import METHODS
from services.paper_exchange.market.reports import MARKET_ENDPOINTS, MARKET_METHODS

Endpoint = tuple[str, str]

_ORDER: Final = ("symbol", "side", "type", "quantity")
_ALGO: Final = ("symbol", "side", "type", "algoType", "triggerPrice", "quantity")
_ASKED: Final[Mapping[Endpoint, tuple[str, ...]]] = {
    ("POST", "/fapi/v1/order"): _ORDER,
    ("POST", "/fapi/v1/order/test"): _ORDER,
    ("PUT", "/fapi/v1/order"): ("symbol", "side", "quantity", "price", "orderId"),
    ("GET", "/fapi/v1/order"): ("symbol", "orderId"),
    ("DELETE", "/fapi/v1/order"): ("symbol", "orderId"),
    ("GET", "/fapi/v1/openOrder"): ("symbol", "orderId"),
    ("POST", "/fapi/v1/batchOrders"): ("batchOrders",),
    ("PUT", "/fapi/v1/batchOrders"): ("batchOrders",),
    ("DELETE", "/fapi/v1/batchOrders"): ("symbol", "orderIdList"),
    ("POST", "/fapi/v1/algoOrder"): _ALGO,
    ("GET", "/fapi/v1/algoOrder"): ("algoId",),
    ("DELETE", "/fapi/v1/algoOrder"): ("algoId",),
    ("POST", "/fapi/v1/leverage"): ("symbol", "leverage"),
    ("POST", "/fapi/v1/marginType"): ("symbol", "marginType"),
    ("POST", "/fapi/v1/positionMargin"): ("symbol", "amount", "type"),
    ("POST", "/fapi/v1/positionSide/dual"): ("dualSidePosition",),
    ("POST", "/fapi/v1/multiAssetsMargin"): ("multiAssetsMargin",),
    ("POST", "/fapi/v1/feeBurn"): ("feeBurn",),
    ("POST", "/fapi/v1/countdownCancelAll"): ("symbol", "countdownTime"),
    ("GET", "/fapi/v1/klines"): ("symbol", "interval"),
    ("GET", "/fapi/v1/markPriceKlines"): ("symbol", "interval"),
    ("GET", "/fapi/v1/premiumIndexKlines"): ("symbol", "interval"),
    ("GET", "/fapi/v1/indexPriceKlines"): ("pair", "interval"),
    ("GET", "/fapi/v1/continuousKlines"): ("pair", "contractType", "interval"),
}
"""What a likely request to an endpoint names; `symbol` where nothing is said."""
_OFTEN: Final[tuple[tuple[Endpoint, int], ...]] = (
    (("POST", "/fapi/v1/order"), 60),
    (("POST", "/fapi/v1/algoOrder"), 20),
    (("PUT", "/fapi/v1/order"), 12),
    (("DELETE", "/fapi/v1/order"), 12),
    (("POST", "/fapi/v1/batchOrders"), 8),
    (("DELETE", "/fapi/v1/allOpenOrders"), 3),
)
"""How much more often than any other an endpoint is asked."""
_LIKELY_WITH: Final[Mapping[str, tuple[str, ...]]] = {
    "LIMIT": ("timeInForce", "price"),
    "STOP": ("timeInForce", "price"),
    "TAKE_PROFIT": ("timeInForce", "price"),
    "TRAILING_STOP_MARKET": ("callbackRate",),
}
_TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    "/fapi/v1/order": ("LIMIT", "LIMIT", "MARKET"),
    "/fapi/v1/order/test": ("LIMIT", "MARKET"),
    "/fapi/v1/algoOrder": (
        "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET",
    ),
}  # fmt: skip
_WRONG_SHARE: Final = 0.3
_EXTRA_SHARE: Final = 0.2


class Asked(NamedTuple):
    """One request over HTTP: raw bytes as they would come off the wire."""

    method: str
    path: str
    api_key: str | None
    query: bytes
    body: bytes


class Asker:
    """An endless stream of requests; all chance comes from ``dice``."""

    def __init__(self, dice: Random, sight: Sight, signers: list[Signer]) -> None:
        self._dice = dice
        self._sight = sight
        self._signers = signers
        self._values = Values(dice, sight)
        often = dict(_OFTEN)
        self._account = sorted(ENDPOINTS)
        self._account_shares = [often.get(endpoint, 1) for endpoint in self._account]
        self._public = sorted(MARKET_ENDPOINTS)
        self._methods = [*METHODS, *MARKET_METHODS, "session.logon", "session.status", "nothing"]

    def of_account(self) -> Asked:
        """A request to an endpoint that knows its caller."""
        (endpoint,) = self._dice.choices(self._account, self._account_shares)
        return self._signed(endpoint, self._parameters(endpoint))

    def of_market(self) -> Asked:
        """A request to a public endpoint."""
        endpoint = self._dice.choice(self._public)
        pairs = self._parameters(endpoint)
        pairs.pop("timestamp", None)
        signer = self._dice.choice(self._signers)
        return Asked(*endpoint, signer.api_key, Signer.encoded(pairs), b"")

    def of_socket(self) -> dict[str, object]:
        """A request to the WebSocket API."""
        dice = self._dice
        method = dice.choice(self._methods)
        params: dict[str, object] = dict(self._parameters(METHODS.get(method, ("GET", method))))
        signer = dice.choice(self._signers)
        if dice.random() < 0.9:
            params = signer.signed_params(params)
        if dice.random() < 0.05:
            params[dice.choice(NAMES)] = dice.choice([None, [], {}, True, 1.5, 10**30, -1])
        request: dict[str, object] = {"id": dice.choice([1, "a", None]), "method": method}
        request["params"] = params
        if dice.random() < 0.03:
            request.pop(dice.choice(["id", "method", "params"]))
        if dice.random() < 0.03:
            request[dice.choice(["id", "method", "params"])] = dice.choice(
                [[], {}, 1.5, True, None]
            )
        return request

    def _parameters(self, endpoint: Endpoint) -> dict[str, str]:
        """What is asked, by name; wrong in some way in about one case of three."""
        dice, values = self._dice, self._values
        values.begin()
        pairs = {name: values.of(name) for name in _ASKED.get(endpoint, ("symbol",))}
        if "type" in pairs and dice.random() < 0.9:
            pairs["type"] = dice.choice(_TYPES.get(endpoint[1], ("1", "2")))
        for name in _LIKELY_WITH.get(pairs.get("type", ""), ()):
            pairs[name] = values.of(name)
        if pairs.get("timeInForce") == "GTD":
            pairs["goodTillDate"] = values.of("goodTillDate")
        while dice.random() < _EXTRA_SHARE:
            name = dice.choice(NAMES)
            pairs[name] = values.of(name)
        pairs["timestamp"] = str(self._sight.now_ms - dice.choice((0, 0, 1, 900)))
        if dice.random() < _WRONG_SHARE:
            self._spoil(pairs)
        return pairs

    def _spoil(self, pairs: dict[str, str]) -> None:
        dice = self._dice
        match dice.randrange(5):
            case 0:
                pairs.pop(dice.choice(list(pairs)))
            case 1:
                pairs[dice.choice(list(pairs))] = self._values.odd()
            case 2:
                pairs[dice.choice(NAMES)] = self._values.odd()
            case 3:
                pairs["timestamp"] = str(self._sight.now_ms + dice.choice((999, 1_000, -5_001)))
            case _:
                pairs[self._values.odd()] = self._values.odd()

    def _signed(self, endpoint: Endpoint, pairs: dict[str, str]) -> Asked:
        """Spread the parameters over query and body, and sign them; now and then wrongly."""
        dice = self._dice
        signer = dice.choice(self._signers)
        in_query, in_body = pairs, {}
        where = dice.random()
        if where < 0.25:
            in_query, in_body = {}, pairs
        elif where < 0.4:
            names = list(pairs)
            cut = dice.randrange(len(names) + 1)
            in_query = {name: pairs[name] for name in names[:cut]}
            in_body = {name: pairs[name] for name in names[cut:]}
        query, body = signer.signed(in_query, in_body)
        kind = dice.random()
        if kind < 0.02 and query:
            at = dice.randrange(len(query))
            query = query[:at] + bytes([dice.randrange(256)]) + query[at + 1 :]
        api_key = dice.choice([None, "", "k" * 64, "?"]) if kind > 0.985 else signer.api_key
        return Asked(*endpoint, api_key, query, body)
