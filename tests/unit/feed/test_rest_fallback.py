"""What REST is asked while streams are down, and what of its answers is believed."""

import random
from decimal import Decimal
from types import SimpleNamespace

import msgspec
import pytest

from libs.common.runtime.venue_reader import VenueReadError
from libs.common.venue.market_payloads import BookTickerRow, KlineRow, PremiumIndex, TradeRow
from libs.common.venue.outcomes import Unknown
from services.feed.backfill import Backfill
from services.feed.config import FeedConfig
from services.feed.core import FeedCore, Limits
from services.feed.inbox import Inbox, RestTime
from services.feed.kline_series import AskKlines
from services.feed.plan import plan_sockets
from services.feed.rest_fallback import RestFallback
from services.feed.trade_series import AskTrades

NOW_MS = 1_700_000_000_000
MS = 1_000_000
SYMBOLS = tuple(f"S{number}USDT" for number in range(12))
SETTINGS = FeedConfig(backfill_weight_per_minute_max=200)


class Venue:
    """Answers at one time, and remembers what it was asked."""

    def __init__(self):
        self.asked = []
        self.trades = []

    async def book_ticker(self, symbol):
        self.asked.append(symbol)
        one = Decimal("0.00000001")
        return BookTickerRow(
            symbol=symbol, bid_price=one, bid_quantity=one, ask_price=one, ask_quantity=one,
            time_ms=NOW_MS,
        )  # fmt: skip

    async def book_tickers(self):
        rows = [await self.book_ticker(symbol) for symbol in (*SYMBOLS, "OTHERUSDT")]
        self.asked = ["all quotes"]
        return rows

    async def premium_index(self, symbol):
        self.asked.append(symbol)
        return PremiumIndex(
            symbol=symbol, mark_price=Decimal(1), index_price=Decimal(1), time_ms=NOW_MS
        )

    async def premium_indexes(self):
        rows = [await self.premium_index(symbol) for symbol in SYMBOLS]
        self.asked = ["all marks"]
        return rows

    async def recent_trades(self, _symbol, *, limit):
        return self.trades[-limit:]


class Clock:
    """Ours, at a standstill."""

    is_set = True

    def now_ns(self):
        return NOW_MS * MS


class World:
    """A fallback whose streams are down as a test says."""

    def __init__(self, symbols, down):
        plans = plan_sockets(symbols, ("1m",), streams_per_socket_max=1_024, with_clock=False)
        self.streams = [
            SimpleNamespace(
                plan=plan,
                is_up=plan.route not in down,
                unserved=lambda plan=plan: plan.streams if plan.route in down else (),
            )
            for plan in plans
        ]
        self.venue, self.inbox = Venue(), Inbox(10)
        self.core = FeedCore(symbols, ("1m",), Limits())
        self.backfill = Backfill(self.venue, SETTINGS, random.Random(1), Clock())
        self.fallback = RestFallback(
            self.venue, self.backfill, self.core, self.inbox, SETTINGS, self.streams,
            judge=lambda _: True, candle_ns=lambda: NOW_MS * MS,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("count", "down", "asked"),
    [
        (12, (), []),
        (2, ("public",), ["S0USDT", "S1USDT"]),
        (3, ("public",), ["all quotes"]),
        (10, ("market",), list(SYMBOLS[:10])),
        (12, ("market",), ["all marks"]),
    ],
)
async def test_what_is_down_is_asked_for_in_the_way_that_weighs_least(count, down, asked):
    world = World(SYMBOLS[:count], down)
    await world.fallback.look()
    assert world.venue.asked == asked
    taken = world.core.take_kept()
    assert len(taken) == (count if down else 0)
    assert {event.event_ms for event in taken} <= {NOW_MS}


async def test_closed_candles_of_dead_sockets_may_be_due_by_the_time_that_rest_told():
    world = World(SYMBOLS[:1], ("market",))
    await world.fallback.look()
    assert world.inbox.take() == RestTime(NOW_MS * MS, (("S0USDT", "1m"),))


