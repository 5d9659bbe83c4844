"""What a fault does to a request: whether it is carried out, and what its sender is told.

Bodies are the venue's own where they are known (binance-usdm, section 3): the four meanings of 503
differ only there. Pure, so that simulations can tell the same lies.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple

import msgspec

from services.paper_exchange.core import Answer
from services.paper_exchange.state.endpoint import Body
from services.paper_exchange.wire.refusals import TEXTS, RefusalError

NS_PER_MS: Final = 1_000_000
NS_PER_SECOND: Final = 1_000_000_000
JSON_TYPE: Final = "application/json"
HTML_TYPE: Final = "text/html"
_encode = msgspec.json.Encoder(decimal_format="number").encode


class Effect(Enum):
    """What happens to a request.

    A dropped request's connection is reset without an answer. `late_arrival` carries a request out
    only after `delay_ms`, as if the network had kept it; `drop_late_arrival` resets the connection
    at once and carries it out nevertheless. `refuse` answers with any of the venue's codes.
    """

    DROP_AFTER_EXECUTION = "drop_after_execution"
    DROP_BEFORE_EXECUTION = "drop_before_execution"
    DELAY = "delay"
    LATE_ARRIVAL = "late_arrival"
    DROP_LATE_ARRIVAL = "drop_late_arrival"
    HTTP_503_UNKNOWN = "http_503_unknown"
    HTTP_503_UNKNOWN_NOT_EXECUTED = "http_503_unknown_not_executed"
    HTTP_503_UNAVAILABLE = "http_503_unavailable"
    HTTP_503_INTERNAL = "http_503_internal"
    HTTP_503_THROTTLED = "http_503_throttled"
    HTTP_502 = "http_502"
    HTTP_504 = "http_504"
    HTTP_408 = "http_408"
    HTTP_429 = "http_429"
    HTTP_418 = "http_418"
    CODE_1006 = "code_1006"
    CODE_1007 = "code_1007"
    CODE_1021 = "code_1021"
    CODE_2019 = "code_2019"
    HTTP_403 = "http_403"
    REFUSE = "refuse"
    HTML_BODY = "html_body"
    TRUNCATED_JSON = "truncated_json"


DROPPED_EFFECTS: Final = frozenset(
    {Effect.DROP_AFTER_EXECUTION, Effect.DROP_BEFORE_EXECUTION, Effect.DROP_LATE_ARRIVAL}
)
LATE_EFFECTS: Final = frozenset({Effect.LATE_ARRIVAL, Effect.DROP_LATE_ARRIVAL})
DELAYED_EFFECTS: Final = LATE_EFFECTS | {Effect.DELAY}
AMBIGUOUS_EFFECTS: Final = frozenset(
    {
        Effect.HTTP_502,
        Effect.HTTP_504,
        Effect.HTTP_408,
        Effect.CODE_1006,
        Effect.CODE_1007,
        Effect.HTML_BODY,
        Effect.TRUNCATED_JSON,
    }
)
"""Effects after which nobody knows: carried out unless the rule says `"executes": false`."""
EXECUTED_EFFECTS: Final = (
    AMBIGUOUS_EFFECTS | DELAYED_EFFECTS | {Effect.DROP_AFTER_EXECUTION, Effect.HTTP_503_UNKNOWN}
)

_UNKNOWN_BODY = {
    "code": -1000,
    "msg": "Unknown error, please check your request or try again later.",
}
_UNAVAILABLE_BODY = {"msg": "Service Unavailable."}
_GATEWAY_PAGE = (
    "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n"
    "</body>\r\n</html>\r\n"
)
_PAGES: Final = {
    Effect.HTTP_502: (502, "502 Bad Gateway"),
    Effect.HTTP_504: (504, "504 Gateway Time-out"),
    Effect.HTTP_403: (403, "403 Forbidden"),
    Effect.HTML_BODY: (200, "Request rejected"),
}
_REFUSALS: Final[Mapping[Effect, tuple[int, int]]] = {
    Effect.HTTP_503_INTERNAL: (503, -1001),
    Effect.HTTP_503_THROTTLED: (503, -1008),
    Effect.HTTP_408: (408, -1007),
    Effect.CODE_1006: (400, -1006),
    Effect.CODE_1007: (400, -1007),
    Effect.CODE_1021: (400, -1021),
    Effect.CODE_2019: (400, -2019),
}
_BLANK: Final = re.compile(r"\{\d\}")
"""A value in a text: a scripted refusal has none, and says what the venue's documents say there."""
NOT_EXECUTED: Final = Answer(503, _UNAVAILABLE_BODY)
"""Stands for the answer of a request that was not carried out."""


class Told(NamedTuple):
    """What a sender is told: a status with a JSON body, or with bytes that are none."""

    status: int
    body: Body
    headers: Mapping[str, str] = {}
    raw: bytes | None = None
    content_type: str = JSON_TYPE

    def bytes(self) -> bytes:
        """The bytes of the body."""
        return _encode(self.body) if self.raw is None else self.raw


def told_instead(
    effect: Effect,
    found: Answer,
    now_ns: int,
    *,
    stay_away_ms: int = 0,
    address: str = "",
    code: int = 0,
) -> Told | None:
    """What the sender is told in place of `found`; None for a connection reset."""
    if effect in DROPPED_EFFECTS:
        return None
    if effect in (Effect.HTTP_503_UNKNOWN, Effect.HTTP_503_UNKNOWN_NOT_EXECUTED):
        return Told(503, _UNKNOWN_BODY)
    if effect is Effect.HTTP_503_UNAVAILABLE:
        return Told(503, _UNAVAILABLE_BODY)
    if effect in (Effect.HTTP_429, Effect.HTTP_418):
        return _patience(effect, now_ns, stay_away_ms, address)
    if effect is Effect.REFUSE:
        refusal = RefusalError(code, text=_BLANK.sub("%s", TEXTS[code]))
        return Told(refusal.status, refusal.body())
    if effect in _PAGES:
        status, title = _PAGES[effect]
        page = _GATEWAY_PAGE.format(title).encode()
        return Told(status, _UNKNOWN_BODY, raw=page, content_type=HTML_TYPE)
    if effect in _REFUSALS:
        status, code = _REFUSALS[effect]
        return Told(status, RefusalError(code).body())
    if effect is Effect.TRUNCATED_JSON:
        whole = _encode(found.body)
        return Told(found.status, found.body, raw=whole[: len(whole) // 2])
    return Told(found.status, found.body)


def _patience(effect: Effect, now_ns: int, stay_away_ms: int, address: str) -> Told:
    """429 until the end of the minute, or 418 for `stay_away_ms` (2 minutes where not said)."""
    if effect is Effect.HTTP_429:
        wait_ns = 60 * NS_PER_SECOND - now_ns % (60 * NS_PER_SECOND)
        body = RefusalError(-1003, address, 2_400).body()
        return Told(429, body, {"Retry-After": str(-(-wait_ns // NS_PER_SECOND))})
    until_ms = now_ns // NS_PER_MS + (stay_away_ms or 120_000)
    return banned(address, until_ms, now_ns)


def banned(address: str, until_ms: int, now_ns: int) -> Told:
    """418 with the text that says until when."""
    text = (
        f"Way too many requests; IP({address}) banned until {until_ms}. "
        "Please use the websocket for live updates to avoid bans."
    )
    wait_seconds = -(-(until_ms * NS_PER_MS - now_ns) // NS_PER_SECOND)
    body = RefusalError(-1003, text=text).body()
    return Told(418, body, {"Retry-After": str(max(0, wait_seconds))})
