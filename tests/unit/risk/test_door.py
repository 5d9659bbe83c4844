"""What strangers may and may not say."""

import json
from decimal import Decimal

import pytest

from libs.common.messages.codec import UndecodableError, encode
from libs.common.messages.intents import ProposedIntent
from libs.common.model.order import OrderType, TimeInForce
from services.risk.door import read_proposed

BYTES_MAX = 65_536


@pytest.fixture
def proposed(make):
    intent = make.intent()
    return ProposedIntent(
        message_id=intent.intent_id,
        causation_id=intent.candle_id,
        correlation_id=intent.intent_id,
        ts_event_ns=intent.created_at_ns,
        ts_published_ns=1,
        source="stranger",
        intent=intent,
    )


def changed(proposed, path, value):
    """The message as JSON with one field replaced (or removed by ``...``)."""
    tree = json.loads(encode(proposed))
    *parents, last = path.split(".")
    node = tree
    for parent in parents:
        node = node[parent]
    if value is ...:
        del node[last]
    else:
        node[last] = value
    return json.dumps(tree).encode()


def test_what_our_own_encoder_writes_is_read_as_it_was(proposed):
    assert read_proposed(encode(proposed), BYTES_MAX) == proposed


def test_a_symbol_of_any_script_may_be_traded_as_the_venue_lists_such(proposed):
    symbol = "币安人生USDT"
    assert (
        read_proposed(changed(proposed, "intent.symbol", symbol), BYTES_MAX).intent.symbol == symbol
    )


def test_a_limit_intent_with_all_its_fields_is_read(proposed, make):
    intent = make.intent(
        order_type=OrderType.LIMIT,
        price=Decimal("59000.10"),
        time_in_force=TimeInForce.GTX,
        quantity=Decimal("0.001"),
        stop_price=Decimal(58_000),
        target_price=Decimal(61_000),
        confidence=Decimal("0.75"),
        model_hash="m1",
    )
    message = ProposedIntent(**{**{f: getattr(proposed, f) for f in proposed.__struct_fields__},
                                "intent": intent})  # fmt: skip
    assert read_proposed(encode(message), BYTES_MAX) == message


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("intent.quantity", 0.001, "intent.quantity: .*decimal in a string, not float"),
        ("intent.quantity", 1, "intent.quantity: .*decimal in a string, not int"),
        ("intent.quantity", True, "intent.quantity: .*not bool"),
        ("intent.quantity", "NaN", "intent.quantity: .*plain digits"),
        ("intent.quantity", "Infinity", "intent.quantity: .*plain digits"),
        ("intent.quantity", "-0.001", "intent.quantity: .*plain digits"),
        ("intent.quantity", "1e3", "intent.quantity: .*plain digits"),
        ("intent.quantity", "\u0661", "intent.quantity: .*plain digits"),
        ("intent.quantity", "1\n", "intent.quantity: .*plain digits"),
        ("intent.quantity", "1" * 40, "intent.quantity: .*plain digits"),
        ("intent.quantity", "0.0", "intent.quantity: .*above zero"),
        ("intent.reference_price", "0", "intent.reference_price: .*above zero"),
        ("intent.reference_price", None, "intent.reference_price: .*decimal in a string"),
        ("intent.confidence", "1.1", "intent.confidence: .*between 0 and 1"),
        ("intent.side", "LONG", "intent.side: Input should be 'BUY' or 'SELL'"),
        ("intent.purpose", "enter", "intent.purpose: Input should be 'ENTER' or 'EXIT'"),
        ("intent.order_type", "STOP", "intent.order_type: Input should be"),
        ("intent.order_type", "LIMIT", "needs price and time_in_force"),
        ("intent.price", "1", "neither price nor time_in_force"),
        ("intent.time_in_force", "GTC", "neither price nor time_in_force"),
        ("intent.intent_id", "a.b", "intent.intent_id: String should match"),
        ("intent.intent_id", "a*", "intent.intent_id: String should match"),
        ("intent.intent_id", "x" * 65, "intent.intent_id: String should match"),
        ("intent.intent_id", "a\n", "intent.intent_id: String should match"),
        ("intent.symbol", "BTC.USDT", "intent.symbol: String should match"),
        ("intent.symbol", ">", "intent.symbol: String should match"),
        ("intent.expires_at_ns", 1, "intent.expires_at_ns: .*greater than"),
        ("intent.expires_at_ns", "1723161300000000000", "intent.expires_at_ns: .*integer"),
        ("intent.created_at_ns", 1723161300000, "intent.created_at_ns: .*greater than"),
        ("intent.created_at_ns", 4_000_000_000 * 10**9, "must be after created_at_ns"),
        ("intent.leverage", 20, "intent.leverage: Extra inputs are not permitted"),
        ("intent.side", ..., "intent.side: Field required"),
        ("intent", "buy", "intent: "),
        ("note", "hello", "note: Extra inputs are not permitted"),
        ("schema", 2, "schema: Input should be less than or equal to 1"),
        ("schema", True, "schema: Input should be a valid integer"),
        ("message_id", "", "message_id: String should match"),
    ],
)
def test_a_wrong_field_is_refused_by_name(proposed, path, value, words):
    with pytest.raises(UndecodableError, match=words):
        read_proposed(changed(proposed, path, value), BYTES_MAX)


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff\xfe", b'{"intent": NaN}', b"[" * 60_000],
)
def test_what_is_no_intent_at_all_is_refused(payload):
    with pytest.raises(UndecodableError, match="not a proposed intent"):
        read_proposed(payload, BYTES_MAX)


def test_a_message_that_is_too_long_is_not_even_looked_at(proposed):
    payload = changed(proposed, "source", "x" * BYTES_MAX)
    with pytest.raises(UndecodableError, match="more than the 65536 of an intent"):
        read_proposed(payload, BYTES_MAX)


def test_a_reason_never_repeats_what_was_said(proposed):
    payload = changed(proposed, "intent.quantity", "TOP-SECRET")
    with pytest.raises(UndecodableError) as caught:
        read_proposed(payload, BYTES_MAX)
    assert "TOP-SECRET" not in str(caught.value)


def test_many_faults_are_counted_not_listed():
    payload = json.dumps({f"extra{n}": 1 for n in range(50)}).encode()
    with pytest.raises(UndecodableError, match=r"and \d+ more$"):
        read_proposed(payload, BYTES_MAX)
