"""The venue's error classes, and what each lets us do. Written from its pages, not our table."""

import json

import pytest

from libs.common.venue.outcome_table import Reason, ThrottleKind
from libs.common.venue.outcomes import Accepted, Outcome, Rejected, Throttled, Unknown, classify

UNKNOWN = [-1000, -1006, -1007]
NOT_EXECUTED_RETRY = [-1001, -1016, -1021, -5028]
NOT_EXECUTED_WAIT = {
    -1003: ThrottleKind.REQUEST_LIMIT,
    -1008: ThrottleKind.OVERLOADED,
    -1015: ThrottleKind.ORDER_LIMIT,
}
FATAL = [
    -1002, -1022, -2014, -2015, -2017, -4056, -4057, -4087, -4088, -4192, -4400, -4401, -4402,
]  # fmt: skip
BUSINESS = [
    -1013, -1106, -1111, -1116, -1121, -2010, *range(-2028, -2017),
    *range(-4007, -4000), -4013, -4014, -4015, -4016, -4023, -4024, -4028, -4045, -4061, -4062,
    -4118, -4120, -4131, -4137, -4138, -4140, -4141, -4142, -4161, -4164, -4183, -4184, -4210,
    -4211, -5021, -5022, -5024, -5025, -5026, -5029, *range(-5041, -5036), -5043, -5047,
]  # fmt: skip
ALREADY_SO = [-4046, -4052, -4059, -4171, -5027]
ASK_WHAT_BECAME_OF_IT = {
    -2011: Reason.NOT_FOUND,
    -2013: Reason.NOT_FOUND,
    -4116: Reason.DUPLICATE_CLIENT_ORDER_ID,
    -4117: Reason.TRIGGERING,
}


def judge(code: int, status: int = 400) -> Outcome:
    return classify(status, json.dumps({"code": code, "msg": "x"}).encode(), {}, is_order=True)


@pytest.mark.parametrize("code", UNKNOWN)
def test_what_may_have_been_executed_is_unknown(code: int) -> None:
    for status in (200, 400, 408, 500, 503, 504):
        assert isinstance(judge(code, status), Unknown)


@pytest.mark.parametrize("code", NOT_EXECUTED_RETRY)
def test_what_was_not_executed_and_may_be_sent_again_says_so(code: int) -> None:
    outcome = judge(code)
    assert isinstance(outcome, Rejected)
    assert outcome.is_retryable
    assert not outcome.is_fatal


@pytest.mark.parametrize(("code", "kind"), NOT_EXECUTED_WAIT.items())
def test_what_was_not_executed_for_a_limit_waits_for_it(code: int, kind: ThrottleKind) -> None:
    for status in (400, 429, 503):
        outcome = judge(code, status)
        assert isinstance(outcome, Throttled)
        assert outcome.kind is kind


@pytest.mark.parametrize("code", FATAL)
def test_what_no_further_order_can_survive_is_fatal(code: int) -> None:
    for status in (400, 401):
        outcome = judge(code, status)
        assert isinstance(outcome, Rejected)
        assert outcome.is_fatal
        assert not outcome.is_retryable


@pytest.mark.parametrize("code", BUSINESS)
def test_a_refusal_of_this_very_order_is_neither_fatal_nor_repeated(code: int) -> None:
    outcome = judge(code)
    assert isinstance(outcome, Rejected)
    assert not outcome.is_fatal
    assert not outcome.is_retryable


@pytest.mark.parametrize("code", ALREADY_SO)
def test_what_already_is_as_wished_is_success(code: int) -> None:
    outcome = judge(code)
    assert isinstance(outcome, Accepted)
    assert outcome.code == code


@pytest.mark.parametrize(("code", "reason"), ASK_WHAT_BECAME_OF_IT.items())
def test_what_only_a_query_can_settle_has_a_reason_of_its_own(code: int, reason: Reason) -> None:
    outcome = judge(code)
    assert isinstance(outcome, Rejected)
    assert outcome.reason is reason
    assert not outcome.is_retryable


def test_a_code_is_in_one_class_only() -> None:
    groups = [UNKNOWN, NOT_EXECUTED_RETRY, [*NOT_EXECUTED_WAIT], FATAL, BUSINESS, ALREADY_SO]
    codes = [code for group in [*groups, [*ASK_WHAT_BECAME_OF_IT]] for code in group]
    assert len(codes) == len(set(codes))
