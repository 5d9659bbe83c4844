"""Who is asking: API keys, signatures and the time window of a request.

The venue signs what it received literally: raw query and raw body, concatenated without `&`, with
the `signature` pair taken out wherever it stands. Keys are HMAC today; RSA and Ed25519 are further
entries of `KeyType` with their own comparison in `signature_is_valid`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import unquote_to_bytes

from services.paper_exchange.config import Limits
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import TIMESTAMP_AHEAD, RefusalError

NS_PER_MS = 1_000_000
_API_KEY = re.compile(r"[A-Za-z0-9]{64}", re.ASCII)


class KeyType(Enum):
    """How requests of a key are signed."""

    HMAC = "HMAC"


class Permission(Enum):
    """What a key may do; reading and trading are granted one by one."""

    READ = "READ"
    TRADE = "TRADE"


class Security(Enum):
    """What an endpoint demands: nothing, a key, or a key and a signature with a permission."""

    NONE = "NONE"
    KEY = "KEY"
    USER_DATA = "USER_DATA"
    TRADE = "TRADE"


@dataclass(frozen=True)
class ApiKey:
    """A key and whose it is; the secret shows in no representation."""

    key: str
    account_id: str
    permissions: frozenset[Permission]
    key_type: KeyType = KeyType.HMAC
    secret: str = field(default="", repr=False)


def signed_payload(raw_query: bytes, raw_body: bytes) -> tuple[bytes, bytes | None]:
    """The bytes a signature covers, and the signature itself (None where there is none).

    Where query and body both carry one, the query's counts, as for every other parameter.
    """
    query, from_query = _take_signature(raw_query)
    body, from_body = _take_signature(raw_body)
    return query + body, from_body if from_query is None else from_query


def _take_signature(raw: bytes) -> tuple[bytes, bytes | None]:
    if b"signature=" not in raw:
        return raw, None
    pairs = raw.split(b"&")
    found = [pair for pair in pairs if pair.startswith(b"signature=")]
    if not found:
        return raw, None
    rest = b"&".join(pair for pair in pairs if not pair.startswith(b"signature="))
    return rest, found[0].removeprefix(b"signature=")


def signature_is_valid(key: ApiKey, payload: bytes, signature: bytes) -> bool:
    """Compare in constant time; the hex digits of an HMAC may be of either case."""
    expected = hmac.new(key.secret.encode(), payload, hashlib.sha256).hexdigest().encode()
    return hmac.compare_digest(expected, unquote_to_bytes(signature).lower())


def find_key(keys: dict[str, ApiKey], api_key: str | None) -> ApiKey:
    """The key of the header `X-MBX-APIKEY`; raises -2014 or -2015."""
    if api_key is None or _API_KEY.fullmatch(api_key) is None:
        raise RefusalError(-2014)
    key = keys.get(api_key)
    if key is None:
        raise RefusalError(-2015)
    return key


def authenticate(
    keys: dict[str, ApiKey],
    api_key: str | None,
    security: Security,
    parameters: Parameters,
    now_ns: int,
    limits: Limits,
) -> ApiKey:
    """Let a request to an endpoint of this security in, or raise the venue's refusal.

    Raises -2014 and -2015 for the key, -1102 for what is missing, -1022 for the signature, -1021
    and -1131 for the time window.
    """
    key = find_key(keys, api_key)
    if security is Security.KEY:
        return key
    payload, signature = signed_payload(parameters.raw_query, parameters.raw_body)
    if signature is None:
        raise RefusalError(-1102, "signature")
    if not signature_is_valid(key, payload, signature):
        raise RefusalError(-1022)
    check_time_window(parameters, now_ns, limits)
    needed = Permission.TRADE if security is Security.TRADE else Permission.READ
    if needed not in key.permissions:
        raise RefusalError(-2015)
    return key


def check_time_window(parameters: Parameters, now_ns: int, limits: Limits) -> None:
    """Accept iff `timestamp < now + 1000` and `now - timestamp <= recvWindow`, in milliseconds."""
    timestamp_ms = parameters.integer("timestamp")
    recv_window_ms = parameters.optional_integer("recvWindow")
    if recv_window_ms is None:
        recv_window_ms = limits.recv_window_ms_default
    if recv_window_ms > limits.recv_window_ms_max:
        raise RefusalError(-1131, limits.recv_window_ms_max)
    now_ms = now_ns // NS_PER_MS
    if timestamp_ms >= now_ms + limits.timestamp_ahead_ms_max:
        raise RefusalError(-1021, text=TIMESTAMP_AHEAD)
    if now_ms - timestamp_ms > recv_window_ms:
        raise RefusalError(-1021)


def derive_key(seed: int, sequence: int, purpose: str) -> str:
    """64 characters for a key, a secret or a listen key, the same for the same seed.

    Nothing here guards money: the exchange is a simulation, and a repeatable run is worth more than
    unguessable keys.
    """
    material = f"portcullis-paper:{purpose}:{sequence}".encode()
    return hmac.new(str(seed).encode(), material, hashlib.sha256).hexdigest()
