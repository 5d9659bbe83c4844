"""What the venue says when it says no.

Codes are universal, texts may vary; both are those of the venue's documentation and of recorded
answers (reference: binance-usdm, section 3), because clients match on them. Everything the paper
exchange refuses is raised as a `RefusalError`, so that no request ends in an error of our making.
"""

from __future__ import annotations

TEXTS: dict[int, str] = {
    -1000: "An unknown error occurred while processing the request.",
    -1001: "Internal error; unable to process your request. Please try again.",
    -1003: (
        "Too many requests; current limit of IP({0}) is {1} requests per minute. "
        "Please use the websocket for live updates to avoid polling the API."
    ),
    -1006: ("An unexpected response was received from the message bus. Execution status unknown."),
    -1007: (
        "Timeout waiting for response from backend server. Send status unknown; "
        "execution status unknown."
    ),
    -1008: (
        "Request throttled by system-level protection. Reduce-only/close-position orders are "
        "exempt. Please try again."
    ),
    -1015: "Too many new orders; current limit is {0} orders per {1}.",
    -1020: "This operation is not supported.",
    -1021: "Timestamp for this request is outside of the recvWindow.",
    -1022: "Signature for this request is not valid.",
    -1023: "Start time is greater than end time.",
    -1100: "Illegal characters found in parameter '{0}'; legal range is '{1}'.",
    -1102: "Mandatory parameter '{0}' was not sent, was empty/null, or malformed.",
    -1106: "Parameter '{0}' sent when not required.",
    -1111: "Precision is over the maximum defined for this asset.",
    -1115: "Invalid timeInForce.",
    -1116: "Invalid orderType.",
    -1117: "Invalid side.",
    -1120: "Invalid interval.",
    -1121: "Invalid symbol.",
    -1125: (
        "This listenKey does not exist. Please use `POST /fapi/v1/listenKey` "
        "to recreate `listenKey`"
    ),
    -1127: "More than {0} hours between startTime and endTime.",
    -1128: "Combination of optional parameters invalid.",
    -1130: "Data sent for parameter '{0}' is not valid.",
    -1131: "recvWindow must be less than {0}.",
    -1135: "Invalid JSON Request",
    -1136: "Invalid newOrderRespType.",
    -2011: "Unknown order sent.",
    -2013: "Order does not exist.",
    -2014: "API-key format invalid.",
    -2015: "Invalid API-key, IP, or permissions for action.",
    -2007: "Invalid callBack rate.",
    -2019: "Margin is insufficient.",
    -2021: "Order would immediately trigger.",
    -2022: "ReduceOnly Order is rejected.",
    -2025: "Reach max open order limit.",
    -2027: "Exceeded the maximum allowable position at current leverage.",
    -2028: "Leverage is smaller than permitted: insufficient margin balance.",
    -4001: "Price less than 0.",
    -4002: "Price greater than max price.",
    -4003: "Quantity less than zero.",
    -4004: "Quantity less than min quantity.",
    -4005: "Quantity greater than max quantity.",
    -4006: "Stop price less than zero.",
    -4007: "Stop price greater than max price.",
    -4013: "Price less than min price.",
    -4014: "Price not increased by tick size.",
    -4015: "Client order id length should be less than 36 chars",
    -4016: "Limit price can't be higher than {0}.",
    -4023: "Qty not increased by step size.",
    -4024: "Limit price can't be lower than {0}.",
    -4021: "{0} is not valid depth limit (valid values: {1}).",
    -4028: "Leverage {0} is not valid",
    -4031: "Invalid parameter working type",
    -4032: "Exceed maximum cancel order size.",
    -4045: "Reach max stop order limit.",
    -4046: "No need to change margin type.",
    -4047: "Margin type cannot be changed if there exists open orders.",
    -4048: "Margin type cannot be changed if there exists position.",
    -4049: "Add margin only support for isolated position.",
    -4050: "Cross balance insufficient.",
    -4051: "Isolated balance insufficient.",
    -4054: "Cannot add position margin: position is 0.",
    -4055: "Amount must be positive.",
    -4056: "Invalid api key type",
    -4059: "No need to change position side.",
    -4060: "Invalid position side.",
    -4061: "Order's position side does not match user's setting.",
    -4062: "Invalid or improper reduceOnly value.",
    -4067: "Position side cannot be changed if there exists open orders.",
    -4068: "Position side cannot be changed if there exists position.",
    -4082: "Invalid number of batch place orders.",
    -4104: "Invalid contract type.",
    -4116: "clientOrderId is duplicated",
    -4120: (
        "Order type not supported for this endpoint. Please use the Algo Order API "
        "endpoints instead."
    ),
    -4130: (
        "An open stop or take profit order with GTE and closePosition in the direction is existing."
    ),
    -4131: "The counterparty's best price does not meet the PERCENT_PRICE filter limit",
    -4136: "Target strategy invalid for orderType {0},closePosition {1}",
    -4137: "Quantity must be zero with closePosition equals true",
    -4140: "Invalid symbol status for opening position.",
    -4144: "Invalid pair.",
    -4161: "Leverage reduction is not supported in Isolated Margin Mode with open positions",
    -4164: "Order's notional must be no smaller than {0} (unless you choose reduce only)",
    -4165: "Maximum time interval is {0} days.",
    -4166: "Search window is restricted to recent {0} days only.",
    -4167: (
        "Unable to adjust to Multi-Assets mode with symbols of USDⓈ-M Futures under "
        "isolated-margin mode."
    ),
    -4168: "Unable to adjust to isolated-margin mode under the Multi-Assets mode.",
    -4169: (
        "Unable to adjust Multi-Assets Mode with insufficient margin balance in USDⓈ-M Futures."
    ),
    -4170: "Unable to adjust Multi-Assets Mode with open orders in USDⓈ-M Futures.",
    -4171: ("Adjusted asset mode is currently set and does not need to be adjusted repeatedly."),
    -4509: (
        "Time in Force (TIF) GTE can only be used with open positions. "
        "Please ensure that positions are available."
    ),
    -5021: (
        "Due to the order could not be filled immediately, the FOK order has been rejected. "
        "The order will not be recorded in the order history"
    ),
    -5022: (
        "Due to the order could not be executed as maker, the Post Only order will be rejected. "
        "The order will not be recorded in the order history"
    ),
    -5024: "Symbol is not in trading status. Order amendment is not permitted.",
    -5025: "Only limit order is supported.",
    -5026: "Exceed maximum modify order limit.",
    -5027: "No need to modify the order.",
    -5028: "Timestamp for this request is outside of the ME recvWindow.",
    -5029: "Order's notional must be no smaller than {0}",
    -5037: "Invalid price match",
    -5038: "Price match only supports order type: LIMIT, STOP AND TAKE_PROFIT",
    -5039: "Invalid self trade prevention mode",
    -5040: (
        "The goodTillDate timestamp must be greater than the current time plus 600 seconds "
        "and smaller than 253402300799000"
    ),
    -5041: "No depth matches this BBO order",
    -5047: "The original order is not a reduce-only order",
}

TIMESTAMP_AHEAD = "Timestamp for this request was 1000ms ahead of the server's time."
"""The second text of -1021: the request comes from the future."""

HTTP_STATUS: dict[int, int] = {-2014: 401, -2015: 401, -1003: 429, -1015: 429, -1007: 408}
"""Every other refusal is HTTP 400."""


class RefusalError(Exception):
    """A request the venue refuses; `code` and `text` go out as `{"code":…,"msg":…}`."""

    def __init__(self, code: int, *arguments: object, text: str | None = None) -> None:
        self.code = code
        self.text = TEXTS[code].format(*arguments) if text is None else text
        self.status = HTTP_STATUS.get(code, 400)
        super().__init__(f"{code} {self.text}")

    def body(self) -> dict[str, object]:
        """The JSON body of the answer, in the venue's key order."""
        return {"code": self.code, "msg": self.text}


def either_missing(one: str, other: str) -> RefusalError:
    """The refusal of a request that names what it is about in neither of two ways."""
    text = f"Param '{one}' or '{other}' must be sent, but both were empty/null!"
    return RefusalError(-1102, text=text)
