"""What we ask of the venue, named for what it does.

Calls that change something return an Outcome, because there the difference between rejected and
unknown is money. Reads return parsed payloads and raise VenueReadError with the Outcome otherwise;
`libs.common.runtime.retry_read` may wrap them, and nothing else.
"""

import re

from libs.common.runtime.secret import Secret
from libs.common.runtime.venue_http import Look
from libs.common.runtime.venue_reader import VenueReadError, parse_answer
from libs.common.runtime.venue_settings import VenueSettings
from libs.common.runtime.venue_transport import RequestParameters
from libs.common.venue.market_payloads import (
    AggTradeRow,
    BookTickerRow,
    DepthSnapshot,
    KlineRow,
    PremiumIndex,
    TradeRow,
)
from libs.common.venue.outcomes import Outcome, Unknown
from libs.common.venue.payloads import (
    Account,
    AssetBalance,
    ExchangeInfo,
    Income,
    ListenKey,
    PositionRisk,
    UserTrade,
    VenueAlgoOrder,
    VenueOrder,
)
from libs.common.venue.signing import ParameterValue

__all__ = ["CLIENT_ORDER_ID", "VenueClient", "VenueReadError"]

CLIENT_ORDER_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
"""The venue's rule for newClientOrderId and clientAlgoId."""


