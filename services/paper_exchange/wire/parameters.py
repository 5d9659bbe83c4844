"""Request parameters: query, form body or both, read as strictly as the venue reads them.

The raw bytes stay at hand because the signature covers exactly them. Numbers in exponent notation,
`NaN` and other spellings that `Decimal` would accept are malformed for the venue, hence the regular
expressions.
"""

from __future__ import annotations

import re
from decimal import Decimal
from urllib.parse import unquote_to_bytes

from services.paper_exchange.wire.refusals import RefusalError

_DECIMAL = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?", re.ASCII)
_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)


class Parameters:
    """The parameters of one request; the query wins where query and body name the same key.

    `is_decoded` says that they came decoded, `raw_query` then being what their signature covers.
    """

    __slots__ = ("is_decoded", "raw_body", "raw_query", "values")

    def __init__(self, raw_query: bytes = b"", raw_body: bytes = b"") -> None:
        self.raw_query = raw_query
        self.raw_body = raw_body
        self.is_decoded = False
        values = _decode_pairs(raw_query)
        self.values: dict[str, str] = _decode_pairs(raw_body) | values if raw_body else values

    @classmethod
    def of_values(cls, values: dict[str, str], signed: bytes) -> Parameters:
        """Parameters that came decoded; `signed` is what their signature covers."""
        parameters = cls.__new__(cls)
        parameters.is_decoded = True
        parameters.raw_query, parameters.raw_body, parameters.values = signed, b"", values
        return parameters

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def optional_text(self, name: str) -> str | None:
        """The value, or None where it was not sent; raises -1102 where it was sent empty."""
        value = self.values.get(name)
        if value == "":
            raise RefusalError(-1102, name)
        return value

    def text(self, name: str) -> str:
        """The value; raises -1102 where it is missing or empty."""
        value = self.optional_text(name)
        if value is None:
            raise RefusalError(-1102, name)
        return value

    def optional_decimal(self, name: str) -> Decimal | None:
        """The value as a Decimal in plain notation; raises -1102 where it is anything else."""
        value = self.optional_text(name)
        if value is None:
            return None
        if _DECIMAL.fullmatch(value) is None:
            raise RefusalError(-1102, name)
        return Decimal(value)

    def decimal(self, name: str) -> Decimal:
        """Like `optional_decimal`, but mandatory."""
        value = self.optional_decimal(name)
        if value is None:
            raise RefusalError(-1102, name)
        return value

    def optional_integer(self, name: str) -> int | None:
        """The value as an integer of at most 18 digits; raises -1102 where it is anything else."""
        value = self.optional_text(name)
        if value is None:
            return None
        # One documented signing example sends a timestamp behind a stray space, and it is good.
        stripped = value.strip(" ")
        if _INTEGER.fullmatch(stripped) is None:
            raise RefusalError(-1102, name)
        return int(stripped)

    def integer(self, name: str) -> int:
        """Like `optional_integer`, but mandatory."""
        value = self.optional_integer(name)
        if value is None:
            raise RefusalError(-1102, name)
        return value

    def optional_boolean(self, name: str) -> bool | None:
        """`true` and `false` in any case (python-binance sends `True`); else raises -1102."""
        value = self.optional_text(name)
        if value is None:
            return None
        lowered = value.lower()
        if lowered not in ("true", "false"):
            raise RefusalError(-1102, name)
        return lowered == "true"

    def boolean(self, name: str) -> bool:
        """Like `optional_boolean`, but mandatory."""
        value = self.optional_boolean(name)
        if value is None:
            raise RefusalError(-1102, name)
        return value

    def limit(self, default: int, maximum: int) -> int:
        """The `limit` of a list: 1 to `maximum` rows; raises -1130 outside."""
        value = self.optional_integer("limit")
        if value is None:
            return default
        if not 1 <= value <= maximum:
            raise RefusalError(-1130, "limit")
        return value


def _decode_pairs(raw: bytes) -> dict[str, str]:
    """Split a query string or form body; what is not UTF-8 is kept readable, never raised."""
    values: dict[str, str] = {}
    if b"%" not in raw and b"+" not in raw:
        for text in raw.decode("utf-8", "replace").split("&"):
            if text:
                plain_name, _, plain_value = text.partition("=")
                values.setdefault(plain_name, plain_value)
        return values
    for pair in raw.split(b"&"):
        if not pair:
            continue
        name, _, value = pair.partition(b"=")
        values.setdefault(_decode(name), _decode(value))
    return values


def _decode(raw: bytes) -> str:
    return unquote_to_bytes(raw.replace(b"+", b" ")).decode("utf-8", "replace")
