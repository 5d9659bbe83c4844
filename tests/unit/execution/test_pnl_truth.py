"""Whatever is traded, the book of profit and loss equals the venue's income to the last digit."""

from collections import defaultdict
from decimal import Decimal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.messages.codec import decode_struct, encode
from libs.common.messages.income_events import IncomeReceived
from libs.common.messages.journal import FillReceived
from libs.common.model.pnl import total_of
from libs.common.testing.builders import a_record
from libs.common.venue.payloads import Income, UserTrade, decode_payload
from libs.common.venue.user_payloads import OrderTradeUpdate, decode_user_frame
from services.execution.answers import decide_fills, decide_income
from services.execution.fold import apply
from services.execution.income import read_income
from services.execution.state import State
from services.execution.user_stream import read_stream_fill
from services.execution.venue_words import read_fill
from services.paper_exchange.config import IMMEDIATE_QUIRKS, Limits
from tests.unit.paper_exchange.conftest import Venue

ZERO = Decimal(0)
SYMBOLS = ("BTCUSDT", "ETHUSDT")
FUNDING_S = 8 * 3_600

MOVES = st.lists(
    st.tuples(
        st.sampled_from(["ORDER", "ORDER", "ORDER", "MARK", "FUNDING", "DEPOSIT"]),
        st.sampled_from(SYMBOLS),
        st.booleans(),
        st.integers(1, 300),
        st.integers(-1_000, 1_000),
        st.booleans(),
    ),
    max_size=40,
)


class Trader:
    """A customer of the paper exchange, and execution's fold of what the venue tells of it."""

    def __init__(self) -> None:
        limits = Limits(listen_key_valid_ms=10**12)
        self.venue = Venue(limits, balance="2000", quirks=IMMEDIATE_QUIRKS)
        self.marks = {"BTCUSDT": Decimal(50_000), "ETHUSDT": Decimal(3_000)}
        self.state = State()
        self.burned: dict[str, Decimal] = defaultdict(Decimal)
        self.in_bnb: set[tuple[str, int]] = set()
        self.venue.call("POST", "/fapi/v1/listenKey")
        for symbol in SYMBOLS:
            self.venue.call("POST", "/fapi/v1/leverage", symbol=symbol, leverage=50)

    def do(self, kind: str, symbol: str, is_up: bool, size: int, offset: int, odd: bool) -> None:
        venue = self.venue
        if kind == "ORDER":
            scale = -3 if symbol == "BTCUSDT" else -2
            quantity = f"{Decimal(size).scaleb(scale)}"
            venue.order("BUY" if is_up else "SELL", quantity, symbol=symbol)
        elif kind == "MARK":
            # A small book beside the mark, so that orders fill in parts at several prices.
            mark = (self.marks[symbol] * (1 + Decimal(offset) / 15_000)).quantize(Decimal("0.1"))
            self.marks[symbol] = mark
            depth = f"{Decimal(size).scaleb(-3)}"
            bids = [(f"{mark}", depth), (f"{mark - 1}", "1000")]
            asks = [(f"{mark + Decimal('0.1')}", depth), (f"{mark + 2}", "1000")]
            venue.depth(symbol, bids, asks, mark=f"{mark}")
            venue.exchange.on_mark(symbol, venue.now_ns)
        elif kind == "FUNDING":
            venue.exchange.funding_rates.overrides[symbol] = Decimal(offset).scaleb(-5)
            venue.sleep(FUNDING_S)
        else:
            venue.exchange.deposit(venue.account, Decimal(size), venue.now_ns)
        self.hear(in_bnb=odd)
        if odd:
            self.read_income()

    def hear(self, *, in_bnb: bool) -> None:
        """Fold the fills that the user stream tells; some pay their commission in BNB."""
        for said in self.venue.events():
            event = decode_user_frame(msgspec.json.encode(said))
            if not isinstance(event, OrderTradeUpdate) or not event.order.is_fill:
                continue
            fill = read_stream_fill(event.order)
            if in_bnb:
                self.in_bnb.add((fill.symbol, fill.trade_id))
            self.fold_fill(fill)
            self.fold_fill(fill)

    def fold_fill(self, fill: FillReceived) -> None:
        if (fill.symbol, fill.trade_id) in self.in_bnb:
            fill = msgspec.structs.replace(fill, commission_asset="BNB")
        self.fold(*decide_fills(self.state, [fill]).events)

    def read_income(self) -> list[Income]:
        """Fold the venue's list of income, as often as one likes."""
        found = self.venue.get("/fapi/v1/income", startTime=0, limit=1_000)
        rows = decode_payload(msgspec.json.encode(found), list[Income])
        fresh = [row for row in map(read_income, rows) if row is not None]
        self.fold(*decide_income(self.state, fresh).events)
        for event in fresh:  # what comes twice all the same counts once
            self.fold(event)
        return rows

    def fold(self, *events: FillReceived | IncomeReceived) -> None:
        if events:
            apply(self.state, a_record(*events, now_ns=self.venue.now_ns))


@settings(deadline=None)
@given(moves=MOVES)
def test_the_book_equals_the_venues_income_to_the_last_digit(moves):
    trader = Trader()
    for move in moves:
        trader.do(*move)
    rows = trader.read_income()
    state = decode_struct(encode(trader.state), State)
    every = [row for _, row in state.pnl.rows()]
    for symbol in SYMBOLS:
        ours = total_of(row for row in every if row.symbol == symbol)
        theirs: dict[str, Decimal] = defaultdict(Decimal)
        for row in rows:
            if row.symbol == symbol:
                theirs[row.income_type] += row.income
        position = state.positions.get(symbol)
        assert ours.realized_pnl == theirs["REALIZED_PNL"]
        assert ours.realized_pnl == (ZERO if position is None else position.realized_pnl)
        assert -sum(ours.commission.values(), ZERO) == theirs["COMMISSION"]
        assert ours.funding.get("USDT", ZERO) == theirs["FUNDING_FEE"]
        assert ours.liquidation.get("USDT", ZERO) == theirs["INSURANCE_CLEAR"]
    total = total_of(every)
    brought = sum((row.income for row in rows if row.income_type == "TRANSFER"), ZERO)
    paid_in_bnb = total.commission.get("BNB", ZERO)
    wallet = trader.venue.exchange.ledger.balance("wallet:one")
    assert brought + total.net("USDT") - paid_in_bnb == wallet
    if trader.in_bnb:
        in_usdt = sum((p.commissions.get("USDT", ZERO) for p in state.positions.values()), ZERO)
        assert total.commission.get("USDT", ZERO) == in_usdt


@settings(deadline=None, max_examples=25)
@given(moves=MOVES)
def test_the_book_is_the_same_when_the_fills_are_read_from_the_trade_list(moves):
    heard, read = Trader(), Trader()
    for move in moves:
        heard.do(*move)
        read.do(*move)
    read.state, read.in_bnb = State(), heard.in_bnb
    for symbol in SYMBOLS:
        found = read.venue.get("/fapi/v1/userTrades", symbol=symbol, limit=1_000)
        for trade in reversed(decode_payload(msgspec.json.encode(found), list[UserTrade])):
            read.fold_fill(read_fill(trade))
    read.read_income()
    heard.read_income()
    by_symbol = [
        {
            symbol: total_of(row for _, row in who.state.pnl.rows() if row.symbol == symbol)
            for symbol in SYMBOLS
        }
        for who in (heard, read)
    ]
    assert by_symbol[0] == by_symbol[1]