async def test_standing_in_leaves_half_of_the_weight_to_what_is_missing():
    world = World(SYMBOLS, ("market",))
    for _ in range(20):
        await world.fallback.look()
    assert world.fallback.rounds == 20
    assert world.fallback.requests == 10
    assert not world.backfill.admits(1)


@pytest.mark.parametrize("route", ["public", "market"])
async def test_a_symbol_that_the_venue_refuses_costs_no_other_its_answer(route):
    world = World(SYMBOLS[:2], ("public", "market"))
    call = {"public": "book_ticker", "market": "premium_index"}[route]
    answer_of = getattr(world.venue, call)

    async def refuse(symbol):
        if symbol == "S0USDT":
            raise VenueReadError(call, Unknown("no such symbol"))
        return await answer_of(symbol)

    setattr(world.venue, call, refuse)
    assert await world.fallback.look()  # the next round comes as soon as after any other
    assert len(world.core.take_kept()) == 3
    assert (world.fallback.failures, "no such symbol" in world.fallback.last_failure) == (1, True)
    assert isinstance(world.inbox.take(), RestTime)


async def test_where_nothing_is_answered_at_all_the_next_round_may_wait():
    world = World(SYMBOLS[:2], ("public",))

    async def refuse(_symbol):
        raise VenueReadError("book_ticker", Unknown("bad gateway"))

    world.venue.book_ticker = refuse
    assert not await world.fallback.look()
    assert world.fallback.failures == 2


async def test_an_answer_about_another_symbol_is_not_believed():
    world = World(SYMBOLS[:1], ("public", "market"))
    for call in ("book_ticker", "premium_index"):
        answer_of = getattr(world.venue, call)
        setattr(world.venue, call, lambda _, answer_of=answer_of: answer_of("OTHERUSDT"))
    await world.fallback.look()
    assert world.core.take_kept() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"high": Decimal("0.5")},
        {"low": Decimal(0)},
        {"volume": Decimal(-1)},
        {"open_ms": 60_001},
    ],
)
async def test_bars_of_rest_that_make_no_sense_are_not_taken(wrong):
    world = World(SYMBOLS[:1], ())
    one = Decimal(1)
    row = KlineRow(
        open_ms=60_000, open=one, high=one, low=one, close=one, volume=one, close_ms=119_999,
        quote_volume=one, trades=1, taker_buy_volume=one, taker_buy_quote_volume=one,
    )  # fmt: skip
    told = [row, msgspec.structs.replace(row, open_ms=120_000), row]
    world.venue.klines = lambda *_, **__: answer(told)
    question = AskKlines("S0USDT", "1m", 60_000 * MS, 180_000 * MS)
    assert len((await world.backfill.ask_klines(question)).bars) == 2
    told[0] = msgspec.structs.replace(row, **wrong)
    with pytest.raises(VenueReadError):
        await world.backfill.ask_klines(question)


async def answer(told):
    return told[:2]


def row(number, ms):
    one = Decimal(1)
    return TradeRow(
        trade_id=number, price=one, quantity=one, quote_quantity=one, time_ms=ms,
        is_buyer_maker=False,
    )  # fmt: skip


async def test_trades_of_rest_with_impossible_times_are_given_up_and_the_series_goes_on():
    world = World(SYMBOLS[:1], ())
    day_ms = 86_400_000
    for off_ms in (day_ms, -day_ms):
        world.venue.trades = [row(1, NOW_MS - 5), row(2, NOW_MS - 4 + off_ms), row(3, NOW_MS)]
        found = await world.backfill.answer(AskTrades("S0USDT", 1, is_proof=off_ms > 0))
        assert [one.trade_id for one in found.prints] == [3]
        assert not found.reaches_back


async def test_while_the_newest_trade_of_rest_has_an_impossible_time_the_bar_is_held():
    world = World(SYMBOLS[:1], ())
    world.venue.trades = [row(1, NOW_MS - 5), row(2, NOW_MS + 86_400_000)]
    with pytest.raises(VenueReadError):
        await world.backfill.ask_trades(AskTrades("S0USDT", 1))
