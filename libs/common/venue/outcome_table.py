"""The table behind `outcomes.classify`: HTTP status, venue code and text, and what they prove.

Source: the error-code page of Binance USD-M Futures and its general information ("HTTP return
codes", the variants of 503), as of late 2026. `verdict_of` judges by status, code, text, range.
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why the venue (or the missing connection) provably did not do it."""

    NOT_SENT = "NOT_SENT"
    MARGIN_INSUFFICIENT = "MARGIN_INSUFFICIENT"
    REDUCE_ONLY_REJECTED = "REDUCE_ONLY_REJECTED"
    FILTER = "FILTER"
    PARAMETER = "PARAMETER"
    SYMBOL = "SYMBOL"
    SYMBOL_STATUS = "SYMBOL_STATUS"
    LEVERAGE = "LEVERAGE"
    OPEN_ORDERS_MAX = "OPEN_ORDERS_MAX"
    POSITION_MODE = "POSITION_MODE"
    SETTING_CONFLICT = "SETTING_CONFLICT"
    WOULD_TRIGGER = "WOULD_TRIGGER"
    TRIGGERING = "TRIGGERING"
    UNFILLABLE = "UNFILLABLE"
    ORDER_REFUSED = "ORDER_REFUSED"
    LIQUIDATION = "LIQUIDATION"
    DUPLICATE_CLIENT_ORDER_ID = "DUPLICATE_CLIENT_ORDER_ID"
    NOT_FOUND = "NOT_FOUND"
    LISTEN_KEY = "LISTEN_KEY"
    TIMESTAMP = "TIMESTAMP"
    INTERNAL = "INTERNAL"
    SIGNATURE = "SIGNATURE"
    API_KEY = "API_KEY"
    PERMISSION = "PERMISSION"
    TRADING_RULES = "TRADING_RULES"
    FORBIDDEN = "FORBIDDEN"
    OTHER = "OTHER"


class ThrottleKind(StrEnum):
    """Which limit stopped a request."""

    REQUEST_LIMIT = "REQUEST_LIMIT"
    ORDER_LIMIT = "ORDER_LIMIT"
    BANNED = "BANNED"
    OVERLOADED = "OVERLOADED"


class Verdict(StrEnum):
    """The two verdicts that need no reason."""

    SUCCESS = "SUCCESS"
    UNKNOWN = "UNKNOWN"


Judgement = Reason | ThrottleKind | Verdict

FATAL_REASONS = frozenset(
    {
        Reason.SIGNATURE,
        Reason.API_KEY,
        Reason.PERMISSION,
        Reason.TRADING_RULES,
        Reason.FORBIDDEN,
    }
)
RETRYABLE_REASONS = frozenset({Reason.NOT_SENT, Reason.INTERNAL, Reason.TIMESTAMP})

_BY_STATUS: dict[int, Judgement] = {
    403: Reason.FORBIDDEN,  # web application firewall, in front of everything
    408: Verdict.UNKNOWN,  # the backend did not answer in time
    418: ThrottleKind.BANNED,
    502: Verdict.UNKNOWN,
    504: Verdict.UNKNOWN,
}
"""Statuses that decide alone, whatever the body says. 429 is below: its code says which limit."""

TEXTS: tuple[tuple[int, str, Judgement], ...] = (
    (503, "Unknown error, please check your request", Verdict.UNKNOWN),
    (503, "Service Unavailable", ThrottleKind.OVERLOADED),
    (503, "Internal error; unable to process your request", Reason.INTERNAL),
    (503, "Request throttled by system-level protection", ThrottleKind.OVERLOADED),
)
"""The meanings of 503 when it comes without a code: (status, text it contains, verdict)."""

