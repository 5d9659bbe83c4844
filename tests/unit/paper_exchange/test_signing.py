"""RSA and Ed25519 keys, decoded signatures, where keys may be used, and what a key may do."""

import hashlib
import hmac
from base64 import b64encode
from dataclasses import replace
from urllib.parse import quote, quote_plus

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.paper_exchange.config import Limits, Quirks
from services.paper_exchange.core import Request, answer
from services.paper_exchange.wire.authentication import (
    ApiKey,
    Caller,
    Permission,
    Security,
    authenticate,
    check_signature,
)
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import RefusalError
from services.paper_exchange.wire.signing import KeyType, PublicKey, PublicKeyError, SignedForm

NOW_MS = 1_700_000_000_000
NAME = "k" * 64
ALL = frozenset(Permission)
QUERY = f"symbol=BTCUSDT&side=BUY&timestamp={NOW_MS}".encode()
BODY = b"newClientOrderId=a%3Ab%2Fc&quantity=1"


def pem_of(private) -> str:
    public = private.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.fixture(scope="module")
def rsa_key():
    return rsa.generate_private_key(65_537, 2_048)


@pytest.fixture(scope="module")
def ed25519_key():
    return ed25519.Ed25519PrivateKey.generate()


@pytest.fixture(scope="module", params=["RSA", "ED25519"])
def signer(request, rsa_key, ed25519_key):
    """The key as the venue knows it, and the customer's way to sign."""
    if request.param == "RSA":
        return key_of(rsa_key), lambda payload: rsa_key.sign(payload, PKCS1v15(), SHA256())
    return key_of(ed25519_key), ed25519_key.sign


def key_of(private) -> ApiKey:
    public = PublicKey(pem_of(private))
    return ApiKey(NAME, "one", ALL, public.key_type, public_key=public)


def code_of(key, query, body=b"", *, decoded=False) -> int:
    caller = Caller(NAME, "127.0.0.1")
    try:
        authenticate(
            {NAME: key}, caller, Security.TRADE, Parameters(query, body), NOW_MS * 1_000_000,
            Limits(), accepts_decoded=decoded,
        )  # fmt: skip
    except RefusalError as refusal:
        return refusal.code
    return 0


@pytest.mark.parametrize(("query", "body"), [(QUERY, b""), (b"", QUERY), (QUERY, BODY)])
def test_a_signature_in_base64_over_query_and_body_is_accepted(signer, query, body):
    key, sign = signer
    pair = b"signature=" + quote_plus(b64encode(sign(query + body))).encode()
    assert code_of(key, query + b"&" + pair if query else pair, body) == 0
    if body:
        assert code_of(key, query, body + b"&" + pair) == 0


def test_every_one_byte_mutation_of_payload_and_signature_is_refused_with_1022(signer):
    key, sign = signer
    signature = b64encode(sign(QUERY))
    for position in range(len(QUERY)):
        for change in (0x01, 0x20):
            mutated = bytearray(QUERY)
            mutated[position] ^= change
            raw = bytes(mutated) + b"&signature=" + quote_plus(signature).encode()
            assert code_of(key, raw) == -1022, raw
    for position, digit in enumerate(signature):
        for other in b"AZaz09+/=-_ ":
            if other == digit:
                continue
            wrong = bytearray(signature)
            wrong[position] = other
            raw = QUERY + b"&signature=" + quote_plus(bytes(wrong)).encode()
            assert code_of(key, raw) == -1022, raw
            with pytest.raises(RefusalError, match="not valid"):
                check_signature(key, Parameters(raw))


def test_base64_is_case_sensitive_and_has_one_spelling(signer):
    key, sign = signer
    signature = b64encode(sign(QUERY))
    for other in (signature.swapcase(), signature + b"\n", signature.rstrip(b"="), b"", b"%%"):
        raw = QUERY + b"&signature=" + quote_plus(other).encode()
        assert code_of(key, raw) == -1022


def test_a_key_signs_for_itself_only(rsa_key, ed25519_key):
    by_rsa = b64encode(rsa_key.sign(QUERY, PKCS1v15(), SHA256()))
    raw = QUERY + b"&signature=" + quote_plus(by_rsa).encode()
    assert code_of(key_of(ed25519_key), raw) == -1022
    assert code_of(ApiKey(NAME, "one", ALL, secret="s"), raw) == -1022
    assert code_of(key_of(rsa_key), raw) == 0


@pytest.mark.parametrize("text", ["", "no key", "-----BEGIN PUBLIC KEY-----\nAAAA\n", "x" * 5_000])
def test_what_is_no_public_key_is_not_registered(text):
    with pytest.raises(PublicKeyError):
        PublicKey(text)


def test_other_kinds_of_keys_and_short_ones_are_not_registered():
    for private in (
        ec.generate_private_key(ec.SECP256R1()),
        rsa.generate_private_key(65_537, 1_024),
    ):
        with pytest.raises(PublicKeyError):
            PublicKey(pem_of(private))


def test_a_decoded_signature_is_accepted_only_where_the_quirk_says_so(signer):
    key, sign = signer
    signature = quote_plus(b64encode(sign(QUERY + b"newClientOrderId=a:b/c&quantity=1"))).encode()
    body = BODY + b"&signature=" + signature
    assert code_of(key, QUERY, body) == -1022
    assert code_of(key, QUERY, body, decoded=True) == 0
    form = check_signature(key, Parameters(QUERY, body), accepts_decoded=True)
    assert form is SignedForm.DECODED


