"""Who is asking: API keys, what they may do, and the time window of a request."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from services.paper_exchange.config import Limits
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import TIMESTAMP_AHEAD, RefusalError
from services.paper_exchange.wire.signing import (
    KeyType,
    PublicKey,
    SignedForm,
    decode_form,
    decoded_payload,
    hmac_is_valid,
    public_signature_is_valid,
    signed_payload,
)

NS_PER_MS = 1_000_000
_API_KEY = re.compile(r"[A-Za-z0-9]{64}", re.ASCII)


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
    """A key and whose it is; the secret shows in no representation.

    Attributes:
        secret: of an HMAC key; empty for every other.
        public_key: of an RSA or Ed25519 key; None for an HMAC key.
        addresses: from where the key may be used; everywhere, where there are none.
        created_ms: when it was issued.
    """

    key: str
    account_id: str
    permissions: frozenset[Permission]
    key_type: KeyType = KeyType.HMAC
    secret: str = field(default="", repr=False)
    public_key: PublicKey | None = field(default=None, repr=False)
    addresses: frozenset[str] = frozenset()
    created_ms: int = 0

    def is_signature(self, payload: bytes, signature: bytes) -> bool:
        """Whether a signature, percent-encoding undone, is this key's of this payload."""
        if self.public_key is None:
            return hmac_is_valid(self.secret, payload, signature)
        return public_signature_is_valid(self.public_key, payload, signature)


class Caller(NamedTuple):
    """How somebody asks: the key they name and the address they ask from.

    `session` is the key that the caller's connection has logged on with: where a request carries
    neither key nor signature, it is that key's.
    """

    api_key: str | None
    address: str = ""
    session: ApiKey | None = None


class Identity(NamedTuple):
    """Whose request it is, and what its signature covers; None where it needed none."""

    key: ApiKey
    signed_form: SignedForm | None


def find_key(keys: dict[str, ApiKey], api_key: str | None, address: str = "") -> ApiKey:
    """The key of the header `X-MBX-APIKEY`; raises -2014 or -2015."""
    if api_key is None or _API_KEY.fullmatch(api_key) is None:
        raise RefusalError(-2014)
    key = keys.get(api_key)
    if key is None or (key.addresses and address not in key.addresses):
        raise RefusalError(-2015)
    return key


def authenticate(
    keys: dict[str, ApiKey],
    caller: Caller,
    security: Security,
    parameters: Parameters,
    now_ns: int,
    limits: Limits,
    *,
    accepts_decoded: bool = False,
) -> Identity:
    """Let a request to an endpoint of this security in, or raise the venue's refusal.

    `accepts_decoded` lets signatures over the decoded request in as well. Raises -2014 and -2015
    for the key, -1102 for what is missing, -1022 for the signature, -1021 and -1131 for the time
    window.
    """
    form: SignedForm | None = None
    if caller.session is not None and "signature" not in parameters and caller.api_key is None:
        key = caller.session
    else:
        key = find_key(keys, caller.api_key, caller.address)
        if security is Security.KEY:
            return Identity(key, None)
        form = check_signature(key, parameters, accepts_decoded=accepts_decoded)
    if security is Security.KEY:
        return Identity(key, None)
    check_time_window(parameters, now_ns, limits)
    needed = Permission.TRADE if security is Security.TRADE else Permission.READ
    if needed not in key.permissions:
        raise RefusalError(-2015)
    return Identity(key, form)


def check_signature(
    key: ApiKey, parameters: Parameters, *, accepts_decoded: bool = False
) -> SignedForm:
    """What the signature of a request covers; raises -1102 without one, -1022 for a wrong one."""
    if parameters.is_decoded:
        sent = parameters.text("signature").encode("utf-8", "surrogatepass")
        if key.is_signature(parameters.raw_query, sent):
            return SignedForm.WIRE
        raise RefusalError(-1022)
    payload, raw_signature = signed_payload(parameters.raw_query, parameters.raw_body)
    if raw_signature is None:
        raise RefusalError(-1102, "signature")
    signature = decode_form(raw_signature)
    if key.is_signature(payload, signature):
        return SignedForm.WIRE
    if accepts_decoded:
        decoded = decoded_payload(parameters.raw_query, parameters.raw_body)
        if decoded != payload and key.is_signature(decoded, signature):
            return SignedForm.DECODED
    raise RefusalError(-1022)


def check_time_window(parameters: Parameters, now_ns: int, limits: Limits) -> None:
    """Accept iff `timestamp < now + 1000` and `now - timestamp <= recvWindow`, in milliseconds."""
    timestamp_ms = parameters.integer("timestamp")
    recv_window_ms = parameters.optional_integer("recvWindow")
    if recv_window_ms is None:
        recv_window_ms = limits.recv_window_ms_default
    if recv_window_ms > limits.recv_window_ms_max:
        raise RefusalError(-1131, limits.recv_window_ms_max)
    if recv_window_ms < 0:
        raise RefusalError(-1130, "recvWindow")
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
    return hmac.digest(str(seed).encode(), material, "sha256").hex()
