"""The OpenAPI 3.1 description of what only a simulation has, and of the probes.

Requests are described by the very models that read them. The venue's own endpoints are Binance's
and described there; this document only lists those that are served.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic.json_schema import models_json_schema

from libs.common import __version__
from services.paper_exchange.doors.sim_faults_http import (
    BanRequest,
    ConditionsRequest,
    SurpriseRequest,
    UserStreamRequest,
)
from services.paper_exchange.doors.sim_http import AccountRequest, GrantRequest
from services.paper_exchange.faults.event_faults import EventRule
from services.paper_exchange.faults.rules import FaultRule

Schema = dict[str, Any]

REF: Final = "#/components/schemas/{model}"
JSON: Final = "application/json"
HEALTH_JSON: Final = "application/health+json"
TEXT: Final[Schema] = {"type": "string"}
DECIMAL: Final[Schema] = {"type": "string", "format": "decimal"}
INTEGER: Final[Schema] = {"type": "integer"}
FLAG: Final[Schema] = {"type": "boolean"}
COUNTS: Final[Schema] = {"type": "object", "additionalProperties": INTEGER}
STRUCK: Final[Schema] = {**COUNTS, "description": "Faults that struck since the start, by kind."}
SIMULATION: Final[Schema] = {"const": True, "description": "This is not the real venue."}
ABOUT: Final = """A simulation of Binance USD-M Futures on this machine: no real money.

Market time is in integer nanoseconds UTC, money a decimal string. The venue's own endpoints, as
Binance documents them:

