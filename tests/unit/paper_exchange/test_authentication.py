"""Signing: the documented vectors are accepted, anything else is not."""

import pytest

from services.paper_exchange.config import Limits
from services.paper_exchange.wire.authentication import (
    ApiKey,
    Caller,
    Permission,
    Security,
    authenticate,
    check_time_window,
)
from services.paper_exchange.wire.parameters import Parameters
from services.paper_exchange.wire.refusals import RefusalError
from services.paper_exchange.wire.signing import signed_payload

DOC_KEY = "dbefbc809e3e83c283a984c3a1459732ea7db1360ca80c5c2c8867408d28cc83"
DOC_SECRET = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"
EXAMPLES_SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
ORDER = b"symbol=BTCUSDT&side=BUY&type=LIMIT"
LTC = b"symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC"

# (secret, query, body, signature), from the venue's documentation and its signature examples.
VECTORS = [
    (
        DOC_SECRET,
        ORDER + b"&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000&timestamp=1591702613943",
        b"",
        "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9",
    ),
    (
        DOC_SECRET,
        ORDER + b"&timeInForce=GTC",
        b"quantity=1&price=9000&recvWindow=5000&timestamp= 1591702613943",
        "f9d0ae5e813ef6ccf15c2b5a434047a0181cb5a342b903b367ca6d27a66e36f2",
    ),
    (
        DOC_SECRET,
        ORDER + b"&timeInForce=GTC",
        b"quantity=1&price=9000&recvWindow=5000&timestamp=1591702613943",
        "30baaf0fab549bbeda7f5ef201898b34122da25fd23c646cac2c529aebe670a4",
    ),
    (
        EXAMPLES_SECRET,
        b"timestamp=1578963600000",
        b"",
        "d84e6641b1e328e7b418fff030caed655c266299c9355e36ce801ed14631eed4",
    ),
    (
        EXAMPLES_SECRET,
        LTC + b"&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559",
        b"",
        "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71",
    ),
    (
        EXAMPLES_SECRET,
        LTC,
        b"quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559",
        "0fd168b8ddb4876a0358a8d14d0c9f3da0e9b20c5d52b2a00fcf7d1c602f9a77",
    ),
]
TIMES_MS = [
    1591702613943, 1591702613943, 1591702613943, 1578963600000, 1499827319559, 1499827319559,
]  # fmt: skip


def refusal_of(secret, query, body, now_ms, *, permissions=frozenset(Permission), api_key=DOC_KEY):
    """The code a request is refused with; 0 when it is let in."""
    keys = {DOC_KEY: ApiKey(DOC_KEY, "one", permissions, secret=secret)}
    parameters = Parameters(query, body)
    try:
        caller = Caller(api_key)
        authenticate(keys, caller, Security.TRADE, parameters, now_ms * 1_000_000, Limits())
    except RefusalError as refusal:
        return refusal.code
    return 0


def with_signature(query, body, signature):
    """Put the signature last: in the body where there is one, else in the query."""
    pair = b"&signature=" + signature.encode()
    return (query, body + pair) if body else (query + pair, body)


@pytest.mark.parametrize("index", range(len(VECTORS)))
def test_each_documented_signature_is_accepted(index):
    secret, query, body, signature = VECTORS[index]
    assert refusal_of(secret, *with_signature(query, body, signature), TIMES_MS[index]) == 0


@pytest.mark.parametrize("index", range(len(VECTORS)))
def test_every_one_byte_mutation_of_a_documented_request_is_refused_with_1022(index):
    secret, query, body, signature = VECTORS[index]
    signed_bytes = query + b"\0" + body
    for position in range(len(signed_bytes)):
        if position == len(query):
            continue
        for change in (0x01, 0x20, 0x80):
            mutated = bytearray(signed_bytes)
            mutated[position] ^= change
            raw = bytes(mutated)
            pair = with_signature(raw[: len(query)], raw[len(query) + 1 :], signature)
            assert refusal_of(secret, *pair, TIMES_MS[index]) == -1022, raw


