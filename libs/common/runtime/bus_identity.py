"""Who a service is to the broker: an nkey, an Ed25519 key pair in the broker's own spelling.

The broker knows the public half alone and asks for a signature of its nonce, so that its
configuration holds no secret and nothing that travels can be used twice.
"""

import base64
import binascii
import re
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from libs.common.runtime.secret import Secret, SecretError, secret_from_file

_SEED = re.compile(r"SU[A-Z2-7]{56}")
_SEED_PREFIX, _USER_PREFIX = 18 << 3, 20 << 3
_KEY_BYTES = 32


class BusIdentity:
    """One service's key pair. `public` is what the broker is told; nothing shows the other half."""

    def __init__(self, raw: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(raw)
        self.public = _spell(bytes([_USER_PREFIX]) + self._key.public_key().public_bytes_raw())

    def sign(self, nonce: str) -> bytes:
        """The broker's nonce, signed, as it travels."""
        return base64.b64encode(self._key.sign(nonce.encode()))


def seed_of(raw: bytes) -> Secret:
    """How 32 random bytes are kept as a user's seed, which other clients of NATS read as well."""
    head = bytes([_SEED_PREFIX | _USER_PREFIX >> 5, (_USER_PREFIX & 31) << 3])
    return Secret(_spell(head + raw))


def load_identity(path: Path) -> BusIdentity:
    """The identity whose seed a file holds.

    Raises:
        SecretError: the file is missing, open to others, or holds no seed of a user.
    """
    seed = secret_from_file(path, name="bus.identity_file", pattern=_SEED).reveal()
    told = base64.b32decode(seed + "=" * (-len(seed) % 8))
    body, check = told[:-2], told[-2:]
    if binascii.crc_hqx(body, 0).to_bytes(2, "little") != check:
        raise SecretError(f"bus.identity_file in file {path} has a typing error: it fails its sum")
    return BusIdentity(body[-_KEY_BYTES:])


def _spell(body: bytes) -> str:
    check = binascii.crc_hqx(body, 0).to_bytes(2, "little")
    return base64.b32encode(body + check).decode().rstrip("=")
