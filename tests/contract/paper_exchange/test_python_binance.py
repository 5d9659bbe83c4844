"""Somebody else's client judges the venue: python-binance, unmodified but for its address."""

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal

import aiohttp
import pytest
import pytest_asyncio
from binance import AsyncClient
from binance.exceptions import BinanceAPIException


@pytest_asyncio.fixture
async def client(customer, running_venue) -> AsyncIterator[AsyncClient]:
    account = customer.account
    client = AsyncClient(account["api_key"], account["secret"])
    client.FUTURES_URL = f"{running_venue.url}/fapi"
    client.timestamp_offset = await customer.clock_offset_ms()
    yield client
    await client.close_connection()


async def test_account_balance_and_position_are_read(client):
    account = await client.futures_account()
    assert account["totalWalletBalance"] == "10000.00000000"
    (balance,) = await client.futures_account_balance()
    assert balance["availableBalance"] == "10000.00000000"
    assert await client.futures_position_information() == []


async def test_a_market_order_is_placed_filled_and_shows_everywhere(client):
    placed = await client.futures_create_order(
        symbol="ETHUSDT", side="BUY", type="MARKET", quantity="0.500", newOrderRespType="RESULT"
    )
    assert placed["status"] == "FILLED"
    found = await client.futures_get_order(symbol="ETHUSDT", orderId=placed["orderId"])
    trades = await client.futures_account_trades(symbol="ETHUSDT")
    assert sum(Decimal(trade["qty"]) for trade in trades) == Decimal("0.500")
    assert sum(Decimal(trade["quoteQty"]) for trade in trades) == Decimal(found["cumQuote"])
    (position,) = await client.futures_position_information(symbol="ETHUSDT")
    assert position["positionAmt"] == "0.500"
    (listed,) = await client.futures_get_all_orders(symbol="ETHUSDT")
    assert listed["clientOrderId"] == placed["clientOrderId"]
    rows = await client.futures_income_history(incomeType="COMMISSION")
    paid = sum(Decimal(trade["commission"]) for trade in trades)
    assert sum(Decimal(row["income"]) for row in rows) == -paid
    account = await client.futures_account()
    assert Decimal(account["totalWalletBalance"]) == 10_000 - paid


async def test_a_limit_order_rests_is_listed_and_is_canceled(client):
    book = await client.futures_orderbook_ticker(symbol="BTCUSDT")
    price = f"{int(Decimal(book['bidPrice'])) - 300}.10"
    placed = await client.futures_create_order(
        symbol="BTCUSDT",
        side="BUY",
        type="LIMIT",
        timeInForce="GTC",
        quantity="0.020",
        price=price,
        reduceOnly=False,
    )
    assert placed["status"] == "NEW"
    (listed,) = await client.futures_get_open_orders(symbol="BTCUSDT")
    assert (listed["orderId"], listed["price"]) == (placed["orderId"], price)
    one = await client.futures_get_open_orders()
    assert len(one) == 1
    name = placed["clientOrderId"]
    canceled = await client.futures_cancel_order(symbol="BTCUSDT", origClientOrderId=name)
    assert canceled["status"] == "CANCELED"
    assert await client.futures_get_open_orders(symbol="BTCUSDT") == []
    with pytest.raises(BinanceAPIException) as refused:
        await client.futures_cancel_order(symbol="BTCUSDT", orderId=placed["orderId"])
    assert (refused.value.code, refused.value.status_code) == (-2011, 400)
    await client.futures_cancel_all_open_orders(symbol="BTCUSDT")


async def test_settings_are_changed_and_no_change_is_told(client):
    changed = await client.futures_change_leverage(symbol="BTCUSDT", leverage=7)
    assert changed["leverage"] == 7
    await client.futures_change_margin_type(symbol="BTCUSDT", marginType="ISOLATED")
    with pytest.raises(BinanceAPIException) as refused:
        await client.futures_change_margin_type(symbol="BTCUSDT", marginType="ISOLATED")
    assert refused.value.code == -4046
    assert await client.futures_get_position_mode() == {"dualSidePosition": False}
    brackets = await client.futures_leverage_bracket(symbol="BTCUSDT")
    assert brackets[0]["brackets"][0]["initialLeverage"] == 125
    rate = await client.futures_commission_rate(symbol="BTCUSDT")
    assert rate["takerCommissionRate"] == "0.000500"


async def test_a_refused_order_raises_with_the_venues_code(client):
    with pytest.raises(BinanceAPIException) as refused:
        await client.futures_create_order(
            symbol="BTCUSDT", side="BUY", type="MARKET", quantity="100"
        )
    assert refused.value.code == -2019
    assert refused.value.message == "Margin is insufficient."


async def test_the_listen_key_is_kept_and_carries_the_events_of_an_order(client, running_venue):
    listen_key = await client.futures_stream_get_listen_key()
    assert await client.futures_stream_get_listen_key() == listen_key
    await client.futures_stream_keepalive(listenKey=listen_key)
    url = f"{running_venue.url}/private/ws?listenKey={listen_key}"
    url += "&events=ORDER_TRADE_UPDATE/ACCOUNT_UPDATE"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
        assert len((await socket.receive_json())["result"]) == 2
        placed = await client.futures_create_order(
            symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.010"
        )
        said = [json.loads((await socket.receive()).data) for _ in range(3)]
    assert [event["e"] for event in said] == [
        "ORDER_TRADE_UPDATE",
        "ACCOUNT_UPDATE",
        "ORDER_TRADE_UPDATE",
    ]
    assert (said[0]["o"]["x"], said[0]["o"]["i"]) == ("NEW", placed["orderId"])
    assert (said[2]["o"]["x"], said[2]["o"]["t"]) == ("TRADE", 1)
    await client.futures_stream_close(listenKey=listen_key)


