"""The certificates by which services know the broker: an authority of one's own, and what it signs.

The authority's key is kept apart: it is needed when a broker's certificate is renewed, and no
service and no broker ever sees it. Whoever has a public key infrastructure already gives the broker
a certificate of that one and names its authority in `bus.tls_ca_file` instead.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 3_650
SERVER_DAYS = 825
#: A certificate is made anew when fewer days are left.
RENEW_DAYS = 275
#: Where a clock is a little behind ours, what was made just now must hold already.
_EARLIER = timedelta(days=1)
_SIGNS_NOTHING = {
    "content_commitment": False,
    "data_encipherment": False,
    "encipher_only": False,
    "decipher_only": False,
    "key_encipherment": False,
}


def make_authority(now: datetime) -> tuple[bytes, bytes]:
    """A new authority: its private key and its certificate, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Portcullis broker authority")
    usage = x509.KeyUsage(
        key_cert_sign=True, crl_sign=True, digital_signature=False, key_agreement=False,
        **_SIGNS_NOTHING,
    )  # fmt: skip
    certificate = (
        _draft(name, key.public_key(), now, AUTHORITY_DAYS)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return _key_pem(key), certificate.public_bytes(serialization.Encoding.PEM)


def make_server(
    authority_key: bytes, authority: bytes, names: Sequence[str], now: datetime
) -> tuple[bytes, bytes]:
    """A broker's private key and certificate for these host names and addresses, as PEM.

    Raises:
        ValueError: the authority's key or certificate cannot be read.
    """
    issuer = x509.load_pem_x509_certificate(authority)
    signer = serialization.load_pem_private_key(authority_key, password=None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise ValueError("it is no key of an elliptic curve")  # noqa: TRY004 - the file is wrong
    key = ec.generate_private_key(ec.SECP256R1())
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    # A broker of several servers is also a client: of its neighbours.
    roles = x509.ExtendedKeyUsage(
        [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    )
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=False, crl_sign=False, key_agreement=False,
        **_SIGNS_NOTHING,
    )  # fmt: skip
    certificate = (
        _draft(_name("Portcullis broker"), key.public_key(), now, SERVER_DAYS)
        .issuer_name(issuer.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(roles, critical=False)
        .add_extension(issuer_id, critical=False)
        .add_extension(x509.SubjectAlternativeName([_host(name) for name in names]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    return _key_pem(key), certificate.public_bytes(serialization.Encoding.PEM)


def may_stay(server: bytes, authority: bytes, names: Sequence[str], now: datetime) -> bool:
    """Whether a broker's certificate is this authority's, for these names, and not near its end.

    Raises:
        ValueError: one of them is no certificate.
    """
    issuer = x509.load_pem_x509_certificate(authority)
    certificate = x509.load_pem_x509_certificate(server)
    try:
        certificate.verify_directly_issued_by(issuer)
        told = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (InvalidSignature, ValueError, x509.ExtensionNotFound):
        return False
    has_time = certificate.not_valid_after_utc - now > timedelta(days=RENEW_DAYS)
    return has_time and list(told) == [_host(name) for name in names]


def at_time(wall_ns: int) -> datetime:
    """A wall clock's nanoseconds as certificates have them, whole seconds of UTC."""
    return datetime.fromtimestamp(wall_ns // 1_000_000_000, UTC)


def _draft(
    name: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
