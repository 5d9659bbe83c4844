"""Fills of which the user stream tells one half only."""

from decimal import Decimal

from libs.common.venue.user_payloads import AccountChange, AccountUpdate, PositionUpdate
from services.execution.word_pairs import Missing, WordPairs

MS = 1_000_000
WAIT_MS = 1_000
BTC = "BTCUSDT"


class Book:
    """Positions as fills add up, and the pairs that look at them."""

    def __init__(self) -> None:
        self.held = Decimal(0)
        self.pairs = WordPairs(WAIT_MS, lambda _: self.held)

    def account(self, quantity: str, at_ms: int, reason: str = "ORDER") -> None:
        told = PositionUpdate(
            symbol=BTC, quantity=Decimal(quantity), entry_price=Decimal(1), position_side="BOTH"
        )
        change = AccountChange(reason=reason, positions=(told,))
        event = AccountUpdate(event_ms=at_ms, transaction_ms=at_ms, change=change)
        self.pairs.hear_account(event, at_ms * MS)

    def fill(self, quantity: str, at_ms: int) -> None:
        self.held += Decimal(quantity)
        self.pairs.hear_fill(BTC, at_ms, at_ms * MS)

    def overdue(self, at_ms: int) -> list[tuple[str, Missing]]:
        return self.pairs.overdue(at_ms * MS)


def test_both_halves_in_either_order_leave_nothing_overdue() -> None:
    book = Book()
    book.account("1", 10)
    book.fill("1", 10)
    book.fill("1", 20)
    book.account("2", 20)
    assert book.overdue(5_000) == []


def test_a_position_that_no_fill_explains_is_named_once_after_the_wait() -> None:
    book = Book()
    book.account("1", 10)
    assert book.overdue(10 + WAIT_MS - 1) == []
    assert book.overdue(10 + WAIT_MS) == [(BTC, Missing.FILL)]
    assert book.overdue(99_999) == []


def test_a_fill_that_no_account_update_follows_is_named_once_after_the_wait() -> None:
    book = Book()
    book.fill("1", 10)
    assert book.overdue(10 + WAIT_MS - 1) == []
    assert book.overdue(10 + WAIT_MS) == [(BTC, Missing.ACCOUNT)]
    assert book.overdue(99_999) == []


def test_an_account_update_of_before_the_fill_is_not_its_half() -> None:
    book = Book()
    book.fill("1", 20)
    book.account("0", 10)
    assert (BTC, Missing.ACCOUNT) in book.overdue(20 + WAIT_MS)


def test_what_is_no_trade_names_no_missing_fill() -> None:
    book = Book()
    book.account("1", 10, reason="FUNDING_FEE")
    assert book.overdue(99_999) == []


def test_a_clock_that_goes_back_ends_the_wait() -> None:
    book = Book()
    book.account("1", 10_000)
    assert book.overdue(9_000) == [(BTC, Missing.FILL)]


def test_a_new_connection_forgets_what_the_old_one_told() -> None:
    book = Book()
    book.account("1", 10)
    book.fill("3", 10)
    book.pairs.forget()
    assert book.overdue(99_999) == []
