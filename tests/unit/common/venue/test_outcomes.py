import json

import pytest

from libs.common.venue.outcome_table import CODES, Judgement, Reason, ThrottleKind, Verdict
from libs.common.venue.outcomes import (
    Accepted,
    Outcome,
    Rejected,
    Throttled,
    Unknown,
    classify,
    describe,
    lost,
    not_sent,
    throttled_until_ms,
)

R, T, V = Reason, ThrottleKind, Verdict

# Written from the venue's error-code page, not from our table.
EXPECTED: dict[int, Judgement] = {
    -1000: V.UNKNOWN, -1006: V.UNKNOWN, -1007: V.UNKNOWN,
    -1001: R.INTERNAL, -1016: R.INTERNAL,
    -1008: T.OVERLOADED, -1003: T.REQUEST_LIMIT, -1015: T.ORDER_LIMIT,
    -1021: R.TIMESTAMP, -5028: R.TIMESTAMP,
    -1002: R.PERMISSION, -4087: R.PERMISSION, -4088: R.PERMISSION,
    -1022: R.SIGNATURE,
    -2014: R.API_KEY, -2015: R.API_KEY, -2017: R.API_KEY, -4056: R.API_KEY, -4057: R.API_KEY,
    -4192: R.TRADING_RULES, -4400: R.TRADING_RULES, -4401: R.TRADING_RULES,
    -4402: R.TRADING_RULES,
    -2018: R.MARGIN_INSUFFICIENT, -2019: R.MARGIN_INSUFFICIENT,
    -2022: R.REDUCE_ONLY_REJECTED, -2024: R.REDUCE_ONLY_REJECTED, -2026: R.REDUCE_ONLY_REJECTED,
    -4062: R.REDUCE_ONLY_REJECTED, -4118: R.REDUCE_ONLY_REJECTED,
    -2010: R.ORDER_REFUSED, -2020: R.UNFILLABLE, -2021: R.WOULD_TRIGGER, -2023: R.LIQUIDATION,
    -2025: R.OPEN_ORDERS_MAX, -4045: R.OPEN_ORDERS_MAX,
    -2027: R.LEVERAGE, -2028: R.LEVERAGE, -4028: R.LEVERAGE, -4161: R.LEVERAGE,
    -1013: R.FILTER, -1111: R.FILTER, -4001: R.FILTER, -4002: R.FILTER, -4003: R.FILTER,
    -4004: R.FILTER, -4005: R.FILTER, -4006: R.FILTER, -4007: R.FILTER, -4013: R.FILTER,
    -4014: R.FILTER, -4016: R.FILTER, -4023: R.FILTER, -4024: R.FILTER, -4131: R.FILTER,
    -4164: R.FILTER, -4183: R.FILTER, -4184: R.FILTER, -4210: R.FILTER, -4211: R.FILTER,
    -5029: R.FILTER,
    -1102: R.PARAMETER, -1106: R.PARAMETER, -1116: R.PARAMETER, -1130: R.PARAMETER,
    -4015: R.PARAMETER, -4120: R.PARAMETER, -4137: R.PARAMETER, -4138: R.PARAMETER,
    -5025: R.PARAMETER, -5037: R.PARAMETER, -5038: R.PARAMETER, -5039: R.PARAMETER,
    -5040: R.PARAMETER,
    -1121: R.SYMBOL,
    -4140: R.SYMBOL_STATUS, -4141: R.SYMBOL_STATUS, -5024: R.SYMBOL_STATUS,
    -4061: R.POSITION_MODE, -4142: R.WOULD_TRIGGER, -4117: R.TRIGGERING,
    -5021: R.UNFILLABLE, -5022: R.UNFILLABLE, -5041: R.UNFILLABLE,
    -5026: R.ORDER_REFUSED, -5043: R.ORDER_REFUSED, -5047: R.ORDER_REFUSED,
    -4047: R.SETTING_CONFLICT, -4048: R.SETTING_CONFLICT, -4067: R.SETTING_CONFLICT,
    -4068: R.SETTING_CONFLICT, -4531: R.SETTING_CONFLICT,
    -4116: R.DUPLICATE_CLIENT_ORDER_ID, -2011: R.NOT_FOUND, -2013: R.NOT_FOUND,
    -1125: R.LISTEN_KEY,
    -4046: V.SUCCESS, -4059: V.SUCCESS, -4171: V.SUCCESS, -4052: V.SUCCESS, -5027: V.SUCCESS,
}  # fmt: skip
FATAL = {
    -1002, -1022, -2014, -2015, -2017, -4056, -4057, -4087, -4088, -4192, -4400, -4401, -4402,
}  # fmt: skip


def judge(status: int, code: int | None, message: str = "", *, is_order: bool = True) -> Outcome:
    body = {"msg": message} if code is None else {"code": code, "msg": message}
    return classify(status, json.dumps(body).encode(), {}, is_order=is_order)


def judgement(outcome: Outcome) -> Judgement:
    if isinstance(outcome, Rejected):
        return outcome.reason
    if isinstance(outcome, Throttled):
        return outcome.kind
    return Verdict.SUCCESS if isinstance(outcome, Accepted) else Verdict.UNKNOWN