"""


def describe(venue_endpoints: Iterable[str]) -> Schema:
    """Return the whole document; ``venue_endpoints`` are lines such as `POST /fapi/v1/order`."""
    listed = "\n".join(f"- `{endpoint}`" for endpoint in sorted(venue_endpoints))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Portcullis paper exchange",
            "version": __version__,
            "description": ABOUT + listed,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {**_sim_paths(), **_probe_paths()},
        "components": {"schemas": _schemas()},
    }


def _sim_paths() -> Schema:
    refusal = {"400": _answer("What was wrong with the request.", "Refusal")}
    cursor = [
        _query("after", "Rows after this sequence.", 0, 0),
        _query("limit", "At most so many rows.", 10_000, 0),
    ]
    clock = _answer("The grant in force.", "Clock")
    account = _answer("The account, its key, and the one time its secret is shown.", "Account")
    faults = _answer("The rules in force, with counts.", "Faults")
    grant, wanted = _schema("GrantRequest"), _schema("AccountRequest")
    rules = {"type": "array", "maxItems": 1_000, "items": _schema("FaultRule")}
    return {
        "/sim/clock": {
            "get": _operation("Read the clock", clock),
            "post": _operation("Change speed, limit or both", clock, refusal, body=grant),
        },
        "/sim/accounts": {
            "post": _operation(
                "Open an account, or give a further key and deposit to one",
                account,
                refusal | {"409": _answer("There are too many accounts.", "Refusal")},
                body=wanted,
                is_body_required=False,
            )
        },
        "/sim/ledger": {"get": _operation("Read every balance", _answer("Sums to 0.", "Ledger"))},
        "/sim/stats": {"get": _operation("Count what was handled", _answer("Counts.", "Stats"))},
        "/sim/log": {
            "get": _operation(
                "List the order requests received",
                _answer("Oldest first.", "Log"),
                refusal,
                parameters=cursor,
            )
        },
        "/sim/faults": {
            "get": _operation("Read the fault rules of requests", faults),
            "post": _operation("Replace the fault rules of requests", faults, refusal, body=rules),
            "delete": _operation("Drop all fault rules of requests", faults),
        },
        **_disturbance_paths(refusal),
    }


def _disturbance_paths(refusal: Mapping[str, Schema]) -> Schema:
    faults = _answer("The rules in force, with counts.", "EventFaults")
    rules = {"type": "array", "maxItems": 1_000, "items": _schema("EventRule")}
    conditions = _answer("The conditions in force.", "Conditions")
    ban = _answer("Who is kept out until when.", "Ban")
    return {
        "/sim/event-faults": {
            "get": _operation("Read the fault rules of user events", faults),
            "post": _operation(
                "Replace the fault rules of user events", faults, refusal, body=rules
            ),
            "delete": _operation("Drop all fault rules of user events", faults),
        },
        "/sim/conditions": {
            "get": _operation("Read the conditions in force", conditions),
            "post": _operation(
                "Change conditions", conditions, refusal, body=_schema("ConditionsRequest")
            ),
        },
        "/sim/bans": {
            "post": _operation("Ban an address", ban, refusal, body=_schema("BanRequest")),
            "delete": _operation(
                "Pardon an address",
                ban,
                parameters=[
                    {
                        "name": "address",
                        "in": "query",
                        "schema": TEXT,
                        "description": "The asker's own where not said.",
                    }
                ],
            ),
        },
        "/sim/user-stream": {
            "post": _operation(
                "Stall, resume, close or expire a user stream",
                _answer("Done.", "UserStream"),
                refusal,
                body=_schema("UserStreamRequest"),
            )
        },
        "/sim/surprises": {
            "post": _operation(
                "Liquidate, deleverage, or trade by the owner's hand",
                _answer("The order that was made.", "Surprise"),
                refusal,
                body=_schema("SurpriseRequest"),
            )
        },
    }


def _probe_paths() -> Schema:
    passing = _answer("Yes.", "Health", HEALTH_JSON)
    failing = {"503": _answer("Not yet, or no more.", "Health", HEALTH_JSON)}
    probes = {
        "/livez": _operation("Does the process answer?", passing, tag="probes"),
        "/readyz": _operation("Is the market running?", passing, failing, tag="probes"),
        "/startupz": _operation("Is the start over?", passing, failing, tag="probes"),
        "/healthz": _operation("An alias of /readyz", passing, failing, tag="probes"),
        "/v1/status": _operation(
            "What the venue is doing now", _answer("Its state.", "Status"), tag="probes"
        ),
        "/metrics": _operation(
            "Prometheus metrics",
            {"description": "Text exposition format.", "content": {"text/plain": {"schema": TEXT}}},
            tag="probes",
        ),
    }
    return {path: {"get": operation} for path, operation in probes.items()}


def _schemas() -> Schema:
    requests = (
        AccountRequest,
        GrantRequest,
        FaultRule,
        EventRule,
        ConditionsRequest,
        BanRequest,
        UserStreamRequest,
        SurpriseRequest,
    )
    _, found = models_json_schema([(model, "validation") for model in requests], ref_template=REF)
    rule = found["$defs"]["FaultRule"]["properties"]
    event_rule = found["$defs"]["EventRule"]["properties"]
    return {
        **found["$defs"],
        "Refusal": _simulated(error=TEXT),
        "Clock": _simulated(
            now_ns=INTEGER,
            speed={**DECIMAL, "description": "Market seconds per wall second."},
            limit_ns={"type": ["integer", "null"], "description": "Market time never passes it."},
            source_ended=FLAG,
        ),
        "Account": _simulated(
            account_id=TEXT,
            api_key=TEXT,
            secret=TEXT,
            key_type=_schema("KeyType"),
            permissions={"type": "array", "items": _schema("Permission")},
        ),
        "Ledger": _simulated(
            total={"const": "0"},
            events_posted=INTEGER,
            accounts={"type": "object", "additionalProperties": DECIMAL},
        ),
        "Stats": _simulated(
            **_DRIVER, accounts=INTEGER, open_orders=INTEGER, open_algo_orders=INTEGER,
            trades=INTEGER, requests_logged=INTEGER, faults_struck=COUNTS,
            event_faults_struck=COUNTS, conditions_struck=COUNTS, surprises=COUNTS,
            answered_429=INTEGER, bans=INTEGER,
        ),
        "Status": _simulated(**_DRIVER, service=TEXT, version=TEXT, accounts=INTEGER),
        "Log": _simulated(
            received=INTEGER,
            forgotten={**INTEGER, "description": "So many of the oldest rows are gone."},
            requests={"type": "array", "items": _schema("LoggedRequest")},
        ),
        "LoggedRequest": _object(**_LOGGED),
        "Faults": _simulated(
            faults={"type": "array", "items": _schema("FaultRuleInForce")}, struck=STRUCK
        ),
        "FaultRuleInForce": _object(**rule, seen=INTEGER, struck=INTEGER),
        "EventFaults": _simulated(
            faults={"type": "array", "items": _schema("EventRuleInForce")}, struck=STRUCK
        ),
        "EventRuleInForce": _object(**event_rule, seen=INTEGER, struck=INTEGER),
        "Conditions": _simulated(
            query_lag_ms=INTEGER, algo_query_lag_ms=INTEGER, clock_offset_ms=INTEGER, struck=STRUCK
        ),
        "Ban": _simulated(address=TEXT, banned_until_ms={"type": ["integer", "null"]}),
        "UserStream": _simulated(account_id=TEXT, action=TEXT),
        "Surprise": _simulated(client_order_id=TEXT, order_id=INTEGER),
        "Health": _object(status={"enum": ["pass", "fail"]}, service=TEXT),
    }  # fmt: skip


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


def _simulated(**properties: Schema) -> Schema:
    return _object(simulation=SIMULATION, **properties)


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _schema(name: str) -> Schema:
    return {"$ref": REF.format(model=name)}


def _answer(description: str, schema: str, media_type: str = JSON) -> Schema:
    return {"description": description, "content": {media_type: {"schema": _schema(schema)}}}


def _query(name: str, description: str, default: int, minimum: int) -> Schema:
    schema = {**INTEGER, "default": default, "minimum": minimum}
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _operation(
    summary: str,
    answer: Schema,
    refusals: Mapping[str, Schema] | None = None,
    *,
    body: Schema | None = None,
    is_body_required: bool = True,
    parameters: Iterable[Schema] = (),
    tag: str = "simulation",
) -> Schema:
    operation: Schema = {
        "tags": [tag],
        "summary": summary,
        "responses": {"200": answer, **(refusals or {})},
    }
    if body is not None:
        content = {JSON: {"schema": body}}
        operation["requestBody"] = {"required": is_body_required, "content": content}
    if parameters:
        operation["parameters"] = list(parameters)
    return operation
