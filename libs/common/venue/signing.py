"""Signatures over the exact bytes that go on the wire.

Signing one spelling and sending another is how -1022 happens (`:` in a client order id is enough).
So parameters are encoded once, here; the caller signs that text and sends that very text.
Source: Binance USD-M Futures general information, "SIGNED endpoint security".
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from decimal import Decimal
from urllib.parse import quote

ParameterValue = str | int | bool | Decimal
Parameters = Mapping[str, ParameterValue | None] | Sequence[tuple[str, ParameterValue | None]]


def sign_hmac(secret: str, payload: bytes | str) -> str:
    """Return the lower-case hex HMAC-SHA256 of the payload: raw query string + raw body.

    The venue joins query and body without a separator. Text is taken as UTF-8.
    """
    raw = payload.encode() if isinstance(payload, str) else payload
    return hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()


def encode_parameters(parameters: Parameters) -> str:
    """Return the percent-encoded query string, in the order given; None values are left out.

    Raises TypeError for a float or any other type, ValueError for a Decimal that is not finite.
    """
    pairs = parameters.items() if isinstance(parameters, Mapping) else parameters
    return "&".join(
        f"{quote(name, safe='')}={quote(_spell(name, value), safe='')}"
        for name, value in pairs
        if value is not None
    )


def sign_parameters(secret: str, parameters: Parameters) -> str:
    """Return the wire form with its signature appended last, as the venue expects it."""
    payload = encode_parameters(parameters)
    return f"{payload}&signature={sign_hmac(secret, payload)}"


def _spell(name: str, value: ParameterValue) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError(f"parameter {name!r} is not a finite number")
        return format(value, "f")  # plain notation: the venue refuses 1e-05 with -1100
    raise TypeError(
        f"parameter {name!r} is a {type(value).__name__}: "
        "send str, int, bool or Decimal (floats lose digits)"
    )
