"""Bytes to message and back. Unknown fields, unknown schemas and unreadable bytes are refused."""

from typing import TypeVar

import msgspec

from libs.common.messages.envelope import SCHEMA_VERSION, Envelope

MESSAGE_BYTES_MAX = 1_000_000

_encoder = msgspec.json.Encoder(decimal_format="string", order="deterministic")
_decoders: dict[type, msgspec.json.Decoder[object]] = {}

T = TypeVar("T")
M = TypeVar("M", bound=Envelope)


class UndecodableError(ValueError):
    """The bytes are not a message of the expected type; the text says why."""


def encode(message: msgspec.Struct) -> bytes:
    """The canonical bytes of a message: keys sorted, decimals as strings."""
    return _encoder.encode(message)


def decode_struct(payload: bytes, kind: type[T], bytes_max: int = MESSAGE_BYTES_MAX) -> T:
    """Read any of our structs; of at most ``bytes_max`` bytes.

    Raises:
        UndecodableError: too long, no JSON, a missing, unknown or mistyped field.
    """
    if len(payload) > bytes_max:
        raise UndecodableError(f"{len(payload)} bytes, more than {bytes_max}")
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    try:
        return decoder.decode(payload)  # type: ignore[return-value]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UndecodableError(f"not a {kind.__name__}: {error}") from error


def decode(payload: bytes, kind: type[M]) -> M:
    """Read a message and check its schema version.

    Raises:
        UndecodableError: as for ``decode_struct``, or another schema version than ours.
    """
    message = decode_struct(payload, kind)
    if message.schema != SCHEMA_VERSION:
        raise UndecodableError(f"schema {message.schema}; this version reads {SCHEMA_VERSION}")
    return message
