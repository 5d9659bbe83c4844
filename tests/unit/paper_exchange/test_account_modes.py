"""Position mode and asset mode: when they change, and what stands in the way."""

DUAL = "/fapi/v1/positionSide/dual"
MULTI = "/fapi/v1/multiAssetsMargin"


def hedge(venue, value="true"):
    return venue.call("POST", DUAL, dualSidePosition=value)


def multi_assets(venue, value="true"):
    return venue.call("POST", MULTI, multiAssetsMargin=value)


def margin_type(venue, value):
    return venue.call("POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType=value)


def test_the_position_mode_is_what_was_set(venue):
    assert venue.get(DUAL) == {"dualSidePosition": False}
    assert hedge(venue, "false").code == -4059
    assert hedge(venue).body == {"code": 200, "msg": "success"}
    assert hedge(venue).code == -4059
    assert venue.get(DUAL) == {"dualSidePosition": True}
    assert venue.get("/fapi/v1/accountConfig")["dualSidePosition"] is True
    assert hedge(venue, "false").status == 200


def test_open_orders_and_positions_of_any_symbol_bind_to_the_position_mode(venue):
    venue.order("BUY", "0.010", "49000")
    assert hedge(venue).code == -4067
    venue.call("DELETE", "/fapi/v1/allOpenOrders", symbol="BTCUSDT")
    venue.call(
        "POST", "/fapi/v1/algoOrder", algoType="CONDITIONAL", symbol="BTCUSDT", side="SELL",
        type="STOP_MARKET", triggerPrice="49000", quantity="0.010",
    )  # fmt: skip
    assert hedge(venue).code == -4067
    venue.call("DELETE", "/fapi/v1/algoOpenOrders", symbol="BTCUSDT")
    venue.order("BUY", "0.100", symbol="ETHUSDT")
    assert hedge(venue).code == -4068
    venue.order("SELL", "0.100", symbol="ETHUSDT")
    assert hedge(venue).status == 200


def test_the_asset_mode_is_what_was_set_and_is_told(venue):
    venue.call("POST", "/fapi/v1/listenKey")
    assert venue.get(MULTI) == {"multiAssetsMargin": False}
    assert multi_assets(venue, "false").code == -4171
    assert multi_assets(venue).body == {"code": 200, "msg": "success"}
    assert venue.get(MULTI) == {"multiAssetsMargin": True}
    assert venue.get("/fapi/v1/accountConfig")["multiAssetsMargin"] is True
    assert venue.get("/fapi/v2/account")["multiAssetsMargin"] is True
    (event,) = venue.events()
    assert (event["e"], event["ai"]) == ("ACCOUNT_CONFIG_UPDATE", {"j": True})


def test_multi_assets_mode_and_isolated_margin_exclude_each_other(venue):
    assert margin_type(venue, "ISOLATED").status == 200
    assert multi_assets(venue).code == -4167
    assert margin_type(venue, "CROSSED").status == 200
    assert multi_assets(venue).status == 200
    assert margin_type(venue, "ISOLATED").code == -4168


def test_the_asset_mode_does_not_change_under_open_orders(venue):
    venue.order("BUY", "0.010", "49000")
    assert multi_assets(venue).code == -4170
