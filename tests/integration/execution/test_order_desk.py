"""What the order desk believes of a venue that answers oddly: real broker, scripted answers."""

import random
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import stamina._core
from aiohttp import web

from libs.common.messages.audit_events import (
    ApiErrorReported,
    PositionsObserved,
    ReadRecovered,
    ReadRetried,
    VenueUsageObserved,
)
from libs.common.messages.journal import (
    FillReceived,
    JournalEvent,
    LeverageAsserted,
    OrderRecorded,
    OrderUpdated,
)
from libs.common.model.order import OrderStatus, Side
from libs.common.runtime.bus import Bus
from libs.common.runtime.clock import PaperClock
from libs.common.runtime.config import CommonConfig
from libs.common.runtime.journal import Journal
from libs.common.runtime.secret import Secret
from libs.common.runtime.service import Context
from libs.common.runtime.venue_client import VenueClient, VenueReadError
from libs.common.testing.builders import APPROVAL_KEY, NOW_NS, S, an_intent, an_order
from services.execution.config import ExecutionConfig
from services.execution.core import Decision
from services.execution.shell import Execution

NOW_MS = NOW_NS // 1_000_000
LAG_MS = 3_000
TORN = (503, {"code": -1001, "msg": "Internal error; unable to process your request."})
BALANCE = {
    "asset": "USDT",
    "balance": "10",
    "availableBalance": "9",
    "crossWalletBalance": "10",
    "crossUnPnl": "0",
}
GONE = (400, {"code": -2013, "msg": "Order does not exist."})


class Venue:
    """Answers each path with what it was told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any] | list[tuple[int, Any]]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []

    async def answer(self, request: web.Request) -> web.Response:
        path = request.path.rpartition("/")[2]
        self.asked.append((path, dict(request.query)))
        key = f"{path} {request.query.get('symbol', '')}"
        told = self.answers.get(key) or self.answers.get(path) or (200, [])
        status, body = told.pop(0) if isinstance(told, list) else told
        return web.json_response(body, status=status)

    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]


class Desk:
    """A gate with its desk, at a time that only the test moves."""

    def __init__(self, bus: Bus, url: str, venue: Venue) -> None:
        self.bus, self.venue = bus, venue
        self.clock = PaperClock(lambda: 0)
        self.at(0)
        self.client = VenueClient(
            url, self.clock.now_ns, api_key="a" * 64, api_secret=Secret("b" * 64)
        )
        context = Context("execution", CommonConfig(), ExecutionConfig(), "hash", bus, self.clock)
        execution = Execution(context, self.client, APPROVAL_KEY, dice=random.Random(1))
        self.gate, self.desk = execution._gate, execution._desk
        self.upkeep, self.reports = execution._upkeep, execution._reports
        self.figures, self.gaps = execution._figures, execution._gaps

    def at(self, seconds: int) -> None:
        self.clock.grant(NOW_NS + seconds * S, Decimal(1), None)

    async def journal(self, *events: JournalEvent) -> None:
        await self.gate.transact(
            lambda: Decision(events=events), causation_id="test", correlation_id="test"
        )

    async def leave_in_doubt(self, symbol: str = "BTCUSDT") -> str:
        """An order that an earlier life recorded, and nobody knows more."""
        intent = an_intent(symbol=symbol)
        recorded = OrderRecorded(
            client_order_id=f"pc-{symbol}",
            attempt=1,
            intent=intent,
            order=an_order(intent),
            reference_price=Decimal(60_000),
            margin_reserved=Decimal(150),
            timestamp_ms=NOW_MS,
            recv_window_ms=5_000,
            lock_until_ns=NOW_NS + 30 * S,
            verdicts_risk=(),
            verdicts=(),
            writer=self.gate.writer,
        )
        await self.journal(recorded)
        await self.desk.doubt_orphans()
        assert self.status(recorded.client_order_id) is OrderStatus.UNKNOWN
        return recorded.client_order_id

    async def journaled(self, kind: type[JournalEvent]) -> list[Any]:
        """What upkeep's reports and everything else put into the journal, of one kind."""
        await self.reports.flush(self.gate)
        reader = Journal(self.bus, "paper", "reader")
        return [
            event
            async for record in reader.read_tail()
            for event in record.events
            if isinstance(event, kind)
        ]

    def status(self, client_order_id: str) -> OrderStatus:
        return self.gate.state.orders[client_order_id].status


