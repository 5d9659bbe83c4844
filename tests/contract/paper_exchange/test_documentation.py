"""What the venue says of itself: a page that works offline, and a document that is true."""

import re
from typing import Any

import pytest
from fastapi.openapi.models import OpenAPI

PROBES = {"/livez", "/readyz", "/startupz", "/healthz", "/metrics", "/v1/status"}
RULE = {"endpoint": "POST /fapi/v1/order", "probability": "0.5", "effect": "drop_before_execution"}
CALLS = [
    ("GET", "/sim/clock", None),
    ("POST", "/sim/clock", {"speed": "1"}),
    ("POST", "/sim/accounts", {"balance": "5", "key_type": "HMAC", "permissions": ["READ"]}),
    ("GET", "/sim/ledger", None),
    ("GET", "/sim/stats", None),
    ("GET", "/sim/log?after=0&limit=5", None),
    ("POST", "/sim/faults", [RULE]),
    ("GET", "/sim/faults", None),
    ("DELETE", "/sim/faults", None),
    ("GET", "/livez", None),
    ("GET", "/readyz", None),
    ("GET", "/startupz", None),
    ("GET", "/healthz", None),
    ("GET", "/v1/status", None),
]
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
    served = {(method, path.partition("?")[0]) for method, path, _ in CALLS} | {("GET", "/metrics")}
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
