"""The endpoints of accounts: balances, positions, settings, user streams."""

from __future__ import annotations

from typing import Final

from services.paper_exchange.money import (
    account_reports,
    account_settings,
    commission,
    configuration_reports,
    position_margin,
    position_reports,
    risk_reports,
)
from services.paper_exchange.money.income import list_income
from services.paper_exchange.state.endpoint import Endpoint, Endpoints
from services.paper_exchange.wire.authentication import Security

_READ, _TRADE, _KEY = Security.USER_DATA, Security.TRADE, Security.KEY

MONEY: Final[Endpoints] = {
    ("POST", "/fapi/v1/countdownCancelAll"): Endpoint(account_settings.set_countdown, _TRADE, 10),
    ("GET", "/fapi/v2/account"): Endpoint(account_reports.account_v2, _READ, 5),
    ("GET", "/fapi/v3/account"): Endpoint(account_reports.account_v3, _READ, 5),
    ("GET", "/fapi/v2/balance"): Endpoint(account_reports.balances, _READ, 5),
    ("GET", "/fapi/v3/balance"): Endpoint(account_reports.balances, _READ, 5),
    ("GET", "/fapi/v2/positionRisk"): Endpoint(position_reports.position_risk_v2, _READ, 5),
    ("GET", "/fapi/v3/positionRisk"): Endpoint(position_reports.position_risk_v3, _READ, 5),
    ("GET", "/fapi/v1/accountConfig"): Endpoint(configuration_reports.account_config, _READ, 5),
    ("GET", "/fapi/v1/symbolConfig"): Endpoint(configuration_reports.symbol_config, _READ, 5),
    ("GET", "/fapi/v1/leverageBracket"): Endpoint(
        configuration_reports.leverage_brackets, _READ, 1
    ),
    ("GET", "/fapi/v1/commissionRate"): Endpoint(commission.commission_rate, _READ, 20),
    ("GET", "/fapi/v1/feeBurn"): Endpoint(commission.fee_burn, _READ, 30),
    ("POST", "/fapi/v1/feeBurn"): Endpoint(commission.change_fee_burn, _TRADE, 1),
    ("GET", "/fapi/v1/income"): Endpoint(list_income, _READ, 30),
    ("GET", "/fapi/v1/forceOrders"): Endpoint(risk_reports.force_orders, _READ, 20, 50),
    ("GET", "/fapi/v1/adlQuantile"): Endpoint(risk_reports.adl_quantiles, _READ, 5),
    ("GET", "/fapi/v1/apiTradingStatus"): Endpoint(risk_reports.trading_status, _READ, 1, 10),
    ("GET", "/fapi/v1/rateLimit/order"): Endpoint(
        configuration_reports.order_rate_limits, _READ, 1
    ),
    ("POST", "/fapi/v1/leverage"): Endpoint(account_settings.change_leverage, _TRADE, 1),
    ("POST", "/fapi/v1/marginType"): Endpoint(account_settings.change_margin_type, _TRADE, 1),
    ("POST", "/fapi/v1/positionMargin"): Endpoint(
        position_margin.change_position_margin, _TRADE, 1
    ),
    ("GET", "/fapi/v1/positionMargin/history"): Endpoint(
        position_margin.position_margin_history, _TRADE, 1
    ),
    ("GET", "/fapi/v1/positionSide/dual"): Endpoint(account_settings.position_mode, _READ, 30),
    ("POST", "/fapi/v1/positionSide/dual"): Endpoint(
        account_settings.change_position_mode, _TRADE, 1
    ),
    ("GET", "/fapi/v1/multiAssetsMargin"): Endpoint(account_settings.multi_assets_mode, _READ, 30),
    ("POST", "/fapi/v1/multiAssetsMargin"): Endpoint(
        account_settings.change_multi_assets_mode, _TRADE, 1
    ),
    ("POST", "/fapi/v1/listenKey"): Endpoint(account_settings.start_user_stream, _KEY, 1),
    ("PUT", "/fapi/v1/listenKey"): Endpoint(account_settings.extend_user_stream, _KEY, 1),
    ("DELETE", "/fapi/v1/listenKey"): Endpoint(account_settings.close_user_stream, _KEY, 1),
}