async def seen_algo_order(client, client_algo_id):
    """Ask for a conditional order until the venue sees what it has taken in itself."""
    for _ in range(50):
        try:
            return await client.futures_get_algo_order(clientAlgoId=client_algo_id)
        except BinanceAPIException:
            await asyncio.sleep(0.1)
    raise AssertionError(f"{client_algo_id} is never seen")


@pytest_asyncio.fixture
async def set_algo_lag(customer):
    """Sets how long the venue does not show a young conditional order, in milliseconds."""

    async def set_lag(lag_ms):
        await customer.sim("POST", "/sim/conditions", {"algo_query_lag_ms": lag_ms})

    yield set_lag
    await set_lag(1_200)  # what it is where nobody says otherwise


async def test_conditional_orders_are_placed_listed_and_canceled(client, set_algo_lag):
    await client.futures_create_order(symbol="SOLUSDT", side="BUY", type="MARKET", quantity="1.00")
    await set_algo_lag(60_000)
    stop = await client.futures_create_order(
        symbol="SOLUSDT", side="SELL", type="STOP_MARKET", stopPrice="1.0000", closePosition=True
    )
    assert (stop["algoStatus"], stop["timeInForce"]) == ("NEW", "GTE_GTC")
    (listed,) = await client.futures_get_open_algo_orders(symbol="SOLUSDT")
    assert listed["algoId"] == stop["algoId"]
    assert Decimal(listed["triggerPrice"]) == 1
    with pytest.raises(BinanceAPIException) as unseen:
        await client.futures_get_algo_order(clientAlgoId=stop["clientAlgoId"])
    assert unseen.value.code == -2013  # its read path trails its writes
    await set_algo_lag(0)
    assert (await seen_algo_order(client, stop["clientAlgoId"]))["actualOrderId"] == ""
    assert await client.futures_get_open_orders(symbol="SOLUSDT") == []
    with pytest.raises(BinanceAPIException) as refused:
        await client.futures_create_order(
            symbol="SOLUSDT", side="SELL", type="STOP_MARKET", stopPrice="2.0000",
            closePosition=True,
        )  # fmt: skip
    assert refused.value.code == -4130
    gone = await client.futures_cancel_algo_order(algoId=stop["algoId"])
    assert gone["code"] == "200"
    await client.futures_cancel_all_algo_open_orders(symbol="SOLUSDT")
    (known,) = await client.futures_get_all_algo_orders(symbol="SOLUSDT")
    assert known["algoStatus"] == "CANCELED"


async def test_the_market_triggers_one_of_a_pair_and_its_sibling_expires(client):
    await client.futures_create_order(symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.010")
    pair = []
    for kind, factor in (("STOP_MARKET", "0.9999"), ("TAKE_PROFIT_MARKET", "1.0001")):
        book = await client.futures_orderbook_ticker(symbol="BTCUSDT")
        price = (Decimal(book["bidPrice"]) * Decimal(factor)).quantize(Decimal("0.1"))
        try:
            placed = await client.futures_create_order(
                symbol="BTCUSDT", side="SELL", type=kind, stopPrice=str(price), closePosition=True
            )
        except BinanceAPIException as refusal:
            pytest.skip(f"the market was faster: {refusal}")
        pair.append(placed["algoId"])
    statuses: set[str] = set()
    for _ in range(100):
        rows = await client.futures_get_all_algo_orders(symbol="BTCUSDT")
        statuses = {row["algoStatus"] for row in rows if row["algoId"] in pair}
        if "NEW" not in statuses:
            break
        await asyncio.sleep(0.2)
    assert statuses == {"FINISHED", "EXPIRED"}
    assert await client.futures_position_information(symbol="BTCUSDT") == []


async def test_a_limit_order_is_modified(client):
    placed = await client.futures_create_order(
        symbol="ETHUSDT", side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.100",
        price="1000.00",
    )  # fmt: skip
    modified = await client.futures_modify_order(
        symbol="ETHUSDT", orderId=placed["orderId"], side="BUY", quantity="0.100",
        price="1001.00", modifyId=7,
    )  # fmt: skip
    assert (modified["price"], modified["modifyId"]) == ("1001.00", 7)
    await client.futures_cancel_all_open_orders(symbol="ETHUSDT")


async def test_orders_are_tested_and_placed_and_canceled_in_batches(client):
    order = {
        "symbol": "ETHUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.100",
        "price": "1000.00",
    }
    tested = await client.futures_create_test_order(**order)
    assert (tested["price"], tested["avgPrice"]) == ("1000.00", "0.00")
    placed = await client.futures_place_batch_order(
        batchOrders=[dict(order), {**order, "quantity": "0"}]
    )
    assert (placed[0]["status"], placed[1]["code"]) == ("NEW", -4003)
    canceled = await client.futures_cancel_orders(
        symbol="ETHUSDT", orderidlist=[placed[0]["orderId"], 1]
    )
    assert (canceled[0]["status"], canceled[1]["code"]) == ("CANCELED", -2011)
