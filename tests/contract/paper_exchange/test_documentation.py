"""What the venue says of itself: a page that works offline, and a document that is true."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from fastapi.openapi.models import OpenAPI

from services.paper_exchange.__main__ import parse_settings
from services.paper_exchange.config import Settings
from services.paper_exchange.demo_keys import (
    DEMO_READ_KEY,
    DEMO_READ_SECRET,
    DEMO_TRADE_KEY,
    DEMO_TRADE_SECRET,
)
from services.paper_exchange.doors.openapi import describe
from services.paper_exchange.faults.scenarios import parse_scenario, shipped_names
from services.paper_exchange.shell import open_venue

PAGE = Path(__file__).resolve().parents[3] / "docs" / "paper-exchange.md"
PROBES = {"/livez", "/readyz", "/startupz", "/healthz", "/metrics", "/v1/status"}
RULE = {"endpoint": "POST /fapi/v1/order", "probability": "0.5", "effect": "drop_before_execution"}
CALLS = [
    ("GET", "/sim/clock", None),
    ("POST", "/sim/clock", {"speed": "1"}),
    ("GET", "/sim/accounts", None),
    ("POST", "/sim/accounts", {"balance": "5", "key_type": "HMAC", "permissions": ["READ"]}),
    ("GET", "/sim/ledger", None),
    ("GET", "/sim/book?symbol=BTCUSDT&limit=3", None),
    ("GET", "/sim/book?symbol=NOTHING", None),
    ("GET", "/sim/stats", None),
    ("GET", "/sim/log?after=0&limit=5", None),
    ("POST", "/sim/faults", [RULE]),
    ("GET", "/sim/faults", None),
    ("DELETE", "/sim/faults", None),
    ("POST", "/sim/event-faults", [{"event": "TRADE_LITE", "effect": "drop", "nth": 1}]),
    ("GET", "/sim/event-faults", None),
    ("DELETE", "/sim/event-faults", None),
    ("POST", "/sim/stream-faults", [{"stream": "*@depth*", "effect": "pu_gap", "nth": 3}]),
    ("GET", "/sim/stream-faults", None),
    ("DELETE", "/sim/stream-faults", None),
    ("GET", "/sim/funding", None),
    ("POST", "/sim/funding", {"symbol": "SOLUSDT", "rate": None}),
    ("POST", "/sim/withdrawals", {"account_id": "demo", "amount": "1"}),
    ("POST", "/sim/commissions", {
        "account_id": "demo", "maker": "0.0002", "taker": "0.0005", "rpi": "0",
    }),
    ("GET", "/sim/statuses", None),
    ("POST", "/sim/statuses", {"symbol": "SOLUSDT", "status": "TRADING"}),
    ("POST", "/sim/scenarios", {"name": "silent-stream"}),
    ("GET", "/sim/scenarios", None),
    ("GET", "/sim/stats", None),
    ("DELETE", "/sim/scenarios", None),
    ("GET", "/sim/conditions", None),
    ("POST", "/sim/conditions", {"clock_offset_ms": 0}),
    ("POST", "/sim/bans", {"for_ms": 1, "address": "192.0.2.1"}),
    ("DELETE", "/sim/bans?address=192.0.2.1", None),
    ("POST", "/sim/user-stream", {"account_id": "nobody", "action": "stall"}),
    ("POST", "/sim/surprises", {
        "account_id": "demo", "symbol": "BTCUSDT", "kind": "manual_order", "side": "BUY",
        "quantity": "0.010",
    }),
    ("POST", "/sim/reset", None),
    ("GET", "/livez", None),
    ("GET", "/readyz", None),
    ("GET", "/startupz", None),
    ("GET", "/healthz", None),
    ("GET", "/v1/status", None),
]  # fmt: skip
PYTHON_TYPES = {
    "string": str, "integer": int, "boolean": bool, "object": dict, "array": list,
    "null": type(None),
}  # fmt: skip


async def read_document(customer) -> dict[str, Any]:
    async with customer.session.get(customer.url + "/openapi.json") as response:
        assert response.content_type == "application/json"
        return await response.json()


def faults_of(value: Any, schema: dict[str, Any], schemas: dict[str, Any], at: str) -> list[str]:
    """Where a value is not what the schema says: as much of JSON Schema as the document uses."""
    if "$ref" in schema:
        return faults_of(value, schemas[schema["$ref"].rpartition("/")[2]], schemas, at)
    if "anyOf" in schema:
        tried = [faults_of(value, one, schemas, at) for one in schema["anyOf"]]
        return [] if [] in tried else tried[0]
    found = []
    if "const" in schema and value != schema["const"]:
        found.append(f"{at}: {value!r} is not {schema['const']!r}")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{at}: {value!r} is none of {schema['enum']}")
    if "type" in schema:
        named = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if not isinstance(value, tuple(PYTHON_TYPES.get(name, float) for name in named)):
            return [*found, f"{at}: {value!r} is no {schema['type']}"]
    if isinstance(value, list):
        for index, item in enumerate(value):
            found += faults_of(item, schema.get("items", {}), schemas, f"{at}[{index}]")
    if isinstance(value, dict):
        known, others = schema.get("properties", {}), schema.get("additionalProperties", {})
        found += [
            f"{at}.{name} is missing" for name in schema.get("required", ()) if name not in value
        ]
        if known:
            found += [f"{at}.{name} is not described" for name in value if name not in known]
        for name, item in value.items():
            found += faults_of(item, known.get(name, others), schemas, f"{at}.{name}")
    return found


async def test_the_document_is_openapi_31_and_every_reference_leads_somewhere(customer):
    document = await read_document(customer)
    assert document["openapi"].startswith("3.1.")
    OpenAPI.model_validate(document)
    named = set(re.findall(r"#/components/schemas/(\w+)", str(document)))
    assert named <= set(document["components"]["schemas"])


async def test_every_door_of_the_simulation_is_described_and_the_venues_own_are_listed(customer):
    document = await read_document(customer)
    described = {
        (method.upper(), path) for path, item in document["paths"].items() for method in item
    }
    served = {(method, path.partition("?")[0]) for method, path, _ in CALLS}
    served |= {("GET", "/metrics")}
    assert described == served
    assert set(document["paths"]) >= PROBES
    for endpoint in ("POST /fapi/v1/order", "GET /public/stream", "GET /private/ws"):
        assert f"`{endpoint}`" in document["info"]["description"]
    assert "/sim" not in document["info"]["description"]


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
async def test_answers_are_what_the_document_says(customer, method, path, body):
    document = await read_document(customer)
    operation = document["paths"][path.partition("?")[0]][method.lower()]
    await customer.call("POST", "/fapi/v1/order", symbol="BTCUSDT", side="BUY", type="MARKET",
                        quantity="0.010")  # fmt: skip
    async with customer.session.request(method, customer.url + path, json=body) as response:
        described = operation["responses"][str(response.status)]["content"][response.content_type]
        found = await response.json()
    assert faults_of(found, described["schema"], document["components"]["schemas"], path) == []
    await customer.sim("DELETE", "/sim/faults")


def test_every_route_of_the_simulation_is_described():
    venue = open_venue(Settings())
    served = {
        (route.method, route.resource.canonical)
        for route in venue.build_app().router.routes()
        if route.method != "HEAD" and route.resource.canonical.startswith("/sim/")
    }
    paths = describe(())["paths"]
    described = {(method.upper(), path) for path in paths for method in paths[path]}
    assert served == {(method, path) for method, path in described if path.startswith("/sim/")}


async def test_a_refusal_is_what_the_document_says(customer):
    document = await read_document(customer)
    for path in ("/sim/clock", "/sim/accounts", "/sim/faults"):
        async with customer.session.post(customer.url + path, data=b"{") as response:
            assert str(response.status) in document["paths"][path]["post"]["responses"]
            found = await response.json()
        schemas = document["components"]["schemas"]
        assert faults_of(found, schemas["Refusal"], schemas, path) == []


async def test_the_page_needs_nothing_from_elsewhere(customer):
    async with customer.session.get(customer.url + "/docs") as response:
        assert response.status == 200
        assert response.content_type == "text/html"
        policy, page = response.headers["Content-Security-Policy"], await response.text()
    assert policy.startswith("default-src 'self'")
    assert "//" not in page
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(loaded) == 4
    for path in loaded:
        assert path.startswith("/docs/")
        async with customer.session.get(customer.url + path) as response:
            assert response.status == 200, path
            assert len(await response.read()) > 0
    async with customer.session.get(customer.url + "/docs/start.js") as response:
        script = await response.text()
    assert "//" not in script
    assert '"/openapi.json"' in script


@pytest.mark.parametrize("path", ["/docs/assets/", "/docs/assets/..%2fcore.py", "/docs/nothing"])
async def test_nothing_but_the_assets_is_served(customer, path):
    async with customer.session.get(customer.url + path) as response:
        assert response.status in (403, 404)


def shell_examples() -> list[str]:
    """The blocks of the page that are typed into a shell."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return [text for language, text in blocks if not language]


