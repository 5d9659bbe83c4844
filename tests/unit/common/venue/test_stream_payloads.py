"""Frames as recorded before 2026 (no st, ps, nq) and as the venue sends them since."""

import json
from decimal import Decimal

import pytest

from libs.common.venue.payloads import PayloadError
from libs.common.venue.stream_payloads import (
    AggTradeEvent,
    BookTicker,
    ControlReply,
    DepthEvent,
    KlineEvent,
    MarkPriceEvent,
    ServerShutdown,
    SimClock,
    TradeEvent,
    Unrecognized,
    decode_market_frame,
)
from libs.common.venue.user_payloads import (
    AccountConfigUpdate,
    AccountUpdate,
    AlgoUpdate,
    ListenKeyExpired,
    MarginCall,
    OrderTradeUpdate,
    decode_user_frame,
)

TICKER = (
    b'{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":5123107839020,"s":"BTCUSDT",'
    b'"b":"61800.20","B":"2.507","a":"61800.30","A":"2.510","T":1723161256313,"E":1723161256313}}'
)
TRADE = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161256322,"T":1723161256322,'
    b'"s":"BTCUSDT","t":5266583935,"p":"61800.30","q":"0.006","X":"MARKET","m":false}}'
)


def test_a_quote_is_read_the_same_from_old_and_new_venues() -> None:
    new = (
        b'{"data":{"e":"bookTicker","u":5123107839020,"E":1723161256313,"T":1723161256313,'
        b'"s":"BTCUSDT","ps":"BTCUSDT","b":"61800.20","B":"2.507","a":"61800.30","A":"2.510",'
        b'"st":1},"stream":"btcusdt@bookTicker"}'
    )
    quote = decode_market_frame(TICKER)
    assert isinstance(quote, BookTicker)
    assert quote == decode_market_frame(new) == decode_market_frame(memoryview(TICKER))
    assert (quote.bid_price, quote.ask_quantity) == (Decimal("61800.20"), Decimal("2.510"))


def test_a_trade_is_read() -> None:
    trade = decode_market_frame(TRADE)
    assert isinstance(trade, TradeEvent)
    assert (trade.trade_id, trade.price, trade.kind) == (5266583935, Decimal("61800.30"), "MARKET")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (
            {"e": "aggTrade", "E": 1, "s": "X", "a": 2, "p": "1", "q": "2", "nq": "1", "f": 1,
             "l": 1, "T": 3, "m": True, "st": 1},
            AggTradeEvent,
        ),
        (
            {"e": "markPriceUpdate", "E": 1, "s": "X", "p": "1.5", "ap": "1", "P": "1.4",
             "i": "1.45", "r": "0.0001", "T": 9, "st": 1},
            MarkPriceEvent,
        ),
        (
            {"e": "kline", "E": 1, "s": "X", "k": {"t": 0, "T": 59999, "s": "X", "i": "1m",
             "f": 1, "L": 2, "o": "1", "c": "2", "h": "3", "l": "0.5", "v": "9", "n": 2,
             "x": True, "q": "11", "V": "1", "Q": "2", "B": "0"}},
            KlineEvent,
        ),
        (
            {"e": "depthUpdate", "E": 1, "T": 1, "s": "X", "U": 1, "u": 2, "pu": 0,
             "b": [["1.0", "0"]], "a": []},
            DepthEvent,
        ),
        (
            {"e": "simClock", "E": 1, "n": 1723161256313000000, "v": "20", "l": None, "z": False},
            SimClock,
        ),
    ],
)  # fmt: skip
def test_each_event_is_read_enveloped_and_bare(data: dict[str, object], kind: type) -> None:
    enveloped = decode_market_frame(json.dumps({"stream": "x", "data": data}).encode())
    assert isinstance(enveloped, kind)
    assert decode_market_frame(json.dumps(data).encode()) == enveloped


def test_a_grant_of_the_clock_is_exact() -> None:
    clock = decode_market_frame(
        b'{"stream":"!clock@sim","data":{"e":"simClock","E":1,"n":1723161256313000001,'
        b'"v":"20","l":1723161256313000002,"z":true}}'
    )
    assert isinstance(clock, SimClock)
    assert (clock.now_ns, clock.limit_ns) == (1723161256313000001, 1723161256313000002)
    assert clock.is_source_ended
    assert clock.speed == 20


def test_a_shutdown_notice_comes_bare() -> None:
    notice = decode_market_frame(b'{"e":"serverShutdown","E":1770123456789}')
    assert notice == ServerShutdown(event_ms=1770123456789)


@pytest.mark.parametrize(
    ("frame", "reply"),
    [
        (b'{"result":null,"id":1}', ControlReply(request_id=1)),
        (b'{"id":"a","result":["b@trade"]}', ControlReply(request_id="a", result=("b@trade",))),
        (
            b'{"error":{"code":2,"msg":"Invalid request"},"id":3}',
            ControlReply(request_id=3, error="2: Invalid request"),
        ),
        (
            b'{"stream":"x@ticker","data":{"e":"24hrTicker","E":1}}',
            Unrecognized(stream="x@ticker", kind="24hrTicker"),
        ),
        (b'{"stream":"!t@arr","data":[{"e":"x"}]}', Unrecognized(stream="!t@arr", kind="")),
        (b'{"e":"TRADE_LITE","E":1}', Unrecognized(stream="", kind="TRADE_LITE")),
    ],
)
def test_what_is_no_event_we_read_says_what_it_is(frame: bytes, reply: object) -> None:
    assert decode_market_frame(frame) == reply
    assert decode_user_frame(frame) == reply


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"{}",
        b"[]",
        b"nonsense",
        TRADE[:-9],
        TRADE.replace(b'"0.006"', b'"NaN"'),
        TICKER.replace(b'"2.507"', b'"Infinity"'),
        TRADE.replace(b'"t":5266583935,', b""),
        TRADE.replace(b"5266583935", b'"5266583935"'),
        b'{"e":"depthUpdate","E":1,"T":1,"s":"X","U":1,"u":2,"pu":0,"b":[["NaN","1"]],"a":[]}',
        TRADE.replace(b"BTCUSDT", b"\xff\xfe"),
    ],
)
def test_a_malformed_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(PayloadError):
        decode_market_frame(frame)


