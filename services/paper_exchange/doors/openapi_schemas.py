"""What `/sim` and the probes answer, as schemas; requests are described by their own models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from services.paper_exchange.doors import sim_money_http, sim_requests
from services.paper_exchange.faults.event_faults import EventRule
from services.paper_exchange.faults.rules import FaultRule
from services.paper_exchange.faults.stream_faults import StreamRule

Schema = dict[str, Any]

REF: Final = "#/components/schemas/{model}"
TEXT: Final[Schema] = {"type": "string"}
DECIMAL: Final[Schema] = {"type": "string", "format": "decimal"}
OPTIONAL_DECIMAL: Final[Schema] = {"type": ["string", "null"], "format": "decimal"}
INTEGER: Final[Schema] = {"type": "integer"}
OPTIONAL_INTEGER: Final[Schema] = {"type": ["integer", "null"]}
FLAG: Final[Schema] = {"type": "boolean"}
COUNTS: Final[Schema] = {"type": "object", "additionalProperties": INTEGER}
STRUCK: Final[Schema] = {**COUNTS, "description": "Faults that struck since the start, by kind."}
SIMULATION: Final[Schema] = {"const": True, "description": "This is not the real venue."}
BODIES: Final[tuple[type[BaseModel], ...]] = (
    sim_requests.AccountRequest,
    sim_requests.GrantRequest,
    sim_requests.ConditionsRequest,
    sim_requests.BanRequest,
    sim_requests.UserStreamRequest,
    sim_requests.SurpriseRequest,
    sim_requests.StatusRequest,
    sim_requests.ScenarioRequest,
    sim_money_http.FundingRequest,
    sim_money_http.WithdrawalRequest,
    sim_money_http.CommissionRequest,
    FaultRule,
    EventRule,
    StreamRule,
)
"""What may be sent as a body, or as an item of one."""

_DRIVER: Final[Mapping[str, Schema]] = {
    "now_ns": INTEGER,
    "source_ended": FLAG,
    "symbols": {"type": "array", "items": TEXT},
    "lines_read": INTEGER,
    "applied": {**COUNTS, "description": "Source events by kind."},
    "published": {**COUNTS, "description": "Stream messages by kind."},
    "delivered": {**COUNTS, "description": "Stream messages by kind, once per listener."},
    "sockets": INTEGER,
    "slow_disconnects": INTEGER,
    "facts": {"type": "object", "description": "What the source says of itself."},
}
_FAULT_COUNTS: Final[Mapping[str, Schema]] = {
    "faults_struck": COUNTS,
    "event_faults_struck": COUNTS,
    "stream_faults_struck": COUNTS,
    "conditions_struck": COUNTS,
    "surprises": COUNTS,
    "signatures": {**COUNTS, "description": "Signed requests by what the signature covers."},
    "answered_429": INTEGER,
    "bans": INTEGER,
    "scenario_steps": {**COUNTS, "description": "What scenarios did since the start."},
}
_LOGGED: Final[Mapping[str, Schema]] = {
    "sequence": INTEGER,
    "ts_ns": INTEGER,
    "method": TEXT,
    "path": TEXT,
    "account_id": TEXT,
    "symbol": TEXT,
    "client_order_id": TEXT,
    "outcome": {"enum": ["accepted", "refused", "not_executed"]},
    "status": {**INTEGER, "description": "HTTP status."},
    "code": {**INTEGER, "description": "The venue's code of a refusal, else 0."},
    "order_id": INTEGER,
    "told": {**TEXT, "description": "answered, dropped, or another answer of the fault script."},
}
_POSITION: Final[Mapping[str, Schema]] = {
    "symbol": TEXT,
    "position_side": {"enum": ["BOTH", "LONG", "SHORT"]},
    "quantity": DECIMAL,
    "entry_price": DECIMAL,
    "unrealized": DECIMAL,
    "leverage": INTEGER,
    "margin_type": {"enum": ["cross", "isolated"]},
}
_RESTING: Final[Mapping[str, Schema]] = {
    "account_id": TEXT,
    "order_id": INTEGER,
    "client_order_id": TEXT,
    "side": {"enum": ["BUY", "SELL"]},
    "price": DECIMAL,
    "quantity": DECIMAL,
    "executed": DECIMAL,
    "queue_ahead": {**DECIMAL, "description": "Quantity of others that stands before it."},
}


def object_of(**properties: Schema) -> Schema:
    """An object with these properties, all of them required."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def schema_of(name: str) -> Schema:
    """A reference to one of the schemas."""
    return {"$ref": REF.format(model=name)}


def all_schemas() -> Schema:
    """Every schema of the document, by name."""
    _, found = models_json_schema([(model, "validation") for model in BODIES], ref_template=REF)
    return {**found["$defs"], **_answers(), **_stage_answers(), **_rule_answers(found["$defs"])}


