"""Isolated margin and hedge mode as a client sees them: keys, order and types of every answer."""


async def order(customer, **change):
    parameters = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.100"}
    found = await customer.call("POST", "/fapi/v1/order", body=True, **(parameters | change))
    assert found.status == 200, found
    return found.body


async def isolate(customer):
    found = await customer.call(
        "POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType="ISOLATED"
    )
    assert found.status == 200


async def test_a_change_of_position_margin_answers_with_numbers_and_is_listed(customer):
    await isolate(customer)
    await order(customer)
    found = await customer.call(
        "POST", "/fapi/v1/positionMargin", body=True, symbol="BTCUSDT", amount="12.5", type=1
    )
    assert list(found.body.items()) == [
        ("amount", 12.5),
        ("code", 200),
        ("msg", "Successfully modify position margin."),
        ("type", 1),
    ]
    listed = await customer.call("GET", "/fapi/v1/positionMargin/history", symbol="BTCUSDT")
    (row,) = listed.body
    assert list(row) == [
        "symbol", "type", "deltaType", "amount", "asset", "time", "positionSide",
    ]  # fmt: skip
    assert (row["amount"], row["type"], row["positionSide"]) == ("12.50000000", 1, "BOTH")


async def test_an_isolated_position_shows_its_wallet_as_text_everywhere(customer):
    await isolate(customer)
    await order(customer)
    (risk,) = (await customer.call("GET", "/fapi/v2/positionRisk", symbol="BTCUSDT")).body
    (newer,) = (await customer.call("GET", "/fapi/v3/positionRisk", symbol="BTCUSDT")).body
    account = (await customer.call("GET", "/fapi/v2/account")).body
    (listed,) = [row for row in account["positions"] if row["symbol"] == "BTCUSDT"]
    assert (risk["marginType"], risk["isolated"], listed["isolated"]) == ("isolated", True, True)
    assert risk["isolatedWallet"] == newer["isolatedWallet"] == listed["isolatedWallet"]
    assert float(risk["isolatedWallet"]) > 0 < float(newer["isolatedMargin"])
    assert account["totalCrossUnPnl"] == "0.00000000"
    cross, whole = account["totalCrossWalletBalance"], account["totalWalletBalance"]
    assert float(cross) < float(whole)


async def test_hedge_mode_names_sides_in_orders_positions_and_fills(customer):
    changed = await customer.call("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")
    assert changed.body == {"code": 200, "msg": "success"}
    placed = await order(customer, positionSide="LONG")
    assert placed["positionSide"] == "LONG"
    await order(customer, side="SELL", positionSide="SHORT", quantity="0.050")
    rows = (await customer.call("GET", "/fapi/v2/positionRisk", symbol="BTCUSDT")).body
    assert [(row["positionSide"], row["positionAmt"]) for row in rows] == [
        ("BOTH", "0.000"),
        ("LONG", "0.100"),
        ("SHORT", "-0.050"),
    ]
    fills = (await customer.call("GET", "/fapi/v1/userTrades", symbol="BTCUSDT")).body
    assert {row["positionSide"] for row in fills} == {"LONG", "SHORT"}
    refused = await customer.call("POST", "/fapi/v1/positionSide/dual", dualSidePosition="false")
    assert refused.body == {
        "code": -4068,
        "msg": "Position side cannot be changed if there exists position.",
    }