@pytest.mark.parametrize(("code", "expected"), EXPECTED.items())
def test_every_documented_code_has_its_meaning(code: int, expected: Judgement) -> None:
    outcome = judge(400, code, "some words")
    assert judgement(outcome) == expected
    assert outcome.code == code
    if isinstance(outcome, Rejected):
        assert outcome.is_fatal == (code in FATAL)


def test_the_documented_codes_and_the_table_do_not_drift_apart() -> None:
    assert EXPECTED.items() <= CODES.items()


def test_a_code_is_listed_once() -> None:
    from libs.common.venue import outcome_table as table

    listed = [
        code
        for group in (table._REASONS, table._THROTTLES, table._VERDICTS)
        for codes in group.values()
        for code in codes
    ]
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize("code", sorted(EXPECTED))
@pytest.mark.parametrize("status", [500, 503])
def test_a_5xx_proves_nothing_unless_its_code_says_not_executed(status: int, code: int) -> None:
    proven = {
        -1001: R.INTERNAL,
        -1016: R.INTERNAL,
        -1008: T.OVERLOADED,
        -1003: T.REQUEST_LIMIT,
        -1015: T.ORDER_LIMIT,
    }
    assert judgement(judge(status, code)) == proven.get(code, V.UNKNOWN)


@pytest.mark.parametrize("code", [None, *sorted(EXPECTED)])
@pytest.mark.parametrize("status", [408, 502, 504])
def test_a_gateway_that_gave_up_is_unknown_whatever_it_says(status: int, code: int | None) -> None:
    assert isinstance(judge(status, code), Unknown)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Unknown error, please check your request or try again later.", V.UNKNOWN),
        ("Service Unavailable.", T.OVERLOADED),
        ("Internal error; unable to process your request. Please try again.", R.INTERNAL),
        (
            "Request throttled by system-level protection. Reduce-only/close-position orders",
            T.OVERLOADED,
        ),
        ("Something nobody documented", V.UNKNOWN),
        ("", V.UNKNOWN),
    ],
)
def test_the_meanings_of_503_are_told_apart_by_their_text(
    message: str, expected: Judgement
) -> None:
    assert judgement(judge(503, None, message)) == expected
    assert judgement(classify(503, message.encode(), {}, is_order=True)) == expected


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (429, -1003, T.REQUEST_LIMIT),
        (429, -1015, T.ORDER_LIMIT),
        (429, -1008, T.OVERLOADED),
        (429, None, T.REQUEST_LIMIT),
        (429, -2019, T.REQUEST_LIMIT),
        (418, -1003, T.BANNED),
        (418, None, T.BANNED),
        (403, None, R.FORBIDDEN),
        (403, -2015, R.FORBIDDEN),
        (401, -2015, R.API_KEY),
        (401, -2014, R.API_KEY),
        (401, None, V.UNKNOWN),
        (404, None, V.UNKNOWN),
        (301, None, V.UNKNOWN),
        (400, None, V.UNKNOWN),
        (400, -1099, V.UNKNOWN),
        (400, -1010, V.UNKNOWN),
        (400, -1199, R.OTHER),
        (400, -4999, R.OTHER),
        (400, -2999, R.OTHER),
        (503, -4999, V.UNKNOWN),
        (400, 7, V.UNKNOWN),
        (200, -2019, R.MARGIN_INSUFFICIENT),
        (200, -1007, V.UNKNOWN),
    ],
)
def test_status_and_code_are_read_together(
    status: int, code: int | None, expected: Judgement
) -> None:
    assert judgement(judge(status, code)) == expected


HTML = b"<!DOCTYPE html><html><h1>503 Service Unavailable.</h1></html>"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        HTML,
        b'{"code":-2019,"msg":"Margin is insuf',
        b'{"orderId":1,"status":"NE',
        b"\xff\xfe\x00",
        b"[",
        b"null",
        b"17",
        b'"text"',
        b"{",
        b'{"code":{},"msg":[]}',
    ],
)
@pytest.mark.parametrize("status", [200, 400, 500, 503])
def test_a_body_that_cannot_be_read_proves_nothing(status: int, body: bytes) -> None:
    assert isinstance(classify(status, body, {}, is_order=True), Unknown)


@pytest.mark.parametrize("status", [403, 418, 429])
def test_a_status_that_settles_it_alone_needs_no_body(status: int) -> None:
    assert not isinstance(classify(status, HTML, {}, is_order=True), Unknown)
    assert not isinstance(lost("reset", status=status), Unknown)


@pytest.mark.parametrize("status", [0, 200, 400, 408, 500, 502, 503, 504])
def test_an_answer_that_was_cut_proves_nothing(status: int) -> None:
    outcome = lost("reset", status=status, headers={"x": "y"})
    assert outcome == Unknown("reset", status, 0, {"x": "y"})