def _answers() -> Schema:
    levels: Schema = {"type": "array", "items": {"type": "array", "items": DECIMAL}}
    return {
        "Refusal": _simulated(error=TEXT),
        "Clock": _simulated(
            now_ns=INTEGER,
            speed={**DECIMAL, "description": "Market seconds per wall second."},
            limit_ns={**OPTIONAL_INTEGER, "description": "Market time never passes it."},
            source_ended=FLAG,
        ),
        "Reset": _simulated(now_ns=INTEGER),
        "Account": _simulated(
            account_id=TEXT,
            api_key=TEXT,
            secret=TEXT,
            key_type=schema_of("KeyType"),
            permissions={"type": "array", "items": schema_of("Permission")},
        ),
        "Accounts": _simulated(
            accounts=_list_of(
                object_of(
                    account_id=TEXT,
                    wallet=DECIMAL,
                    positions=_list_of(object_of(**_POSITION)),
                    open_orders=INTEGER,
                    open_algo_orders=INTEGER,
                )
            )
        ),
        "Ledger": _simulated(
            total={"const": "0"},
            events_posted=INTEGER,
            accounts={"type": "object", "additionalProperties": DECIMAL},
        ),
        "Book": _simulated(
            symbol=TEXT, last_update_id=INTEGER, bids=levels, asks=levels,
            last_price=OPTIONAL_DECIMAL, mark_price=OPTIONAL_DECIMAL,
            index_price=OPTIONAL_DECIMAL, resting=_list_of(object_of(**_RESTING)),
        ),
        "Stats": _simulated(
            **_DRIVER, **_FAULT_COUNTS, accounts=INTEGER, open_orders=INTEGER,
            open_algo_orders=INTEGER, trades=INTEGER, requests_logged=INTEGER,
            scenario=_or_null(schema_of("ScenarioProgress")),
        ),
        "Status": _simulated(**_DRIVER, service=TEXT, version=TEXT, accounts=INTEGER),
        "Log": _simulated(
            received=INTEGER,
            forgotten={**INTEGER, "description": "So many of the oldest rows are gone."},
            requests=_list_of(object_of(**_LOGGED)),
        ),
        "Health": object_of(status={"enum": ["pass", "fail"]}, service=TEXT),
    }  # fmt: skip


def _stage_answers() -> Schema:
    return {
        "Conditions": _simulated(
            query_lag_ms=INTEGER, algo_query_lag_ms=INTEGER, clock_offset_ms=INTEGER,
            zero_tick_symbols=_list_of(TEXT), odd_symbols=_list_of(TEXT), struck=STRUCK,
        ),
        "Ban": _simulated(address=TEXT, banned_until_ms=OPTIONAL_INTEGER),
        "UserStream": _simulated(account_id=TEXT, action=TEXT),
        "Surprise": _simulated(client_order_id=TEXT, order_id=INTEGER),
        "Funding": _simulated(
            funding={
                "type": "object",
                "additionalProperties": object_of(
                    rate=DECIMAL, next_funding_ms=INTEGER, is_dictated=FLAG
                ),
            }
        ),
        "Withdrawal": _simulated(account_id=TEXT, wallet_balance=DECIMAL),
        "Commission": _simulated(account_id=TEXT, maker=DECIMAL, taker=DECIMAL, rpi=DECIMAL),
        "Statuses": _simulated(statuses={"type": "object", "additionalProperties": TEXT}),
        "ScenarioProgress": object_of(
            name=TEXT, started_ns=INTEGER, steps=INTEGER, steps_done=INTEGER,
            next_step_ns=OPTIONAL_INTEGER,
        ),
        "Scenarios": _simulated(
            scenarios=_list_of(object_of(name=TEXT, about=TEXT, steps=INTEGER)),
            under_way=_or_null(schema_of("ScenarioProgress")),
        ),
    }  # fmt: skip


def _rule_answers(requests: Mapping[str, Schema]) -> Schema:
    """What is told of rules in force: the rules themselves, and their counts."""
    answers: Schema = {}
    for rule, answer in (
        ("FaultRule", "Faults"),
        ("EventRule", "EventFaults"),
        ("StreamRule", "StreamFaults"),
    ):
        properties = requests[rule]["properties"]
        answers[f"{rule}InForce"] = object_of(**properties, seen=INTEGER, struck=INTEGER)
        answers[answer] = _simulated(faults=_list_of(schema_of(f"{rule}InForce")), struck=STRUCK)
    return answers


def _simulated(**properties: Schema) -> Schema:
    return object_of(simulation=SIMULATION, **properties)


def _list_of(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}
