"""Ids derived from their causes, so that doing a thing twice is doing it once."""

import base64
import hashlib
import re

#: Subjects and venue ids are built from intent ids: no ``.``, ``*``, ``>``, ``:`` or ``/``.
INTENT_ID_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"
_INTENT_ID = re.compile(INTENT_ID_PATTERN)
_DERIVED_ID = re.compile(r"p[ca]-[a-z2-7]{26}-[1-9][0-9]{0,3}")
ATTEMPTS_MAX = 99
_ORDER_PREFIX, _ALGO_PREFIX = "pc-", "pa-"
#: An entry that fills in many parts needs a new stop for each; the id has room for four digits.
ALGO_ATTEMPTS_MAX = 9_999


def digest(*parts: str) -> str:
    """Twenty-six letters and digits (128 bits of SHA-256) that stand for the parts in order."""
    joined = "\x1f".join(parts).encode()
    return base64.b32encode(hashlib.sha256(joined).digest()[:16]).decode().rstrip("=").lower()


def derive_intent_id(strategy_id: str, parameter_hash: str, symbol: str, candle_id: str) -> str:
    """The id of the intent a strategy derives from one candle: a restart derives the same again."""
    return digest("intent", strategy_id, parameter_hash, symbol, candle_id)


def check_intent_id(intent_id: str) -> str:
    """Return the id unchanged.

    Raises:
        ValueError: it is empty, longer than 64, or holds a character unsafe in a subject.
    """
    if not _INTENT_ID.match(intent_id):
        raise ValueError(f"intent_id must match {INTENT_ID_PATTERN}")
    return intent_id


def derive_client_order_id(account: str, intent_id: str, attempt: int) -> str:
    """The venue-side id of one attempt to execute an intent.

    At most 36 characters of ``[A-Za-z0-9_-]`` (the venue's limit; no ``:`` or ``/``, which some
    clients sign differently from what they send).

    Raises:
        ValueError: the attempt is not between 1 and 99.
    """
    if not 1 <= attempt <= ATTEMPTS_MAX:
        raise ValueError(f"attempt must be between 1 and {ATTEMPTS_MAX}, not {attempt}")
    return f"{_ORDER_PREFIX}{digest('order', account, intent_id)}-{attempt}"


def derive_client_algo_id(account: str, intent_id: str, kind: str, attempt: int) -> str:
    """The venue-side id of one attempt to place the stop or target of an intent's entry.

    Raises:
        ValueError: the attempt is not between 1 and 9999.
    """
    if not 1 <= attempt <= ALGO_ATTEMPTS_MAX:
        raise ValueError(f"attempt must be between 1 and {ALGO_ATTEMPTS_MAX}, not {attempt}")
    return f"{_ALGO_PREFIX}{digest('algo', account, intent_id, kind)}-{attempt}"


def is_ours(client_id: str) -> bool:
    """Whether an order or stop with this id is of our making, as far as its name tells."""
    return client_id.startswith((_ORDER_PREFIX, _ALGO_PREFIX))


def is_derived_id(client_id: str) -> bool:
    """Whether an order or algo order at the venue carries an id that only we derive."""
    return _DERIVED_ID.fullmatch(client_id) is not None


def candle_id(symbol: str, interval: str, open_ns: int) -> str:
    """The id of a candle, the same from whichever source it was built."""
    return f"{symbol}-{interval}-{open_ns // 1_000_000}"
