"""The account's settings at the venue: what they are, and how they are changed."""

from libs.common.runtime.venue_reader import VenueReader, VenueReadError, parse_answer
from libs.common.runtime.venue_transport import API_RESTRICTIONS_PATH, RequestParameters
from libs.common.venue.outcomes import Accepted, Outcome, Rejected, Unknown
from libs.common.venue.payloads import RateLimit
from libs.common.venue.settings_payloads import (
    AccountConfig,
    ApiRestrictions,
    PositionMode,
    SymbolBrackets,
    SymbolSettings,
)

_NOT_TOLD = frozenset({301, 302, 307, 308, 404, 405})
"""Statuses of a venue that does not know an endpoint."""


class VenueSettings(VenueReader):
    """Leverage, margin type, mode, brackets, the key's permissions, the dead man's switch."""

    # -- calls that change something: one request, never retried ---------------------------------

    async def set_leverage(self, symbol: str, leverage: int) -> Outcome:
        """POST leverage."""
        return await self._call("post", "leverage", {"symbol": symbol, "leverage": leverage})

    async def set_margin_type(self, symbol: str, margin_type: str) -> Outcome:
        """POST marginType: CROSSED or ISOLATED; "no need to change" (-4046) is Accepted."""
        return await self._call("post", "marginType", {"symbol": symbol, "marginType": margin_type})

    async def set_one_way_mode(self) -> Outcome:
        """POST positionSide/dual: one position a symbol; "no need to change" (-4059) is Accepted.

        The mode is the whole account's; the venue refuses while anything is open.
        """
        return await self._call("post", "positionSide/dual", {"dualSidePosition": "false"})

    async def countdown_cancel_all(self, symbol: str, countdown_ms: int) -> Outcome:
        """POST countdownCancelAll: the venue cancels the symbol's open orders after that time.

        Each call starts the countdown anew; 0 stops it. Weight 10. Its effect on algo orders is
        not documented by the venue.
        """
        if countdown_ms < 0:
            raise ValueError("a countdown is not negative; 0 stops it")
        data: RequestParameters = {"symbol": symbol, "countdownTime": countdown_ms}
        return await self._call("post", "countdownCancelAll", data)

    # -- reads -----------------------------------------------------------------------------------

    async def leverage_brackets(self, symbol: str | None = None) -> list[SymbolBrackets]:
        """GET leverageBracket: notional tiers with their leverage and maintenance margin."""
        data: RequestParameters = {"symbol": symbol}
        outcome = await self._call("get", "leverageBracket", data)
        what = "GET leverageBracket"
        if isinstance(outcome, Accepted) and outcome.body.lstrip().startswith(b"{"):
            return [parse_answer(what, outcome, SymbolBrackets)]  # one symbol may come bare
        return parse_answer(what, outcome, list[SymbolBrackets])

    async def account_config(self) -> AccountConfig:
        """GET accountConfig: permissions and modes, at a fiftieth of the size of v2 account."""
        return await self._read("accountConfig", AccountConfig, signed=True)

    async def symbol_settings(self) -> list[SymbolSettings]:
        """GET symbolConfig: leverage and margin type of every symbol; weight 5."""
        return await self._read("symbolConfig", list[SymbolSettings], signed=True)

    async def position_mode(self) -> PositionMode:
        """GET positionSide/dual: one-way or hedge; weight 30."""
        return await self._read("positionSide/dual", PositionMode, signed=True)

    async def order_rate_limits(self) -> list[RateLimit]:
        """GET rateLimit/order: the account's order limits, which become those of the budget."""
        limits = await self._read("rateLimit/order", list[RateLimit], signed=True)
        self.budget.set_limits(limits)
        return limits

    async def api_restrictions(self) -> ApiRestrictions | None:
        """GET what the key itself may do; None where the venue does not tell.

        It is an endpoint of spot's host: a venue of futures alone, a testnet and the paper exchange
        need not have it. Raises VenueReadError when the answer should have come and did not.
        """
        uri = self._base_url + API_RESTRICTIONS_PATH
        outcome: Outcome = await self._request("get", uri, signed=True)
        try:
            return parse_answer("GET apiRestrictions", outcome, ApiRestrictions)
        except VenueReadError as error:
            if isinstance(error.outcome, Rejected | Unknown) and error.outcome.status in _NOT_TOLD:
                return None
            raise
