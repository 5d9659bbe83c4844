"""What senders are told when a request goes wrong, and which requests are spared."""

import msgspec
import pytest
from pydantic import ValidationError

from services.paper_exchange.core import Answer
from services.paper_exchange.faults.effects import Effect, told_instead
from services.paper_exchange.faults.rules import FaultRule, Faults

ORDER = "POST /fapi/v1/order"
NOW_NS = 1_700_000_000_000_000_000
DONE = Answer(200, {"orderId": 1, "symbol": "BTCUSDT"})


def told(effect, **more):
    return told_instead(Effect(effect), DONE, NOW_NS, **more)


@pytest.mark.parametrize(
    ("effect", "status", "code", "text"),
    [
        ("http_503_unknown", 503, -1000, "Unknown error, please check your request"),
        ("http_503_unavailable", 503, None, "Service Unavailable."),
        ("http_503_internal", 503, -1001, "Internal error; unable to process your request."),
        ("http_503_throttled", 503, -1008, "Reduce-only/close-position orders are exempt."),
        ("http_408", 408, -1007, "Send status unknown"),
        ("code_1006", 400, -1006, "Execution status unknown."),
        ("code_1007", 400, -1007, "execution status unknown."),
        ("code_1021", 400, -1021, "outside of the recvWindow"),
        ("code_2019", 400, -2019, "Margin is insufficient."),
        ("http_429", 429, -1003, "Too many requests"),
        ("http_418", 418, -1003, f"banned until {NOW_NS // 1_000_000 + 120_000}."),
        ("delay", 200, None, ""),
    ],
)
def test_each_effect_has_its_status_code_and_text(effect, status, code, text):
    found = told(effect)
    body = msgspec.json.decode(found.bytes())
    assert (found.status, body.get("code")) == (status, code)
    assert text in body.get("msg", "")
    assert ("Retry-After" in found.headers) == (status in (429, 418))


@pytest.mark.parametrize("effect", ["http_403", "http_502", "http_504", "html_body"])
def test_a_gateway_answers_with_a_page(effect):
    found = told(effect)
    assert found.content_type == "text/html"
    assert found.bytes().startswith(b"<html>")


def test_truncated_json_is_the_first_half_of_the_answer():
    found = told("truncated_json")
    assert b'{"orderId":1,"symbol":"BTCUSDT"}'.startswith(found.bytes())
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(found.bytes())


@pytest.mark.parametrize("effect", [effect for effect in Effect if "drop" in effect.value])
def test_a_dropped_request_is_told_nothing(effect):
    assert told(effect) is None


@pytest.mark.parametrize(
    ("values", "endpoint", "is_struck"),
    [
        ({}, ORDER, True),
        ({"reduceOnly": "true"}, ORDER, False),
        ({"closePosition": "True"}, "POST /fapi/v1/algoOrder", False),
        ({}, "DELETE /fapi/v1/order", False),
    ],
)
def test_throttling_spares_whatever_only_reduces(values, endpoint, is_struck):
    faults = Faults()
    faults.set_rules([FaultRule(endpoint=endpoint, effect=Effect.HTTP_503_THROTTLED)])
    assert (faults.strike(endpoint, values) is not None) == is_struck
    assert faults.struck == ({"http_503_throttled": 1} if is_struck else {})


@pytest.mark.parametrize("effect", list(Effect))
def test_a_rule_says_whether_the_request_is_carried_out(effect):
    refusal = {"code": -5028} if effect is Effect.REFUSE else {}
    rule = FaultRule(endpoint=ORDER, effect=effect, delay_ms=5, **refusal)
    always = {"drop_after_execution", "delay", "late_arrival", "drop_late_arrival",
              "http_503_unknown"}  # fmt: skip
    open_either_way = {"http_502", "http_504", "http_408", "code_1006", "code_1007", "html_body",
                       "truncated_json"}  # fmt: skip
    assert rule.carries_out == (effect.value in always | open_either_way)
    if effect.value in open_either_way:
        assert not FaultRule(endpoint=ORDER, effect=effect, executes=False).carries_out
    else:
        with pytest.raises(ValidationError):
            FaultRule(endpoint=ORDER, effect=effect, delay_ms=5, executes=False, **refusal)


def test_any_refusal_of_the_venue_may_be_asked_for():
    found = told("refuse", code=-5028)
    assert (found.status, found.body["code"]) == (400, -5028)
    assert told("refuse", code=-2015).status == 401
    unvalued = told("refuse", code=-1130).body["msg"]
    assert unvalued == "Data sent for parameter '%s' is not valid."
    for wrong in ({"effect": "refuse"}, {"effect": "refuse", "code": -1},
                  {"effect": "http_408", "code": -5028}):  # fmt: skip
        with pytest.raises(ValidationError):
            FaultRule(endpoint=ORDER, **wrong)
