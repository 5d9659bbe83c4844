"""Signatures over the exact bytes that go on the wire.

Signing one spelling and sending another is how -1022 happens (`:` in a client order id is enough).
So parameters are encoded once, here; the caller signs that text and sends that very text.
Source: Binance USD-M Futures general information, "SIGNED endpoint security".
"""

import hashlib
import hmac
import re
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
    return hmac.digest(secret.encode(), raw, hashlib.sha256).hex()


def encode_parameters(parameters: Parameters) -> str:
    """Return the percent-encoded query string, in the order given; None values are left out.

    Raises TypeError for a float or any other type, ValueError for a Decimal that is not finite.
    """
    pairs = parameters.items() if isinstance(parameters, Mapping) else parameters
    words = [(name, spell_value(name, value)) for name, value in pairs if value is not None]
    if not _UNRESERVED("".join(map("".join, words))):
        words = [(quote(name, safe=""), quote(text, safe="")) for name, text in words]
    return "&".join(map("=".join, words))


_UNRESERVED = re.compile(r"[A-Za-z0-9_.~-]*").fullmatch
"""Text that percent-encoding leaves as it is, which nearly every order is."""


def sign_parameters(secret: str, parameters: Parameters) -> str:
    """Return the wire form with its signature appended last, as the venue expects it."""
    payload = encode_parameters(parameters)
    return f"{payload}&signature={sign_hmac(secret, payload)}"


def spell_value(name: str, value: ParameterValue) -> str:
    """Return a value as the venue wants it written, not yet percent-encoded.

    Raises TypeError for a float or any other type, ValueError for a Decimal that is not finite.
    """
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
