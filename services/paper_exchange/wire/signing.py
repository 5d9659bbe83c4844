"""How requests are signed: HMAC with a shared secret, RSA and Ed25519 with a public key.

The venue signs what it received literally: raw query and raw body, concatenated without `&`, with
the `signature` pair taken out wherever it stands. Of RSA and Ed25519 keys it knows the public half
only, read once when the key is registered.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from enum import Enum
from typing import Final
from urllib.parse import unquote_to_bytes

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

PEM_CHARACTERS_MAX: Final = 4_096
RSA_BITS: Final = (2_048, 3_072, 4_096)
_PADDING: Final = PKCS1v15()
_HASH: Final = SHA256()


class KeyType(Enum):
    """How requests of a key are signed."""

    HMAC = "HMAC"
    RSA = "RSA"
    ED25519 = "ED25519"


class SignedForm(Enum):
    """What a signature was found to cover: the bytes on the wire, or what they decode to."""

    WIRE = "wire"
    DECODED = "decoded"


class PublicKeyError(ValueError):
    """A public key that cannot be registered; the text says why."""


class PublicKey:
    """The public half of a customer's key; `key_type` says which kind it is."""

    __slots__ = ("_key", "key_type")

    def __init__(self, pem: str) -> None:
        """Read a PEM text (SubjectPublicKeyInfo); raises `PublicKeyError`."""
        if len(pem) > PEM_CHARACTERS_MAX:
            raise PublicKeyError(f"a public key is at most {PEM_CHARACTERS_MAX} characters of PEM")
        try:
            key = load_pem_public_key(pem.encode())
        except (ValueError, UnsupportedAlgorithm) as error:
            raise PublicKeyError("this is no public key in PEM") from error
        if isinstance(key, RSAPublicKey):
            if key.key_size not in RSA_BITS:
                raise PublicKeyError(f"an RSA key has one of {RSA_BITS} bits, not {key.key_size}")
            self.key_type = KeyType.RSA
        elif isinstance(key, Ed25519PublicKey):
            self.key_type = KeyType.ED25519
        else:
            raise PublicKeyError("a public key is an RSA or an Ed25519 key")
        self._key: RSAPublicKey | Ed25519PublicKey = key

    def is_signed(self, payload: bytes, signature: bytes) -> bool:
        """Whether this raw signature is one of this payload."""
        try:
            if isinstance(self._key, RSAPublicKey):
                self._key.verify(signature, payload, _PADDING, _HASH)
            else:
                self._key.verify(signature, payload)
        except InvalidSignature:
            return False
        return True


def hmac_is_valid(secret: str, payload: bytes, signature: bytes) -> bool:
    """Compare hex digits of either case in constant time."""
    expected = hmac.digest(secret.encode(), payload, "sha256").hex().encode()
    return hmac.compare_digest(expected, signature.lower())


def public_signature_is_valid(key: PublicKey, payload: bytes, signature: bytes) -> bool:
    """Check a signature in base64, which must be the one spelling of its bytes."""
    try:
        raw = b64decode(signature, validate=True)
    except (Base64Error, ValueError):
        return False
    return b64encode(raw) == signature and key.is_signed(payload, raw)


def signed_payload(raw_query: bytes, raw_body: bytes) -> tuple[bytes, bytes | None]:
    """The bytes a signature covers, and the signature as sent (None where there is none).

    Where query and body both carry one, the query's counts, as for every other parameter.
    """
    query, from_query = _take_signature(raw_query)
    if not raw_body:
        return query, from_query
    body, from_body = _take_signature(raw_body)
    return query + body, from_body if from_query is None else from_query


def decoded_payload(raw_query: bytes, raw_body: bytes) -> bytes:
    """The same payload with its percent-encoding undone, which some clients sign instead."""
    parts = (_take_signature(raw_query)[0], _take_signature(raw_body)[0])
    return b"".join(decode_form(part) for part in parts)


def decode_form(raw: bytes) -> bytes:
    """Undo the encoding of a form: `+` is a space, `%2B` a plus."""
    return unquote_to_bytes(raw.replace(b"+", b" "))


def _take_signature(raw: bytes) -> tuple[bytes, bytes | None]:
    at = raw.find(b"signature=")
    if at < 0:
        return raw, None
    if at and raw[at - 1] == 0x26 and b"&" not in raw[at:]:  # where nearly everybody puts it: last
        return raw[: at - 1], raw[at + 10 :]
    pairs = raw.split(b"&")
    found = [pair for pair in pairs if pair.startswith(b"signature=")]
    if not found:
        return raw, None
    rest = b"&".join(pair for pair in pairs if not pair.startswith(b"signature="))
    return rest, found[0].removeprefix(b"signature=")
