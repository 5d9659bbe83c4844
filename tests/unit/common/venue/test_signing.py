import hashlib
import hmac
from decimal import Decimal

import pytest

from libs.common.venue.signing import encode_parameters, sign_hmac, sign_parameters

# Published examples of the venue's documentation and its signature-examples repository.
DOCS = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"
EXAMPLES = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
BTC = "symbol=BTCUSDT&side=BUY&type=LIMIT&"
LTC = "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC"
VECTORS = [
    (
        DOCS,
        f"{BTC}quantity=1&price=9000&timeInForce=GTC&recvWindow=5000&timestamp=1591702613943",
        "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9",
    ),
    (
        DOCS,
        f"{BTC}timeInForce=GTCquantity=1&price=9000&recvWindow=5000&timestamp= 1591702613943",
        "f9d0ae5e813ef6ccf15c2b5a434047a0181cb5a342b903b367ca6d27a66e36f2",
    ),
    (
        DOCS,
        f"{BTC}timeInForce=GTCquantity=1&price=9000&recvWindow=5000&timestamp=1591702613943",
        "30baaf0fab549bbeda7f5ef201898b34122da25fd23c646cac2c529aebe670a4",
    ),
    (
        EXAMPLES,
        "timestamp=1578963600000",
        "d84e6641b1e328e7b418fff030caed655c266299c9355e36ce801ed14631eed4",
    ),
    (
        EXAMPLES,
        f"{LTC}&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559",
        "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71",
    ),
    (
        EXAMPLES,
        f"{LTC}quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559",
        "0fd168b8ddb4876a0358a8d14d0c9f3da0e9b20c5d52b2a00fcf7d1c602f9a77",
    ),
]


@pytest.mark.parametrize(("secret", "payload", "signature"), VECTORS)
def test_the_published_examples_are_reproduced(secret: str, payload: str, signature: str) -> None:
    assert sign_hmac(secret, payload) == signature
    assert sign_hmac(secret, payload.encode()) == signature


def test_text_outside_ascii_is_signed_as_utf_8() -> None:
    expected = hmac.new(b"k", "símbolo=币安".encode(), hashlib.sha256).hexdigest()
    assert sign_hmac("k", "símbolo=币安") == expected


def test_order_of_parameters_is_kept() -> None:
    assert encode_parameters({"z": 1, "a": 2}) == "z=1&a=2"
    assert encode_parameters([("b", "x"), ("a", "y"), ("b", "z")]) == "b=x&a=y&b=z"


def test_absent_values_are_left_out() -> None:
    assert encode_parameters({"symbol": "BTCUSDT", "price": None, "side": "BUY"}) == (
        "symbol=BTCUSDT&side=BUY"
    )
    assert encode_parameters({}) == ""


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (1723161255030, "1723161255030"),
        (Decimal("0.00001"), "0.00001"),
        (Decimal("1E-8"), "0.00000001"),
        (Decimal("1E+3"), "1000"),
        (Decimal("61800.20"), "61800.20"),
        ("a:b/c_d-e.f", "a%3Ab%2Fc_d-e.f"),
        ("a b+c&d=e", "a%20b%2Bc%26d%3De"),
        ("币安人生USDT", "%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT"),
        ('[{"a":1}]', "%5B%7B%22a%22%3A1%7D%5D"),
    ],
)
def test_each_value_has_one_wire_spelling(value: str | int | bool | Decimal, wire: str) -> None:
    assert encode_parameters({"v": value}) == f"v={wire}"


def test_a_float_is_refused() -> None:
    with pytest.raises(TypeError, match="quantity"):
        encode_parameters({"quantity": 0.1})  # type: ignore[dict-item]


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_is_not_finite_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="price"):
        encode_parameters({"price": Decimal(text)})


def test_the_signature_comes_last_and_covers_what_precedes_it() -> None:
    wire = sign_parameters(EXAMPLES, {"newClientOrderId": "a:b", "timestamp": 1})
    payload, signature = wire.split("&signature=")
    assert payload == "newClientOrderId=a%3Ab&timestamp=1"
    assert signature == sign_hmac(EXAMPLES, payload)