def test_an_order_is_accepted_only_by_an_answer_that_names_one() -> None:
    assert isinstance(classify(200, b'{"orderId":1}', {}, is_order=True), Accepted)
    assert isinstance(classify(200, b'{"algoId":1}', {}, is_order=True), Accepted)
    assert isinstance(classify(200, b'[{"orderId":1}]', {}, is_order=True), Accepted)
    assert isinstance(classify(200, b'{"code":200,"msg":"done"}', {}, is_order=True), Accepted)
    assert isinstance(classify(200, b'{"code":"200","msg":"ok"}', {}, is_order=True), Accepted)
    assert isinstance(classify(200, b"{}", {}, is_order=True), Unknown)
    assert isinstance(classify(200, b"{}", {}, is_order=False), Accepted)
    assert isinstance(classify(200, b"[]", {}, is_order=False), Accepted)


def test_a_code_may_come_as_text() -> None:
    outcome = classify(400, b'{"code":"-2019","msg":"Margin is insufficient."}', {}, is_order=True)
    assert isinstance(outcome, Rejected)
    assert outcome.reason is R.MARGIN_INSUFFICIENT
    assert isinstance(classify(400, b'{"code":"x"}', {}, is_order=True), Unknown)


def test_already_as_wanted_is_success_that_keeps_its_code() -> None:
    outcome = judge(400, -4046, "No need to change margin type.", is_order=False)
    assert isinstance(outcome, Accepted)
    assert (outcome.code, outcome.status) == (-4046, 400)


def test_a_ban_ends_when_its_text_says() -> None:
    message = "Way too many requests; IP(1.2.3.4) banned until 1723161255030. Please use websocket"
    for status in (418, 429, 400):
        outcome = judge(status, -1003, message)
        assert isinstance(outcome, Throttled)
        assert outcome.kind is T.BANNED
        assert outcome.is_fatal
        assert throttled_until_ms(outcome, 1_723_161_000_000) == 1_723_161_255_030
        assert throttled_until_ms(outcome, 1_723_161_999_999) == 1_723_161_999_999


@pytest.mark.parametrize(
    ("header", "expected"),
    [("12", 12_000), ("0", 0), (" 3 ", 3_000), ("soon", None), ("-1", None), ("1.5", None)],
)
def test_retry_after_is_read_when_it_is_seconds(header: str, expected: int | None) -> None:
    outcome = classify(429, b"{}", {"retry-after": header}, is_order=True)
    assert isinstance(outcome, Throttled)
    assert outcome.retry_after_ms == expected


@pytest.mark.parametrize(
    ("kind", "until"),
    [
        (T.REQUEST_LIMIT, 120_000),
        (T.ORDER_LIMIT, 120_000),
        (T.BANNED, 61_000 + 120_000),
        (T.OVERLOADED, 62_000),
    ],
)
def test_a_throttle_without_a_word_has_a_stated_end(kind: ThrottleKind, until: int) -> None:
    assert throttled_until_ms(Throttled(429, 0, "", kind), 61_000) == until


def test_retry_after_counts_from_the_venue_time() -> None:
    throttled = Throttled(429, 0, "", T.REQUEST_LIMIT, retry_after_ms=5_000)
    assert throttled_until_ms(throttled, 61_000) == 66_000


@pytest.mark.parametrize("kind", list(ThrottleKind))
def test_a_wait_of_nothing_is_no_word_of_an_end(kind: ThrottleKind) -> None:
    said = Throttled(429, 0, "", kind, retry_after_ms=0)
    assert throttled_until_ms(said, 61_000) == throttled_until_ms(
        Throttled(429, 0, "", kind), 61_000
    )


@pytest.mark.parametrize(
    "said",
    [{"retry_after_ms": 999_999_999_000}, {"banned_until_ms": 9_999_999_999_999}],
)
def test_no_word_holds_for_longer_than_the_longest_ban(said: dict[str, int]) -> None:
    three_days_ms = 3 * 86_400_000
    throttled = Throttled(418, -1003, "", T.BANNED, **said)
    assert throttled_until_ms(throttled, 61_000) == 61_000 + three_days_ms


def test_what_was_not_sent_may_be_sent_again() -> None:
    outcome = not_sent("ClientConnectorError")
    assert outcome.reason is R.NOT_SENT
    assert outcome.is_retryable
    assert not outcome.is_fatal


def test_a_body_is_never_shown_by_repr_or_description() -> None:
    outcome = classify(200, b'{"listenKey":"pqia91"}', {}, is_order=False)
    assert "pqia91" not in repr(outcome) + str(outcome) + describe(outcome)


def test_an_outcome_is_described_in_one_line() -> None:
    outcomes = [
        judge(400, -2019, "Margin is insufficient."),
        judge(429, -1015, "Too many"),
        judge(502, None),
        classify(200, b"{}", {}, is_order=False),
    ]
    assert [describe(one) for one in outcomes] == [
        "rejected MARGIN_INSUFFICIENT (HTTP 400, code -2019): Margin is insufficient.",
        "throttled ORDER_LIMIT (HTTP 429, code -1015): Too many",
        "unknown: HTTP 502: no message",
        "accepted (HTTP 200)",
    ]
