"""The book: depth levels bounded by the newest quote, exact whatever order news arrives in."""

from decimal import Decimal

import pytest

from services.paper_exchange.market.book import Book


def _book() -> Book:
    book = Book("BTCUSDT", 2)
    book.apply_snapshot(
        10,
        [("100.00", "1.000"), ("99.90", "2.000"), ("99.80", "3.000")],
        [("100.10", "1.500"), ("100.20", "2.500")],
        1,
    )
    return book


def test_the_best_levels_are_the_highest_bid_and_the_lowest_ask() -> None:
    book = _book()
    assert book.best_bid == (Decimal("100.00"), Decimal("1.000"))
    assert book.best_ask == (Decimal("100.10"), Decimal("1.500"))
    assert book.mid_price == Decimal("100.05")


def test_a_taker_hits_the_other_side_best_first() -> None:
    book = _book()
    assert [str(price) for price, _ in book.levels_for_taker("BUY")] == ["100.10", "100.20"]
    assert [str(price) for price, _ in book.levels_for_taker("SELL")] == [
        "100.00",
        "99.90",
        "99.80",
    ]


def test_depth_quantities_are_absolute_and_zero_removes_a_level() -> None:
    book = _book()
    book.apply_depth(11, [("100.00", "0.000"), ("99.90", "7")], [("100.15", "1")], 2)
    assert book.best_bid == (Decimal("99.90"), Decimal(7))
    assert [str(price) for price, _ in book.levels_for_taker("BUY")] == [
        "100.10",
        "100.15",
        "100.20",
    ]
    assert book.last_update_id == 11


def test_removing_an_absent_level_is_normal() -> None:
    book = _book()
    book.apply_depth(11, [("1.00", "0")], [("900.00", "0.000")], 2)
    assert book.snapshot(5)[0][0] == ("100.00", "1.000")


def test_a_quote_removes_better_and_crossed_levels() -> None:
    book = _book()
    book.apply_quote(12, ("99.90", "0.5"), ("100.00", "4"), 3)
    assert book.best_bid == (Decimal("99.90"), Decimal("0.5"))
    assert book.best_ask == (Decimal("100.00"), Decimal(4))


def test_depth_older_than_the_quote_cannot_bring_back_what_the_quote_removed() -> None:
    book = _book()
    book.apply_quote(20, ("99.90", "0.5"), ("100.10", "4"), 3)
    book.apply_depth(15, [("100.00", "9"), ("99.70", "1")], [], 4)
    assert book.best_bid == (Decimal("99.90"), Decimal("0.5"))
    assert ("99.70", "1") in book.snapshot(10)[0]


def test_depth_newer_than_the_quote_moves_the_top() -> None:
    book = _book()
    book.apply_quote(20, ("99.90", "0.5"), ("100.10", "4"), 3)
    book.apply_depth(21, [("100.00", "9")], [], 4)
    assert book.best_bid == (Decimal("100.00"), Decimal(9))


def test_updates_seen_before_an_older_snapshot_are_applied_again_after_it() -> None:
    book = Book("BTCUSDT", 2)
    book.apply_depth(9, [("99.00", "1")], [], 1)
    book.apply_depth(12, [("100.00", "0"), ("99.50", "5")], [], 2)
    book.apply_snapshot(10, [("100.00", "1")], [("100.10", "1")], 3)
    assert book.best_bid == (Decimal("99.50"), Decimal(5))
    assert book.last_update_id == 12


def test_depth_older_than_the_snapshot_is_ignored() -> None:
    book = _book()
    book.apply_depth(9, [("100.00", "0")], [], 2)
    assert book.best_bid == (Decimal("100.00"), Decimal("1.000"))


def test_prices_differing_only_in_trailing_zeros_are_one_level() -> None:
    book = _book()
    book.apply_depth(11, [("100", "2"), ("100.0000", "3")], [], 2)
    assert book.snapshot(1)[0] == [("100.00", "3")]


def test_a_price_finer_than_the_symbol_is_refused_not_rounded() -> None:
    with pytest.raises(ValueError, match="decimals"):
        _book().apply_depth(11, [("100.001", "2")], [], 2)


def test_an_empty_book_has_no_best_and_no_middle() -> None:
    book = Book("BTCUSDT", 2)
    assert book.best_bid is None
    assert book.best_ask is None
    assert book.mid_price is None
    assert list(book.levels_for_taker("BUY")) == []