def test_a_signature_of_the_bytes_sent_counts_as_one_where_both_are_accepted(signer):
    key, sign = signer
    raw = QUERY + b"&signature=" + quote_plus(b64encode(sign(QUERY))).encode()
    assert check_signature(key, Parameters(raw), accepts_decoded=True) is SignedForm.WIRE


def test_keys_show_nothing_of_what_they_are_made_of(signer):
    key, _ = signer
    assert "public_key" not in repr(key)
    assert "secret" not in repr(key)


def test_the_exchange_serves_keys_of_every_kind_and_says_what_a_signature_covered(
    make_venue, ed25519_key
):
    venue = make_venue(quirks=Quirks(accept_decoded_signatures=True))
    public = PublicKey(pem_of(ed25519_key))
    key = venue.exchange.issue_key("one", ALL, KeyType.ED25519, public_key=public)
    assert key.secret == ""

    def ask(raw, signed):
        query = f"{raw}&signature={quote(b64encode(ed25519_key.sign(signed.encode())), safe='')}"
        asked = Request("GET", "/fapi/v3/balance", key.key, Parameters(query.encode()))
        return answer(venue.exchange, asked, venue.now_ns)

    stamp = f"timestamp={venue.now_ns // 1_000_000}"
    assert ask(f"{stamp}&x=%2F", f"{stamp}&x=%2F")[0::3] == (200, SignedForm.WIRE)
    assert ask(f"{stamp}&x=%2F", f"{stamp}&x=/")[0::3] == (200, SignedForm.DECODED)
    assert ask(stamp, "").code == -1022


def test_a_key_bound_to_addresses_opens_from_nowhere_else(venue):
    key = replace(venue.key, addresses=frozenset({"10.0.0.1"}))
    venue.exchange.keys[key.key] = key
    assert venue.call("GET", "/fapi/v3/balance").code == -2015
    found = venue.call("GET", "/fapi/v3/balance", address="10.0.0.1")
    assert found.status == 200


def test_a_reader_reads_and_is_refused_with_401_where_it_would_trade(venue):
    reader = venue.exchange.issue_key("one", frozenset({Permission.READ}))
    assert venue.call("GET", "/fapi/v3/account", key=reader).status == 200
    for method, path in (("POST", "/fapi/v1/order"), ("DELETE", "/fapi/v1/allOpenOrders")):
        refused = venue.call(method, path, key=reader, symbol="BTCUSDT")
        assert (refused.status, refused.code) == (401, -2015)


def test_each_key_is_told_what_it_may_do_and_none_may_withdraw(venue):
    reader = venue.exchange.issue_key(
        "one", frozenset({Permission.READ}), addresses=frozenset({"::1"}), now_ns=venue.now_ns
    )
    told = venue.get("/sapi/v1/account/apiRestrictions")
    assert list(told) == [
        "ipRestrict", "createTime", "enableReading", "enableWithdrawals", "enableInternalTransfer",
        "enableMargin", "enableFutures", "permitsUniversalTransfer", "enableVanillaOptions",
        "enableFixApiTrade", "enableFixReadOnly", "enableSpotAndMarginTrading",
        "enablePortfolioMarginTrading",
    ]  # fmt: skip
    assert {name for name, value in told.items() if value is True} == {
        "enableReading", "enableFutures",
    }  # fmt: skip
    other = venue.get("/sapi/v1/account/apiRestrictions", key=reader, address="::1")
    assert (other["ipRestrict"], other["enableFutures"]) == (True, False)
    assert other["createTime"] == venue.now_ns // 1_000_000


def test_the_query_wins_over_the_body_and_both_are_signed(venue):
    stamp = venue.now_ns // 1_000_000
    query, body = f"symbol=BTCUSDT&timestamp={stamp}", "symbol=NOPE&leverage=7"
    secret = venue.key.secret.encode()
    signature = hmac.new(secret, (query + body).encode(), hashlib.sha256).hexdigest()
    sent = Parameters(query.encode(), f"{body}&signature={signature}".encode())
    found = answer(
        venue.exchange, Request("POST", "/fapi/v1/leverage", venue.key.key, sent), venue.now_ns
    )
    assert (found.status, found.body["leverage"], found.body["symbol"]) == (200, 7, "BTCUSDT")


def test_an_order_that_reaches_the_matching_engine_late_is_refused_with_5028(venue):
    sent = {
        "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
        "quantity": "0.010", "price": "40000.00", "recvWindow": 1_000,
    }  # fmt: skip
    admitted_ns = venue.now_ns
    request = venue.request("POST", "/fapi/v1/order", **sent)
    for late_ms, code in ((1_000, 0), (1_001, -5028)):
        found = answer(
            venue.exchange, request, admitted_ns + late_ms * 1_000_000, admitted_ns=admitted_ns
        )
        assert found.code == code, found
    assert len(venue.account.open_orders) == 1
    cancel = venue.request("DELETE", "/fapi/v1/allOpenOrders", symbol="BTCUSDT", recvWindow=1_000)
    late = answer(venue.exchange, cancel, admitted_ns + 1_001_000_000, admitted_ns=admitted_ns)
    assert late.code == -1021
