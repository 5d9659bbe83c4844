"""Customers of the fuzzed venue, with keys of every kind; they sign with public libraries only."""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote, urlencode

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


class Signer(NamedTuple):
    """One key: an HMAC secret, or an Ed25519 private key."""

    api_key: str
    secret: str = ""
    private: Ed25519PrivateKey | None = None

    def signature(self, payload: bytes) -> str:
        """The signature of these bytes, not yet percent-encoded."""
        if self.private is not None:
            return b64encode(self.private.sign(payload)).decode()
        return hmac.new(self.secret.encode(), payload, hashlib.sha256).hexdigest()

    def signed(self, query: Mapping[str, str], body: Mapping[str, str]) -> tuple[bytes, bytes]:
        """Query and body with the signature at the end of whichever is last."""
        raw_query, raw_body = self.encoded(query), self.encoded(body)
        pair = f"signature={quote(self.signature(raw_query + raw_body), safe='')}".encode()
        if raw_body:
            return raw_query, raw_body + b"&" + pair
        return (raw_query + b"&" + pair if raw_query else pair), raw_body

    def signed_params(self, params: Mapping[str, object]) -> dict[str, object]:
        """Parameters of the WebSocket API with key and signature."""
        named = {**params, "apiKey": self.api_key}
        named.pop("signature", None)
        payload = "&".join(f"{name}={named[name]}" for name in sorted(named))
        return named | {"signature": self.signature(payload.encode("utf-8", "surrogatepass"))}

    @staticmethod
    def encoded(pairs: Mapping[str, str]) -> bytes:
        """Percent-encode as a client does."""
        return urlencode(pairs, errors="surrogatepass").encode()


def public_pem(private: Ed25519PrivateKey) -> str:
    """The public half, as the venue is told it."""
    public = private.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
