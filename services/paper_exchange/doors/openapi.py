"""The OpenAPI 3.1 description of what only a simulation has, and of the probes.

Requests are described by the very models that read them. The venue's own endpoints are Binance's
and described there; this document only lists those that are served.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import BaseModel

from libs.common import __version__
from services.paper_exchange.doors.openapi_schemas import TEXT, Schema, all_schemas, schema_of
from services.paper_exchange.doors.sim_requests import BookQuery, LogQuery, PardonQuery
from services.paper_exchange.faults.rule_book import RULES_MAX

JSON: Final = "application/json"
HEALTH_JSON: Final = "application/health+json"
ABOUT: Final = """A simulation of Binance USD-M Futures on this machine: no real money.

Market time is in integer nanoseconds UTC, money a decimal string. Whatever cannot be done, and
every name that is not known, is a 400 with `error`. The venue's own endpoints, as Binance documents
them:

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
        "paths": {
            **_look_paths(),
            **_rule_paths(),
            **_disturbance_paths(),
            **_stage_paths(),
            **_probe_paths(),
        },
        "components": {"schemas": all_schemas()},
    }


def _look_paths() -> Schema:
    clock = _answer("The grant in force.", "Clock")
    account = _answer("The account, its key, and the one time its secret is shown.", "Account")
    return {
        "/sim/clock": {
            "get": _sim("Read the clock", clock),
            "post": _sim("Change speed, limit or both", clock, body=schema_of("GrantRequest")),
        },
        "/sim/reset": {
            "post": _sim("Put everything back to the start", _answer("The new time.", "Reset"))
        },
        "/sim/accounts": {
            "get": _sim("List accounts and positions", _answer("All of them.", "Accounts")),
            "post": _sim(
                "Open an account, or give a further key and deposit to one",
                account,
                {"409": _answer("There are too many accounts.", "Refusal")},
                body=schema_of("AccountRequest"),
                is_body_required=False,
            ),
        },
        "/sim/ledger": {"get": _sim("Read every balance", _answer("Sums to 0.", "Ledger"))},
        "/sim/book": {
            "get": _sim(
                "Read a book and our own orders in it",
                _answer("Best levels first; our orders by side and price.", "Book"),
                query=BookQuery,
            )
        },
        "/sim/stats": {"get": _sim("Count what was handled", _answer("Counts.", "Stats"))},
        "/sim/log": {
            "get": _sim(
                "List the order requests received", _answer("Oldest first.", "Log"), query=LogQuery
            )
        },
    }


def _rule_paths() -> Schema:
    paths: Schema = {}
    for path, what, answer, rule in (
        ("/sim/faults", "requests", "Faults", "FaultRule"),
        ("/sim/event-faults", "user events", "EventFaults", "EventRule"),
        ("/sim/stream-faults", "market streams", "StreamFaults", "StreamRule"),
    ):
        in_force = _answer("The rules in force, with counts.", answer)
        rules = {"type": "array", "maxItems": RULES_MAX, "items": schema_of(rule)}
        paths[path] = {
            "get": _sim(f"Read the fault rules of {what}", in_force),
            "post": _sim(f"Replace the fault rules of {what}", in_force, body=rules),
            "delete": _sim(f"Drop all fault rules of {what}", in_force),
        }
    return paths


def _disturbance_paths() -> Schema:
    conditions = _answer("The conditions in force.", "Conditions")
    ban = _answer("Who is kept out until when.", "Ban")
    return {
        "/sim/conditions": {
            "get": _sim("Read the conditions in force", conditions),
            "post": _sim("Change conditions", conditions, body=schema_of("ConditionsRequest")),
        },
        "/sim/bans": {
            "post": _sim("Ban an address", ban, body=schema_of("BanRequest")),
            "delete": _sim("Pardon an address", ban, query=PardonQuery),
        },
        "/sim/user-stream": {
            "post": _sim(
                "Stall, resume, close or expire a user stream",
                _answer("Done.", "UserStream"),
                body=schema_of("UserStreamRequest"),
            )
        },
        "/sim/surprises": {
            "post": _sim(
                "Liquidate, deleverage, or trade by the owner's hand",
                _answer("The order that was made.", "Surprise"),
                body=schema_of("SurpriseRequest"),
            )
        },
    }


def _stage_paths() -> Schema:
    scenarios = _answer("Those that ship, and the one under way.", "Scenarios")
    statuses = _answer("By symbol.", "Statuses")
    funding = _answer("Rates and times by symbol.", "Funding")
    withdrawn = _answer("What is left of the wallet.", "Withdrawal")
    withdrawal = schema_of("WithdrawalRequest")
    return {
        "/sim/funding": {
            "get": _sim("Read funding rates", funding),
            "post": _sim("Dictate a funding rate", funding, body=schema_of("FundingRequest")),
        },
        "/sim/withdrawals": {
            "post": _sim("Take money out of an account", withdrawn, body=withdrawal)
        },
        "/sim/commissions": {
            "post": _sim(
                "Change what the fills of an account cost",
                _answer("The rates now.", "Commission"),
                body=schema_of("CommissionRequest"),
            )
        },
        "/sim/statuses": {
            "get": _sim("Read what may be done with each symbol", statuses),
            "post": _sim(
                "Halt, settle or open a symbol", statuses, body=schema_of("StatusRequest")
            ),
        },
        "/sim/scenarios": {
            "get": _sim("List scenarios", scenarios),
            "post": _sim("Start a scenario now", scenarios, body=schema_of("ScenarioRequest")),
            "delete": _sim("End the scenario under way", scenarios),
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


def _answer(description: str, schema: str, media_type: str = JSON) -> Schema:
    return {"description": description, "content": {media_type: {"schema": schema_of(schema)}}}


def _parameters_of(model: type[BaseModel]) -> list[Schema]:
    """The query as this model reads it, one parameter for each field."""
    schema: dict[str, Any] = model.model_json_schema()
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _of_text(field)}
        for name, field in schema["properties"].items()
    ]


def _of_text(field: Schema) -> Schema:
    """A field as a query can say it: a parameter that is not sent is not null."""
    said = next((one for one in field.get("anyOf", ()) if one.get("type") != "null"), field)
    return {name: value for name, value in said.items() if name != "title"}


def _sim(
    summary: str,
    answer: Schema,
    refusals: Mapping[str, Schema] | None = None,
    *,
    body: Schema | None = None,
    is_body_required: bool = True,
    query: type[BaseModel] | None = None,
) -> Schema:
    """An operation of `/sim`, all of which refuse in the same way."""
    refusal = {"400": _answer("What was wrong with the request.", "Refusal")}
    operation = _operation(summary, answer, refusal | dict(refusals or {}))
    if body is not None:
        operation["requestBody"] = {
            "required": is_body_required,
            "content": {JSON: {"schema": body}},
        }
    if query is not None:
        operation["parameters"] = _parameters_of(query)
    return operation


def _operation(
    summary: str,
    answer: Schema,
    refusals: Mapping[str, Schema] | None = None,
    *,
    tag: str = "simulation",
) -> Schema:
    return {"tags": [tag], "summary": summary, "responses": {"200": answer, **(refusals or {})}}
