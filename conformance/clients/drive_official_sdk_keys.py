"""Exact key sets: what is on the wire against the fields of the SDK's models.

The models were generated from the documents. Where a recording of the real venue says otherwise,
or the documents say that a key comes only sometimes, the difference is listed with its reason.
"""

from __future__ import annotations

from typing import Any, Final

from conformance.driver import Failed

_TRAILING: Final = "only trailing stops carry it"
_REFUSAL: Final = "only an order that was refused has it"
_RECORDED: Final = "in recordings of the real venue, not in the documents"
_UNRECORDED: Final = "in the documents, not in recordings of the real venue"
_CHOSEN: Final = "only where the customer sent one"
_UNTRIGGERED: Final = "absent from recorded events before the trigger"
_TYPE: Final = "the name by which the SDK chose the model"
_QUERIED: Final = {"activatePrice": _TRAILING, "priceRate": _TRAILING}
_ANSWERED: Final = {"code": _REFUSAL, "msg": _REFUSAL}
_OPEN_ALGO: Final = {
    **dict.fromkeys(("tpTriggerPrice", "tpPrice", "slTriggerPrice", "slPrice"), _UNRECORDED),
    "activatePrice": _TRAILING,
    "callbackRate": _TRAILING,
}

TOLERATED: Final[dict[str, dict[str, str]]] = {
    "AccountConfigUpdate": {
        "e": _TYPE, "ac": "only of a symbol's leverage", "ai": "only of multi-assets mode",
    },
    "AccountInformationV2Response": dict.fromkeys(
        ("positions.breakEvenPrice", "positions.isolatedWallet", "positions.notional"), _RECORDED
    ),
    "AccountInformationResponseResult": dict.fromkeys(
        ("positions.isolatedWallet", "positions.notional", "feeBurn"), _RECORDED
    ),
    "AccountInformationV2ResponseResult": {
        "assets.marginAvailable": "the model of the same answer over REST has no such key"
    },
    "AccountUpdate": {"e": _TYPE, "a.S": "the symbol that paid funding"},
    "AlgoUpdate": {
        "e": _TYPE, "o.act": _UNTRIGGERED, "o.ap": _UNTRIGGERED, "o.aq": _UNTRIGGERED,
        "o.rm": _UNTRIGGERED,
    },
    "AllOrdersResponse": _QUERIED,
    "CancelMultipleOrdersResponse": {**_QUERIED, **_ANSWERED},
    "CancelOrderResponse": _QUERIED,
    "CancelOrderResponseResult": _QUERIED,
    "CurrentAllAlgoOpenOrdersResponse": {
        **_OPEN_ALGO, "actualPrice": _UNRECORDED, "actualQty": _RECORDED,
        "tpOrderType": _UNRECORDED,
    },
    "CurrentAllOpenOrdersResponse": _QUERIED,
    "ExchangeInformationResponse": {
        "futuresType": _RECORDED, "symbols.settlePlan": _UNRECORDED,
        "symbols.filters.positionControlSide": _RECORDED, "symbols.maxMoveOrderLimit": _RECORDED,
        "symbols.permissionSets": _RECORDED,
    },
    "FuturesTradingQuantitativeRulesIndicatorsResponse": dict.fromkeys(
        ("indicators.ACCOUNT", "indicators.BTCUSDT", "indicators.ETHUSDT"),
        "only what broke a rule is listed",
    ),
    "GetOrderModifyHistoryResponse": {"amendment.modifyId": _CHOSEN},
    "ListenKeyExpired": {"e": _TYPE},
    "ModifyMultipleOrdersResponse": {**_ANSWERED, "modifyId": _CHOSEN},
    "ModifyOrderResponse": {"modifyId": _CHOSEN},
    "ModifyOrderResponseResult": {"modifyId": _CHOSEN, "pair": _RECORDED},
    "NewAlgoOrderResponse": {"activatePrice": _TRAILING, "callbackRate": _TRAILING},
    "NotionalAndLeverageBracketsResponse": {"notionalCoef": "only where tiers are multiplied"},
    "OrderTradeUpdate": {"e": _TYPE, "o.AP": _TRAILING, "o.cr": _TRAILING, "o.M": _CHOSEN},
    "PlaceMultipleOrdersResponse": _ANSWERED,
    "PositionAdlQuantileEstimationResponse": {
        "adlQuantile.HEDGE": "only of a hedge of both sides at once",
        "adlQuantile.BOTH": "only of one-way mode",
    },
    "PositionInformationV2Response": {"adlQuantile": _RECORDED, "isolated": _RECORDED},
    "PositionInformationResponseResult": {"adlQuantile": _RECORDED, "isolated": _RECORDED},
    "QueryAlgoOrderResponse": {
        "actualQty": _UNRECORDED, "actualType": _UNRECORDED, "activatePrice": _TRAILING,
        "callbackRate": _TRAILING,
    },
    "QueryAllAlgoOrdersResponse": _OPEN_ALGO,
    "QueryCurrentOpenOrderResponse": _QUERIED,
    "QueryOrderResponse": _QUERIED,
    "QueryOrderResponseResult": _QUERIED,
    "TestOrderResponse": _QUERIED,
    "TradeLite": {"e": _TYPE},
}  # fmt: skip


def same_keys(model: Any, raw: Any) -> None:
    """Fail unless the raw keys are those of the model, but for what is tolerated with a reason."""
    missing, unknown = differences(model, raw)
    row = model[0] if isinstance(model, list) and model else model
    instance = getattr(row, "actual_instance", None)
    row = row if instance is None or isinstance(instance, list) else instance
    name = type(row).__name__.replace("Inner", "")
    tolerated = TOLERATED.get(name.rstrip("12"), {})
    missing, unknown = missing - set(tolerated), unknown - set(tolerated)
    if missing or unknown:
        raise Failed(f"{name}: missing {sorted(missing)}, not in the model {sorted(unknown)}")


def differences(model: Any, raw: Any, path: str = "") -> tuple[set[str], set[str]]:
    """The keys that the model has and the raw body lacks, and the reverse, with their paths."""
    missing: set[str] = set()
    unknown: set[str] = set()
    instance = getattr(model, "actual_instance", None)
    if instance is not None:
        return differences(instance, raw, path)
    pairs: list[tuple[Any, Any, str]] = []
    if isinstance(raw, list) and isinstance(model, list):
        pairs = [(one, other, path) for one, other in zip(model, raw, strict=True)]
    elif isinstance(raw, dict) and hasattr(type(model), "model_fields"):
        fields = {
            field.alias or name: name
            for name, field in type(model).model_fields.items()
            if name != "additional_properties"
        }
        if path.endswith("filters."):  # one model for filters of every kind
            fields = {key: name for key, name in fields.items() if key in raw}
        missing = {path + key for key in fields if key not in raw}
        unknown = {path + key for key in raw if key not in fields}
        both = [key for key in fields if key in raw]
        pairs = [(getattr(model, fields[key]), raw[key], f"{path}{key}.") for key in both]
    for one, other, where in pairs:
        if isinstance(other, dict | list):
            below = differences(one, other, where)
            missing, unknown = missing | below[0], unknown | below[1]
    return missing, unknown