def test_the_page_tells_the_published_keys():
    page = PAGE.read_text()
    for text in (DEMO_TRADE_KEY, DEMO_TRADE_SECRET, DEMO_READ_KEY, DEMO_READ_SECRET):
        assert f"`{text}`" in page


def test_the_scenario_of_the_page_is_one():
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert parse_scenario(text).name == "my-bad-day"
    for name in shipped_names():
        assert f"`{name}`" in PAGE.read_text()


def test_every_option_of_the_page_is_one():
    lines = [line for block in shell_examples() for line in block.splitlines()]
    started = [line.split()[3:] for line in lines if "-m services.paper_exchange " in line]
    assert len(started) == 5
    for options in started:
        assert parse_settings(options).port == 8300


async def test_every_endpoint_of_the_page_is_described(customer):
    document = await read_document(customer)
    described = document["paths"]
    named = set(re.findall(r"(/sim/[\w-]+)", PAGE.read_text()))
    assert named == {path for path in described if path.startswith("/sim/")}


@pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("openssl")), reason="the example needs them"
)
def test_the_order_and_the_fault_of_the_page_do_what_it_says(running_venue):
    order, fault, event_fault, stream_fault = [
        block for block in shell_examples() if "curl" in block
    ][:4]

    def type_in(block: str) -> str:
        typed = block.replace("http://127.0.0.1:8300", running_venue.url)
        done = subprocess.run(["bash", "-c", typed], capture_output=True, text=True, timeout=20)
        return done.stdout

    assert json.loads(type_in(order))["status"] == "NEW"
    (rule,) = json.loads(type_in(fault))["faults"]
    assert rule["effect"] == "drop_after_execution"
    assert type_in(order) == "", "the connection is reset"
    assert json.loads(type_in(order))["status"] == "NEW"
    for block in (event_fault, stream_fault):
        (rule,) = json.loads(type_in(block))["faults"]
        assert rule["seen"] == 0
    for kind in ("faults", "event-faults", "stream-faults"):
        type_in(f"curl -s -X DELETE {running_venue.url}/sim/{kind}")
