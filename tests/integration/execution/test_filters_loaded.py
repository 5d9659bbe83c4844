"""What execution makes of an exchangeInfo in which one of its symbols is spoiled."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from libs.common.runtime.bus import Bus
from tests.integration.execution.desks import Replica, running_venue

FILTERS: list[dict[str, Any]] = [
    {"filterType": "PRICE_FILTER", "tickSize": "0.50", "minPrice": "1", "maxPrice": "99999999"},
    {"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.001", "maxQty": "900"},
    {"filterType": "MIN_NOTIONAL", "notional": "5"},
]
ZERO_TICK = [{**FILTERS[0], "tickSize": "0"}, *FILTERS[1:]]


@pytest.fixture
async def replica(bus: Bus) -> AsyncIterator[Replica]:
    async with running_venue() as venue:
        replica = Replica(bus, venue)
        await replica.get_ready()
        yield replica
        await replica.close()


def tell(replica: Replica, **filters: Any) -> None:
    """The venue lists these symbols with these filters, behind a stranger with no tick at all."""
    rules = {"status": "TRADING", "pricePrecision": 2, "quantityPrecision": 3}
    entries = [{"symbol": "币安人生USDT", **rules, "filters": ZERO_TICK}]
    others = dict.fromkeys(replica.gate.state.instruments, FILTERS)
    told = {**others, **filters}
    entries += [{"symbol": symbol, **rules, "filters": one} for symbol, one in told.items()]
    replica.venue.answers["exchangeInfo"] = (200, {"symbols": entries})


def is_armed(replica: Replica) -> bool:
    return not any(why.startswith("filters") for why in replica.arming.unarmed)


async def test_a_symbol_with_tick_zero_leaves_the_other_one_trading(replica: Replica) -> None:
    replica.arming.failed("filters", "as at the start")
    tell(replica, ETHUSDT=ZERO_TICK)
    await replica.figures.load_filters()
    assert is_armed(replica)
    state = replica.gate.state
    assert state.instruments["BTCUSDT"].price_tick == Decimal("0.50")
    assert not state.instruments["ETHUSDT"].is_trading
    assert state.instruments_at_ns == replica.now_ns


async def test_without_one_sound_symbol_nothing_is_armed(replica: Replica) -> None:
    tell(replica, **dict.fromkeys(replica.gate.state.instruments, ZERO_TICK))
    await replica.figures.load_filters()
    assert not is_armed(replica)
    assert not any(one.is_trading for one in replica.gate.state.instruments.values())


async def test_while_a_symbol_does_not_trade_its_word_is_asked_for_sooner(
    replica: Replica,
) -> None:
    tell(replica, ETHUSDT=ZERO_TICK)
    await replica.figures.load_filters()
    tell(replica)
    replica.at(61)
    await replica.figures.refresh_filters_if_old()
    assert all(one.is_trading for one in replica.gate.state.instruments.values())
    replica.at(200)
    await replica.figures.refresh_filters_if_old()
    assert replica.venue.paths().count("exchangeInfo") == 2