_REASONS: dict[Reason, tuple[int, ...]] = {
    Reason.MARGIN_INSUFFICIENT: (-2018, -2019),
    Reason.REDUCE_ONLY_REJECTED: (-2022, -2024, -2026, -4062, -4118),
    Reason.FILTER: (
        -1013, -1111, -4001, -4002, -4003, -4004, -4005, -4006, -4007, -4013, -4014, -4016, -4023,
        -4024, -4131, -4164, -4183, -4184, -4210, -4211, -5029,
    ),
    Reason.PARAMETER: (
        -1014, -1020, -1023, -1100, -1101, -1102, -1103, -1104, -1105, -1106, -1112, -1114, -1115,
        -1116, -1117, -1118, -1119, -1120, -1127, -1128, -1130, -1131, -1135, -1136, -2007, -4015,
        -4021, -4082, -4120, -4136, -4137, -4138, -4165, -4166, -5000, -5025, -5037,
        -5038, -5039, -5040,
    ),
    Reason.SYMBOL: (-1108, -1110, -1121),
    Reason.SYMBOL_STATUS: (-4139, -4140, -4141, -5024),
    Reason.LEVERAGE: (-2027, -2028, -4028, -4161),
    Reason.OPEN_ORDERS_MAX: (-2025, -4045),
    Reason.POSITION_MODE: (-4060, -4061),
    Reason.SETTING_CONFLICT: (-4047, -4048, -4067, -4068, -4531),
    Reason.WOULD_TRIGGER: (-2021, -4142),
    Reason.TRIGGERING: (-4117,),
    Reason.UNFILLABLE: (-2020, -5021, -5022, -5041),
    Reason.ORDER_REFUSED: (-2010, -4130, -4509, -5026, -5043, -5047),
    Reason.LIQUIDATION: (-2023,),
    Reason.DUPLICATE_CLIENT_ORDER_ID: (-4116,),
    Reason.NOT_FOUND: (-2011, -2013),
    Reason.LISTEN_KEY: (-1125,),
    Reason.TIMESTAMP: (-1021, -5028),
    Reason.INTERNAL: (-1001, -1016),
    Reason.SIGNATURE: (-1022,),
    Reason.API_KEY: (-2014, -2015, -2017, -4056, -4057),
    Reason.PERMISSION: (-1002, -4087, -4088),
    Reason.TRADING_RULES: (-4192, -4400, -4401, -4402),
}  # fmt: skip
_THROTTLES: dict[ThrottleKind, tuple[int, ...]] = {
    ThrottleKind.REQUEST_LIMIT: (-1003,),
    ThrottleKind.ORDER_LIMIT: (-1015,),
    ThrottleKind.OVERLOADED: (-1008,),
}
_VERDICTS: dict[Verdict, tuple[int, ...]] = {
    Verdict.SUCCESS: (-4046, -4052, -4059, -4171, -5027),  # already in the wanted state
    Verdict.UNKNOWN: (-1000, -1006, -1007),
}

_UNLISTED_REFUSALS: tuple[tuple[int, int], ...] = ((-1199, -1100), (-9999, -2000))
"""Ranges of venue codes that are refusals of a request even when this table does not know them.
-10xx are the venue's own troubles: an unlisted one proves nothing."""

_PROVEN_DESPITE_5XX = frozenset(
    {
        Reason.INTERNAL,
        ThrottleKind.OVERLOADED,
        ThrottleKind.REQUEST_LIMIT,
        ThrottleKind.ORDER_LIMIT,
    }
)
"""The only judgements of a code that a 5xx may carry; any other code there contradicts itself."""

CODES: dict[int, Judgement] = {
    **{code: reason for reason, codes in _REASONS.items() for code in codes},
    **{code: kind for kind, codes in _THROTTLES.items() for code in codes},
    **{code: verdict for verdict, codes in _VERDICTS.items() for code in codes},
}


def verdict_of(status: int, code: int, message: str) -> Judgement:
    """Return what a refusal proves. `code` 0: the answer carried none that could be read."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    by_code = CODES.get(code)
    if status == 429:
        return by_code if isinstance(by_code, ThrottleKind) else ThrottleKind.REQUEST_LIMIT
    if by_code is not None:
        is_proven = status < 500 or by_code in _PROVEN_DESPITE_5XX
        return by_code if is_proven else Verdict.UNKNOWN
    for text_status, text, by_text in TEXTS:
        if status == text_status and text in message:
            return by_text
    if status < 500 and any(low <= code <= high for low, high in _UNLISTED_REFUSALS):
        return Reason.OTHER
    return Verdict.UNKNOWN
