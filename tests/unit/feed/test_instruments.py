"""Each symbol is judged by itself, and by what the venue said not too long ago."""

import json

import pytest

from libs.common.venue.payloads import ExchangeInfo, decode_payload
from services.feed.instruments import Instruments, StatusChange
from services.feed.skew import NEVER_MEASURED, judge

NOW_MS = 1_763_000_000_000
NS_PER_MS = 1_000_000
NOW_NS = NOW_MS * NS_PER_MS
DAY_MS = 86_400_000
FAR_MS = 4_133_404_800_000
SYMBOLS = ("BTCUSDT", "ETHUSDT")
FILTERS = [
    {"filterType": "PRICE_FILTER", "tickSize": "0.10", "minPrice": "1", "maxPrice": "9"},
    {"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.001", "maxQty": "9"},
    {"filterType": "MIN_NOTIONAL", "notional": "5"},
]
ZERO_TICK = [{**FILTERS[0], "tickSize": "0"}, *FILTERS[1:]]


def entry(symbol, **changes):
    sound = {"symbol": symbol, "status": "TRADING", "pricePrecision": 2, "quantityPrecision": 3}
    return {**sound, "filters": FILTERS, "onboardDate": 1, "deliveryDate": FAR_MS, **changes}


def info(*entries):
    return decode_payload(json.dumps({"symbols": entries}).encode(), ExchangeInfo)


def told(*entries, symbols=SYMBOLS):
    instruments = Instruments(symbols, age_ms_max=3_600_000, warn_ahead_ms=3 * DAY_MS)
    instruments.take(info(*entries), NOW_NS)
    return instruments


def test_before_the_first_answer_nothing_takes_new_risk():
    instruments = Instruments(SYMBOLS, age_ms_max=1_000, warn_ahead_ms=0)
    assert all(instruments.refusal(symbol, NOW_NS) for symbol in SYMBOLS)
    assert instruments.is_old(NOW_NS)


@pytest.mark.parametrize(
    ("entries", "status", "words"),
    [
        ([entry("ETHUSDT", filters=ZERO_TICK)], "UNREADABLE", "tick"),
        ([entry("ETHUSDT", filters=FILTERS[1:])], "UNREADABLE", "PRICE_FILTER"),
        ([entry("ETHUSDT", filters=None)], "UNREADABLE", "filters"),
        ([entry("ETHUSDT", deliveryDate="soon")], "UNREADABLE", "deliveryDate"),
        ([entry("ETHUSDT", status="WHATEVER")], "WHATEVER", "nobody knows"),
        ([entry("ETHUSDT", status="trading")], "trading", "nobody knows"),
        ([entry("ETHUSDT", status="SETTLING", filters=ZERO_TICK)], "SETTLING", "SETTLING"),
        ([entry("ETHUSDT", status="PENDING_TRADING")], "PENDING_TRADING", "PENDING_TRADING"),
        ([entry("ETHUSDT"), entry("ETHUSDT")], "UNREADABLE", "more than once"),
        ([], "ABSENT", "not list"),
        ([None, 5, {"symbol": 7}], "ABSENT", "not list"),
        ([entry("币安人生USDT", filters=ZERO_TICK)], "ABSENT", "not list"),
    ],
)
def test_a_bad_entry_refuses_its_own_symbol_with_the_reason_and_no_other(entries, status, words):
    instruments = told(*entries, entry("BTCUSDT"))
    assert instruments.refusal("BTCUSDT", NOW_NS) == ""
    assert instruments.states["ETHUSDT"].status == status
    assert words in instruments.refusal("ETHUSDT", NOW_NS)
    assert [text.partition(" ")[0] for text in instruments.warnings(NOW_NS)] == ["ETHUSDT"]


def test_a_symbol_with_a_non_ascii_name_is_judged_like_any_other():
    instruments = told(entry("币安人生USDT"), symbols=("币安人生USDT",))
    assert instruments.refusal("币安人生USDT", NOW_NS) == ""


def test_what_became_of_a_symbol_is_told_once_and_counted():
    instruments = told(entry("BTCUSDT"), entry("ETHUSDT"))
    halted = info(entry("BTCUSDT"), entry("ETHUSDT", status="TRADING_HALT"))
    [change] = instruments.take(halted, NOW_NS)
    assert change == StatusChange(
        "ETHUSDT", "TRADING", "TRADING_HALT", "its status is TRADING_HALT"
    )
    assert instruments.take(halted, NOW_NS) == []
    assert instruments.take(info(entry("BTCUSDT")), NOW_NS)[0].after == "ABSENT"
    assert instruments.changes == {"TRADING": 2, "TRADING_HALT": 1, "ABSENT": 1}


@pytest.mark.parametrize("age_ms", [3_600_001, -3_600_001])
def test_an_answer_that_is_too_old_or_of_another_clock_refuses_every_symbol(age_ms):
    instruments = told(entry("BTCUSDT"), entry("ETHUSDT"))
    now_ns = NOW_NS + age_ms * NS_PER_MS
    assert all(instruments.refusal(symbol, now_ns) for symbol in SYMBOLS)
    assert not any(instruments.refusal(symbol, NOW_NS) for symbol in SYMBOLS)


def test_a_known_end_is_warned_of_ahead_and_refuses_from_its_moment_on():
    instruments = told(entry("BTCUSDT"), entry("ETHUSDT", deliveryDate=NOW_MS + 4 * DAY_MS))
    assert instruments.warnings(NOW_NS) == []
    later_ns = NOW_NS + 2 * DAY_MS * NS_PER_MS
    instruments.take(
        info(entry("BTCUSDT"), entry("ETHUSDT", deliveryDate=NOW_MS + 4 * DAY_MS)), later_ns
    )
    assert instruments.warnings(later_ns) == ["ETHUSDT is delisted in 2.0 days: get out"]
    assert instruments.refusal("ETHUSDT", later_ns) == ""
    end_ns = NOW_NS + 4 * DAY_MS * NS_PER_MS
    instruments.take(
        info(entry("BTCUSDT"), entry("ETHUSDT", deliveryDate=NOW_MS + 4 * DAY_MS)), end_ns
    )
    assert "last moment" in instruments.refusal("ETHUSDT", end_ns)


@pytest.mark.parametrize(
    ("skew_ms", "age_ms", "level", "words"),
    [
        (None, 0, "fail", NEVER_MEASURED),
        (0, 0, "pass", ""),
        (499, 0, "pass", ""),
        (500, 0, "warn", "0.500 s behind the venue's: let NTP"),
        (-4_999, 0, "warn", "4.999 s ahead of the venue's: let NTP"),
        (5_000, 0, "fail", "5.000 s behind the venue's: let NTP"),
        (-DAY_MS, 0, "fail", "86400.000 s ahead of the venue's: let NTP"),
        (0, 600_001, "fail", "not compared with the venue's for 600 s"),
    ],
)
def test_a_skew_is_passed_warned_of_or_refused_and_says_what_to_do(skew_ms, age_ms, level, words):
    found = judge(skew_ms, age_ms, warn_ms=500, fail_ms=5_000, age_ms_max=600_000)
    assert found.level == level
    assert words in found.text
    assert bool(found.refusal) is (level == "fail")