@pytest.fixture
async def desk(bus: Bus) -> AsyncIterator[Desk]:
    venue, app = Venue(), web.Application()
    app.router.add_route("*", "/{rest:.*}", venue.answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    desk = Desk(bus, f"http://127.0.0.1:{runner.addresses[0][1]}", venue)
    yield desk
    await desk.client.close_connection()
    await runner.cleanup()


def an_answer(client_order_id: str, status: str, symbol: str = "BTCUSDT") -> dict[str, object]:
    return {
        "orderId": 7,
        "symbol": symbol,
        "status": status,
        "clientOrderId": client_order_id,
        "price": "0",
        "origQty": "0.020",
        "executedQty": "0.020",
        "type": "MARKET",
        "side": "BUY",
        "updateTime": NOW_MS,
    }


async def test_absence_is_judged_by_the_venue_s_clock_and_not_by_ours(desk: Desk) -> None:
    order = await desk.leave_in_doubt()
    desk.venue.answers = {"order": GONE, "time": (200, {"serverTime": NOW_MS + 4_000})}
    desk.at(3600)  # our clock jumped
    await desk.desk.resolve_unknown()
    assert desk.status(order) is OrderStatus.UNKNOWN
    assert "allOrders" not in desk.venue.paths()
    desk.venue.answers["time"] = (200, {"serverTime": NOW_MS + 8_001})
    await desk.desk.resolve_unknown()
    assert desk.status(order) is OrderStatus.NOT_PLACED


async def test_a_status_never_heard_of_leaves_the_order_in_doubt(desk: Desk) -> None:
    order = await desk.leave_in_doubt()
    desk.venue.answers = {"order": (200, an_answer(order, "NEW_ADL"))}
    await desk.desk.resolve_unknown()
    await desk.desk.settle_open()
    assert desk.status(order) is OrderStatus.UNKNOWN


async def test_one_order_the_venue_will_not_speak_of_does_not_hide_the_others(desk: Desk) -> None:
    dark = await desk.leave_in_doubt("AAAUSDT")
    clear = await desk.leave_in_doubt("BTCUSDT")
    desk.venue.answers = {
        "order AAAUSDT": (400, {"code": -1121, "msg": "Invalid symbol."}),
        "order BTCUSDT": (200, an_answer(clear, "FILLED")),
    }
    with pytest.raises(VenueReadError, match="-1121"):
        await desk.desk.resolve_unknown()
    assert (desk.status(dark), desk.status(clear)) == (OrderStatus.UNKNOWN, OrderStatus.FILLED)


async def test_a_step_that_fails_does_not_keep_the_balance_from_being_read(desk: Desk) -> None:
    await desk.leave_in_doubt("AAAUSDT")
    desk.venue.answers = {
        "order": (400, {"code": -1121, "msg": "Invalid symbol."}),
        "balance": (200, [BALANCE]),
    }
    await desk.upkeep.tick()
    assert desk.gate.state.available_balance == Decimal(9)


async def test_while_the_venue_bans_us_it_is_asked_nothing(desk: Desk) -> None:
    await desk.leave_in_doubt()
    until_ms = NOW_MS + 60_000
    banned = (418, {"code": -1003, "msg": f"Way too many requests; banned until {until_ms}."})
    desk.venue.answers = {"order": banned}
    for second in range(0, 60, 2):
        desk.at(second)
        await desk.upkeep.tick()
    assert desk.venue.paths() == ["order"]
    desk.at(61)
    await desk.upkeep.tick()
    assert len(desk.venue.asked) > 1


async def test_a_missing_fill_is_looked_for_at_the_order_s_own_time(desk: Desk) -> None:
    order = await desk.leave_in_doubt()
    filled = OrderUpdated(
        client_order_id=order,
        venue_order_id=7,
        status=OrderStatus.FILLED,
        cumulative_quantity=Decimal("0.020"),
    )
    fill = FillReceived(
        symbol="BTCUSDT",
        trade_id=1,
        client_order_id="by hand",
        venue_order_id=8,
        side=Side.BUY,
        quantity=Decimal(1),
        price=Decimal(1),
        commission=Decimal(0),
        commission_asset="USDT",
        venue_realized_pnl=Decimal(0),
        is_maker=False,
        ts_trade_ns=NOW_NS,
    )
    later = [msgspec.structs.replace(fill, trade_id=number) for number in range(100, 400)]
    await desk.journal(filled, *later)
    await desk.desk.fetch_missing_fills(NOW_NS + S)
    ((path, query),) = desk.venue.asked
    assert path == "userTrades"
    assert int(query["startTime"]) <= NOW_MS
    assert "fromId" not in query


@pytest.fixture
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries come at once."""

    async def at_once(_: float) -> None:
        return

    monkeypatch.setattr(stamina._core, "_smart_sleep", at_once)


@pytest.mark.usefixtures("no_waits")
async def test_every_attempt_of_a_read_that_is_tried_again_is_journaled(desk: Desk) -> None:
    desk.venue.answers = {"balance": [TORN, TORN, (200, [BALANCE])]}
    await desk.figures.refresh_balance()
    assert desk.gate.state.available_balance == Decimal(9)
    retries = await desk.journaled(ReadRetried)
    assert [event.attempt for event in retries] == [1, 2]
    assert all("-1001" in event.why for event in retries)
    (end,) = await desk.journaled(ReadRecovered)
    assert (end.attempts, end.succeeded) == (3, True)
    assert len(await desk.journaled(ApiErrorReported)) == 2


@pytest.mark.usefixtures("no_waits")
async def test_a_read_that_never_succeeds_ends_after_three_retries_and_says_so(desk: Desk) -> None:
    desk.venue.answers = {"positionRisk": TORN}
    with pytest.raises(VenueReadError, match="-1001"):
        await desk.figures.observe_positions_if_old()
    assert desk.venue.paths() == ["positionRisk"] * 4
    (end,) = await desk.journaled(ReadRecovered)
    assert (end.attempts, end.succeeded) == (4, False)


@pytest.mark.usefixtures("no_waits")
async def test_what_an_order_waits_for_is_asked_once(desk: Desk) -> None:
    desk.venue.answers = {"balance": TORN}
    await desk.figures.refresh_balance_if_urgent()
    assert desk.venue.paths() == ["balance"]
    assert await desk.journaled(ReadRetried) == []


async def test_the_use_of_the_venue_s_limits_is_journaled_once_a_minute(desk: Desk) -> None:
    desk.venue.answers = {"balance": (200, [BALANCE])}
    for second in range(0, 130, 10):
        desk.at(second)
        await desk.figures.refresh_balance()
        await desk.reports.flush(desk.gate)
    observed = await desk.journaled(VenueUsageObserved)
    assert [event.at_ns - NOW_NS for event in observed] == [0, 60 * S, 120 * S]
    assert all(event.weight_peak >= 5 for event in observed)
    assert {event.weight_limit for event in observed} == {2_400}
    desk.at(300)
    await desk.reports.flush(desk.gate)
    desk.at(400)
    assert len(await desk.journaled(VenueUsageObserved)) == 4  # then nothing was used


async def test_positions_are_journaled_now_and_then(desk: Desk) -> None:
    a_position = {
        "symbol": "BTCUSDT", "positionAmt": "0.5", "entryPrice": "1", "markPrice": "1",
        "unRealizedProfit": "0",
    }  # fmt: skip
    flat = {**a_position, "symbol": "ETHUSDT", "positionAmt": "0"}
    desk.venue.answers = {"positionRisk": (200, [a_position, flat])}
    for second in (0, 10, 901):
        desk.at(second)
        await desk.figures.observe_positions_if_old()
    observed = await desk.journaled(PositionsObserved)
    assert len(observed) == 2
    assert [(one.symbol, one.quantity) for one in observed[0].positions] == [
        ("BTCUSDT", Decimal("0.5"))
    ]


async def test_leverage_and_margin_type_are_journaled_by_every_life_that_asserts_them(
    desk: Desk,
) -> None:
    desk.venue.answers = {
        "marginType": (400, {"code": -4046, "msg": "No need to change margin type."}),
        "leverage": (200, {"symbol": "BTCUSDT", "leverage": 10, "maxNotionalValue": "1"}),
    }
    for _ in range(2):
        await desk.figures.assert_settings()
    symbols = len(CommonConfig().symbols)
    asserted = await desk.journaled(LeverageAsserted)
    assert [(event.leverage, event.margin_type) for event in asserted] == (
        [(10, "CROSSED")] * symbols
    )