class VenueClient(VenueSettings):
    """Binance USD-M Futures over REST. See VenueTransport for construction."""

    # -- calls that change something: one request, never retried ---------------------------------

    async def place_order(
        self,
        parameters: RequestParameters,
        *,
        timestamp_ms: int,
        recv_window_ms: int | None = None,
        timeout_ms: int | None = None,
        last_look: Look | None = None,
    ) -> Outcome:
        """POST order with the venue's own parameter names; `newClientOrderId` is required.

        `timestamp_ms` is the caller's, so that what is journaled is what is signed. `last_look` is
        asked in the moment before the bytes leave: what it says keeps them here (NOT_SENT). Raises
        ValueError for a missing or unfit client order id: nothing is sent then.
        """
        data = self._placed("newClientOrderId", parameters, timestamp_ms, recv_window_ms)
        return await self._call("post", "order", data, timeout_ms=timeout_ms, last_look=last_look)

    async def place_algo_order(
        self, parameters: RequestParameters, *, timestamp_ms: int, recv_window_ms: int | None = None
    ) -> Outcome:
        """POST algoOrder (conditional orders); like `place_order`, with `clientAlgoId`."""
        data = self._placed("clientAlgoId", parameters, timestamp_ms, recv_window_ms)
        return await self._call("post", "algoOrder", data | {"algoType": "CONDITIONAL"})

    def _placed(
        self,
        id_name: str,
        parameters: RequestParameters,
        timestamp_ms: int,
        recv_window_ms: int | None,
    ) -> dict[str, ParameterValue | None]:
        client_id = parameters.get(id_name)
        if not isinstance(client_id, str) or not CLIENT_ORDER_ID.fullmatch(client_id):
            raise ValueError(f"{id_name} must be 1 to 36 characters of [.A-Z:/a-z0-9_-]")
        data: dict[str, ParameterValue | None] = dict(parameters)
        data["recvWindow"] = recv_window_ms or self.limits.recv_window_ms
        data["timestamp"] = timestamp_ms
        return data

    async def modify_order(
        self, parameters: RequestParameters, *, timestamp_ms: int | None = None
    ) -> Outcome:
        """PUT order: symbol, side, `origClientOrderId`, and both the new quantity and price.

        Limit orders only. The same values (-5027) are Accepted without a body that names an order.
        """
        stamp = timestamp_ms or self.timestamp_ms()
        return await self._call("put", "order", {**parameters, "timestamp": stamp})

    async def cancel_order(
        self, symbol: str, client_order_id: str, *, timestamp_ms: int | None = None
    ) -> Outcome:
        """DELETE order. Rejected(NOT_FOUND) (-2011) means: not open now.

        It may be filled, canceled, expired or never have come; only a query tells which. -2011 is
        therefore neither a failure to get out nor a proof that nothing was executed.
        """
        stamp = timestamp_ms or self.timestamp_ms()
        data: RequestParameters = {
            "symbol": symbol,
            "origClientOrderId": client_order_id,
            "timestamp": stamp,
        }
        return await self._call("delete", "order", data)

    async def cancel_open_orders(self, symbol: str) -> Outcome:
        """DELETE allOpenOrders of one symbol. Algo orders are not touched by it."""
        return await self._call("delete", "allOpenOrders", {"symbol": symbol})

    async def cancel_algo_order(self, client_algo_id: str) -> Outcome:
        """DELETE algoOrder. Rejected(NOT_FOUND) means: it does not wait any more, or not yet."""
        return await self._call("delete", "algoOrder", {"clientAlgoId": client_algo_id})

    async def cancel_open_algo_orders(self, symbol: str) -> Outcome:
        """DELETE algoOpenOrders of one symbol. Regular orders are not touched by it."""
        return await self._call("delete", "algoOpenOrders", {"symbol": symbol})

    # -- reads of the account --------------------------------------------------------------------

    async def query_order(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        """GET order by our id; None when the venue says that it does not exist (-2013).

        None proves absence only after timestamp + recvWindow of the attempt has passed.
        """
        data = {"symbol": symbol, "origClientOrderId": client_order_id}
        return await self._find("order", VenueOrder, data)

    async def query_order_of(self, symbol: str, venue_order_id: int) -> VenueOrder | None:
        """GET order by the venue's id, whoever placed it; None as for `query_order`."""
        return await self._find("order", VenueOrder, {"symbol": symbol, "orderId": venue_order_id})

    async def open_orders(self, symbol: str | None = None) -> list[VenueOrder]:
        """GET openOrders; all symbols cost 40 times the weight. Algo orders are not listed."""
        return await self._read("openOrders", list[VenueOrder], {"symbol": symbol}, signed=True)

    async def all_orders(
        self,
        symbol: str,
        *,
        from_order_id: int | None = None,
        start_ms: int | None = None,
        limit: int | None = None,
    ) -> list[VenueOrder]:
        """GET allOrders of a symbol, oldest first, at most 1000 (500 unless asked otherwise).

        The next page starts at the last order id plus one. Unfilled canceled orders vanish after
        3 days.
        """
        data = {
            "symbol": symbol,
            "orderId": from_order_id,
            "startTime": start_ms,
            "limit": limit,
        }
        return await self._read("allOrders", list[VenueOrder], data, signed=True)

    async def query_algo_order(self, client_algo_id: str) -> VenueAlgoOrder | None:
        """GET algoOrder by our id; None when the venue says that it does not exist (-2013).

        It trails the venue's own writes: for seconds a fresh one is not found, and a canceled one
        still waits. `open_algo_orders` does not lag that way.
        """
        return await self._find("algoOrder", VenueAlgoOrder, {"clientAlgoId": client_algo_id})

    async def open_algo_orders(self, symbol: str | None = None) -> list[VenueAlgoOrder]:
        """GET openAlgoOrders: what waits for its price; all symbols cost 40 times the weight."""
        data = {"symbol": symbol}
        return await self._read("openAlgoOrders", list[VenueAlgoOrder], data, signed=True)

    async def all_algo_orders(
        self, symbol: str, *, start_ms: int | None = None, limit: int | None = None
    ) -> list[VenueAlgoOrder]:
        """GET allAlgoOrders of a symbol."""
        data = {"symbol": symbol, "startTime": start_ms, "limit": limit}
        return await self._read("allAlgoOrders", list[VenueAlgoOrder], data, signed=True)

    async def user_trades(
        self,
        symbol: str,
        *,
        from_id: int | None = None,
        start_ms: int | None = None,
        limit: int = 1_000,
    ) -> list[UserTrade]:
        """GET userTrades, from a trade id or from a time (at most 7 days), never both."""
        data = {"symbol": symbol, "fromId": from_id, "startTime": start_ms, "limit": limit}
        return await self._read("userTrades", list[UserTrade], data, signed=True)

    async def balance(self) -> list[AssetBalance]:
        """GET v3 balance."""
        return await self._read("balance", list[AssetBalance], signed=True, version=3)

    async def account(self, *, version: int = 3) -> Account:
        """GET account; version 2 also tells the permissions, at 280 KB an answer."""
        return await self._read("account", Account, signed=True, version=version)

    async def position_risk(
        self, symbol: str | None = None, *, version: int = 3
    ) -> list[PositionRisk]:
        """GET positionRisk; version 3 lists only symbols in use, version 2 tells leverage."""
        data = {"symbol": symbol}
        return await self._read(
            "positionRisk", list[PositionRisk], data, signed=True, version=version
        )

    async def income(
        self,
        *,
        income_type: str | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 1_000,
    ) -> list[Income]:
        """GET income: realised profit, commission, funding; 7 days unless asked otherwise."""
        data = {
            "incomeType": income_type,
            "startTime": start_ms,
            "endTime": end_ms,
            "limit": limit,
        }
        return await self._read("income", list[Income], data, signed=True)

    # -- the user data stream: key header only, unsigned -----------------------------------------

    async def create_listen_key(self) -> Secret:
        """POST listenKey: a new key or the one still valid, good for 60 minutes."""
        answer = await self._listen_key("post")
        if not answer.listen_key:
            raise VenueReadError("POST listenKey", Unknown("an answer without a listen key"))
        return Secret(answer.listen_key)

    async def keepalive_listen_key(self) -> None:
        """PUT listenKey; VenueReadError with reason LISTEN_KEY means: create a new one."""
        await self._listen_key("put")

    async def close_listen_key(self) -> None:
        """DELETE listenKey."""
        await self._listen_key("delete")

    async def _listen_key(self, method: str) -> ListenKey:
        outcome = await self._call(method, "listenKey", {}, signed=False)
        return parse_answer(f"{method.upper()} listenKey", outcome, ListenKey)

    # -- reads of the market ---------------------------------------------------------------------

    async def exchange_info(self) -> ExchangeInfo:
        """GET exchangeInfo: every symbol, about 1 MB. Its limits become those of the budget."""
        info = await self._read("exchangeInfo", ExchangeInfo)
        self.budget.set_limits(info.rate_limits)
        return info

    async def klines(
        self,
        symbol: str,
        interval: str,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int | None = None,
    ) -> list[KlineRow]:
        """GET klines, oldest first, at most 1500; the last bar may still be open."""
        data = {
            "symbol": symbol,
            "interval": interval,
            "startTime": start_ms,
            "endTime": end_ms,
            "limit": limit,
        }
        return await self._read("klines", list[KlineRow], data)

    async def agg_trades(
        self, symbol: str, *, from_id: int | None = None, limit: int | None = None
    ) -> list[AggTradeRow]:
        """GET aggTrades of the last 48 hours at most."""
        data = {"symbol": symbol, "fromId": from_id, "limit": limit}
        return await self._read("aggTrades", list[AggTradeRow], data)

    async def recent_trades(self, symbol: str, *, limit: int | None = None) -> list[TradeRow]:
        """GET trades: the newest ones, oldest first, at most 1000; weight 5, no key needed."""
        return await self._read("trades", list[TradeRow], {"symbol": symbol, "limit": limit})

    async def historical_trades(
        self, symbol: str, *, from_id: int | None = None, limit: int | None = None
    ) -> list[TradeRow]:
        """GET historicalTrades: at most 500; weight 200."""
        data = {"symbol": symbol, "fromId": from_id, "limit": limit}
        return await self._read("historicalTrades", list[TradeRow], data)

    async def depth(self, symbol: str, *, limit: int = 1_000) -> DepthSnapshot:
        """GET depth: the snapshot a local book starts from."""
        return await self._read("depth", DepthSnapshot, {"symbol": symbol, "limit": limit})

    async def premium_index(self, symbol: str) -> PremiumIndex:
        """GET premiumIndex: mark and index price."""
        return await self._read("premiumIndex", PremiumIndex, {"symbol": symbol})

    async def premium_indexes(self) -> list[PremiumIndex]:
        """GET premiumIndex of every symbol; 10 times the weight of one."""
        return await self._read("premiumIndex", list[PremiumIndex])

    async def book_tickers(self) -> list[BookTickerRow]:
        """GET ticker/bookTicker of every symbol; two and a half times the weight of one."""
        return await self._read("ticker/bookTicker", list[BookTickerRow])

    async def book_ticker(self, symbol: str) -> BookTickerRow:
        """GET ticker/bookTicker."""
        return await self._read("ticker/bookTicker", BookTickerRow, {"symbol": symbol})