@pytest.mark.parametrize("index", range(len(VECTORS)))
def test_every_changed_digit_of_a_documented_signature_is_refused_with_1022(index):
    secret, query, body, signature = VECTORS[index]
    for position, digit in enumerate(signature):
        for other in "0123456789abcdef&":
            if other == digit:
                continue
            mutated = signature[:position] + other + signature[position + 1 :]
            found = refusal_of(secret, *with_signature(query, body, mutated), TIMES_MS[index])
            assert found == -1022, mutated


def test_hex_digits_of_a_signature_may_be_upper_case():
    secret, query, body, signature = VECTORS[0]
    found = refusal_of(secret, *with_signature(query, body, signature.upper()), TIMES_MS[0])
    assert found == 0


@pytest.mark.parametrize(
    ("query", "body", "payload"),
    [
        (b"a=1&signature=f&b=2", b"", b"a=1&b=2"),
        (b"signature=f&a=1", b"b=2", b"a=1b=2"),
        (b"a=1&signature=f", b"b=2", b"a=1b=2"),
        (b"a=1", b"b=2&signature=f", b"a=1b=2"),
        (b"signature=f", b"b=2", b"b=2"),
    ],
)
def test_the_signature_is_taken_out_wherever_it_stands(query, body, payload):
    assert signed_payload(query, body) == (payload, b"f")


def test_a_parameter_that_only_ends_like_signature_stays_signed():
    assert signed_payload(b"xsignature=f", b"") == (b"xsignature=f", None)


def test_a_request_without_a_signature_is_refused_with_1102():
    assert refusal_of(DOC_SECRET, b"timestamp=1", b"", 1) == -1102


@pytest.mark.parametrize("api_key", [None, "", "short", DOC_KEY + "0", DOC_KEY[:-1] + "!"])
def test_a_malformed_key_is_refused_with_2014(api_key):
    secret, query, body, signature = VECTORS[0]
    raw = with_signature(query, body, signature)
    assert refusal_of(secret, *raw, TIMES_MS[0], api_key=api_key) == -2014


def test_an_unknown_key_and_a_missing_permission_are_refused_with_2015():
    secret, query, body, signature = VECTORS[0]
    raw = with_signature(query, body, signature)
    assert refusal_of(secret, *raw, TIMES_MS[0], api_key="0" * 64) == -2015
    reader = frozenset({Permission.READ})
    assert refusal_of(secret, *raw, TIMES_MS[0], permissions=reader) == -2015


@pytest.mark.parametrize(
    ("now_ms", "query", "text"),
    [
        (10_000, b"timestamp=10999", None),
        (10_000, b"timestamp=11000", "1000ms ahead"),
        (10_000, b"timestamp=5000", None),
        (10_000, b"timestamp=4999", "outside of the recvWindow"),
        (10_000, b"timestamp=9989&recvWindow=10", "outside of the recvWindow"),
        (10_000, b"timestamp=9990&recvWindow=10", None),
        (10_000, b"timestamp=9990&recvWindow=60001", "recvWindow must be less than 60000."),
        (10_000, b"recvWindow=10", "'timestamp' was not sent"),
        (10_000, b"timestamp=abc", "'timestamp' was not sent"),
    ],
)
def test_the_time_window_is_the_documented_one(now_ms, query, text):
    parameters = Parameters(query)
    if text is None:
        check_time_window(parameters, now_ms * 1_000_000, Limits())
        return
    with pytest.raises(RefusalError, match=text.replace(".", r"\.")):
        check_time_window(parameters, now_ms * 1_000_000, Limits())


def test_a_secret_is_in_no_representation_of_its_key():
    assert DOC_SECRET not in repr(ApiKey(DOC_KEY, "one", frozenset(), secret=DOC_SECRET))