ORDER = {
    "s": "BTCUSDT", "c": "p-1", "S": "SELL", "o": "MARKET", "f": "GTC", "q": "0.010", "p": "0",
    "ap": "61800.10", "sp": "0", "x": "TRADE", "X": "FILLED", "i": 8886774, "M": 0, "l": "0.004",
    "z": "0.010", "L": "61800.00", "N": "USDT", "n": "0.12360000", "T": 1568879465650,
    "t": 42, "b": "0", "a": "0", "m": False, "R": True, "wt": "CONTRACT_PRICE", "ot": "MARKET",
    "ps": "BOTH", "cp": False, "rp": "-1.5", "pP": False, "si": 0, "ss": 0, "V": "EXPIRE_MAKER",
    "pm": "NONE", "gtd": 0, "er": "0",
}  # fmt: skip


def event(kind: str, **fields: object) -> bytes:
    return json.dumps({"e": kind, "E": 2, "T": 1} | fields).encode()


def test_a_fill_is_read_bare_and_enveloped() -> None:
    frame = event("ORDER_TRADE_UPDATE", o=ORDER)
    update = decode_user_frame(frame)
    assert isinstance(update, OrderTradeUpdate)
    assert update == decode_user_frame(b'{"stream":"key","data":' + frame + b"}")
    order = update.order
    assert order.is_fill
    assert (order.trade_id, order.last_quantity) == (42, Decimal("0.004"))
    assert order.commission == Decimal("0.12360000")
    assert order.realized_pnl == Decimal("-1.5")


def test_an_order_event_without_a_fill_needs_no_commission() -> None:
    order = {k: v for k, v in ORDER.items() if k not in {"n", "N"}} | {"x": "NEW", "l": "0"}
    update = decode_user_frame(event("ORDER_TRADE_UPDATE", o=order))
    assert isinstance(update, OrderTradeUpdate)
    assert not update.order.is_fill
    assert update.order.commission == 0


def test_liquidation_is_a_fill_too() -> None:
    order = ORDER | {"x": "CALCULATED", "c": "autoclose-1"}
    update = decode_user_frame(event("ORDER_TRADE_UPDATE", o=order))
    assert isinstance(update, OrderTradeUpdate)
    assert update.order.is_fill


def test_account_events_are_read() -> None:
    change = {
        "m": "ORDER",
        "B": [{"a": "USDT", "wb": "122624.12", "cw": "100.1", "bc": "0"}],
        "P": [{"s": "BTCUSDT", "pa": "-0.010", "ep": "61800", "bep": "1", "cr": "200", "up": "0",
               "mt": "cross", "iw": "0", "ps": "BOTH"}],
    }  # fmt: skip
    update = decode_user_frame(event("ACCOUNT_UPDATE", a=change))
    assert isinstance(update, AccountUpdate)
    assert update.change.balances[0].wallet_balance == Decimal("122624.12")
    assert update.change.positions[0].quantity == Decimal("-0.010")
    funding = decode_user_frame(event("ACCOUNT_UPDATE", a={"m": "FUNDING_FEE", "B": []}))
    assert isinstance(funding, AccountUpdate)
    assert funding.change.positions == ()


def test_an_algo_event_before_its_trigger_lacks_what_the_trigger_brings() -> None:
    order = {"caid": "p-1s", "aid": 7, "at": "CONDITIONAL", "o": "STOP_MARKET", "s": "BTCUSDT",
             "S": "SELL", "ps": "BOTH", "f": "GTC", "q": "0.010", "X": "NEW", "ai": "",
             "tp": "60000", "tt": 0}  # fmt: skip
    update = decode_user_frame(event("ALGO_UPDATE", o=order))
    assert isinstance(update, AlgoUpdate)
    assert update.order.average_price is None
    assert update.order.trigger_price == 60_000


def test_settings_margin_calls_and_the_end_of_the_key_are_read() -> None:
    leverage = decode_user_frame(event("ACCOUNT_CONFIG_UPDATE", ac={"s": "BTCUSDT", "l": 25}))
    assert isinstance(leverage, AccountConfigUpdate)
    assert leverage.leverage is not None
    assert leverage.leverage.leverage == 25
    mode = decode_user_frame(event("ACCOUNT_CONFIG_UPDATE", ai={"j": True}))
    assert isinstance(mode, AccountConfigUpdate)
    assert mode.leverage is None
    assert isinstance(decode_user_frame(event("MARGIN_CALL", cw="3.1", p=[])), MarginCall)
    expired = decode_user_frame(event("listenKeyExpired", listenKey="pqia91"))
    assert isinstance(expired, ListenKeyExpired)
    assert "pqia91" not in repr(expired)


def test_a_malformed_user_event_is_refused_and_not_quoted() -> None:
    with pytest.raises(PayloadError, match="ORDER_TRADE_UPDATE") as caught:
        decode_user_frame(event("ORDER_TRADE_UPDATE", o={"s": "SECRETUSDT"}))
    assert "SECRETUSDT" not in str(caught.value)
