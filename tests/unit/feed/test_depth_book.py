"""The order book follows the venue's rules, and is either right or says that it is not."""

import random
from decimal import Decimal

import pytest

from services.feed.depth_book import DepthBook, Snapshot
from services.feed.events import DepthEvent, UnreadableError, read_frame

LEVELS_MAX = 1_000


def new_book(top_levels=5, levels_max=LEVELS_MAX, buffer_max=100):
    return DepthBook(top_levels=top_levels, levels_max=levels_max, buffer_max=buffer_max)


def level(price, quantity):
    return Decimal(price), Decimal(quantity)


def event(first, last, previous, *, bids=(), asks=(), at_ms=None):
    levels = [tuple(level(*one) for one in side) for side in (bids, asks)]
    return DepthEvent(last if at_ms is None else at_ms, "BTCUSDT", first, last, previous, *levels)


def snapshot(update_id, *, bids=((100, 1),), asks=((101, 1),), levels_max=LEVELS_MAX, at_ms=None):
    sides = [[level(*one) for one in side] for side in (bids, asks)]
    return Snapshot(update_id, update_id if at_ms is None else at_ms, *sides, levels_max)


def built_book(**limits):
    book = new_book(**limits)
    book.on_event(event(8, 10, 7))
    book.on_snapshot(snapshot(10))
    assert book.is_valid
    return book


def test_a_book_is_built_from_the_first_change_that_spans_the_snapshot():
    book = new_book()
    assert not book.needs_snapshot
    for one in (event(1, 4, 0), event(5, 8, 4, bids=[(99, 5)]), event(9, 9, 8, asks=[(101, 0)])):
        book.on_event(one)
    assert book.needs_snapshot
    book.on_snapshot(snapshot(6, asks=((101, 1), (102, 2))))
    assert book.top() == ([level(100, 1), level(99, 5)], [level(102, 2)])
    assert (book.update_id, book.counts["rebuilds"]) == (9, 1)


def test_a_snapshot_ahead_of_all_changes_waits_for_the_one_that_follows_it():
    book = new_book()
    book.on_event(event(1, 4, 0))
    book.on_snapshot(snapshot(10))
    assert (book.is_valid, book.needs_snapshot, book.top()) == (False, False, ([], []))
    book.on_event(event(5, 9, 4))
    assert not book.is_valid
    book.on_event(event(11, 12, 10, bids=[(100, 3)]))
    assert book.top()[0] == [level(100, 3)]


def test_a_snapshot_older_than_the_first_change_is_asked_for_again_and_the_changes_kept():
    book = new_book()
    book.on_event(event(8, 10, 7))
    book.on_event(event(11, 12, 10))
    book.on_snapshot(snapshot(6))
    assert (book.is_valid, book.needs_snapshot, book.buffered) == (False, True, 2)
    assert book.counts["snapshots_old"] == 1
    book.on_snapshot(snapshot(9))
    assert (book.is_valid, book.update_id) == (True, 12)


def test_a_missing_change_breaks_the_book_and_shows_nothing_until_it_is_built_anew():
    book = built_book()
    book.on_event(event(12, 13, 11))
    assert (book.is_valid, book.top(), book.counts["pu_breaks"]) == (False, ([], []), 1)
    assert "pu 11" in book.why
    assert book.needs_snapshot
    book.on_snapshot(snapshot(13, bids=((50, 1),)))
    assert book.top()[0] == [level(50, 1)]


def test_a_change_told_twice_or_late_changes_nothing():
    book = built_book()
    book.on_event(event(11, 12, 10, bids=[(100, 2)]))
    book.on_event(event(11, 12, 10, bids=[(100, 2)]))
    book.on_event(event(8, 10, 7, bids=[(100, 9)]))
    assert book.top()[0] == [level(100, 2)]
    assert (book.is_valid, book.counts["repeated"]) == (True, 2)


def test_a_venue_that_counts_from_new_numbers_is_not_taken_for_one_that_repeats_itself():
    book = built_book()
    book.on_event(event(1, 2, 0, at_ms=20_000))
    assert (book.is_valid, book.needs_snapshot) == (False, True)
    book.on_event(event(3, 4, 2, at_ms=20_100))
    book.on_snapshot(snapshot(3, at_ms=20_050))
    assert (book.is_valid, book.update_id) == (True, 4)


def test_an_interrupted_stream_makes_the_book_invalid():
    book = built_book()
    book.on_lost("its socket is down")
    assert (book.is_valid, book.needs_snapshot, book.why) == (False, False, "its socket is down")


def test_a_crossed_book_is_no_book():
    book = built_book()
    book.on_event(event(11, 12, 10, bids=[(101, 1)]))
    assert (book.is_valid, book.counts["crossed"]) == (False, 1)


def test_what_lies_behind_the_last_level_told_is_not_taken_for_known():
    book = new_book(top_levels=2)
    book.on_event(event(8, 10, 7))
    book.on_snapshot(snapshot(10, bids=((100, 1), (99, 1), (98, 1)), levels_max=3))
    book.on_event(event(11, 11, 10, bids=[(90, 7)]))
    assert book.is_valid
    book.on_event(event(12, 12, 11, bids=[(100, 0)]))
    assert book.top()[0] == [level(99, 1), level(98, 1)]
    book.on_event(event(13, 13, 12, bids=[(99, 0)]))
    assert (book.is_valid, book.counts["ran_out"]) == (False, 1)


def test_levels_and_waiting_changes_are_bounded():
    book = built_book(top_levels=2, levels_max=3, buffer_max=3)
    for number in range(5):
        last = 11 + number
        book.on_event(event(last, last, last - 1, bids=[(90 + number, 1)]))
    assert book.top()[0] == [level(100, 1), level(94, 1)]
    book.on_lost("test")
    for number in range(5):
        book.on_event(event(20 + number, 20 + number, 19 + number))
    assert (book.buffered, book.counts["buffer_dropped"]) == (3, 2)


@pytest.mark.parametrize("bad", ['["NaN","1"]', '["1","-1"]', '["0","1"]', '["1","Infinity"]'])
def test_a_level_that_cannot_be_makes_the_change_unreadable(bad):
    text = (
        '{"stream":"btcusdt@depth","data":{"e":"depthUpdate","E":1,"T":1,"s":"BTCUSDT",'
        f'"U":1,"u":2,"pu":0,"b":[{bad}],"a":[]}}}}'
    )
    with pytest.raises(UnreadableError):
        read_frame(text.encode())


class SlowVenue:
    """Two dictionaries and every change ever made: slow, and beyond doubt."""

    def __init__(self, dice):
        self.dice = dice
        self.sides = ({}, {})
        self.last_id = dice.randint(100, 200)
        self.history = {}
        for _ in range(12):
            self.sides[0][Decimal(dice.randint(80, 100))] = Decimal(dice.randint(1, 9))
            self.sides[1][Decimal(dice.randint(101, 120))] = Decimal(dice.randint(1, 9))
        self.remember()

    def remember(self):
        bids, asks = self.sides
        self.history[self.last_id] = (
            sorted(bids.items(), reverse=True),
            sorted(asks.items()),
        )

    def move(self):
        """One change of the stream, over several ids."""
        previous = self.last_id
        first = previous + self.dice.randint(1, 3)
        last = first + self.dice.randint(0, 4)
        told = ({}, {})
        for number, (low, high) in enumerate(((80, 100), (101, 120))):
            for _ in range(self.dice.randint(0, 4)):
                price, quantity = (
                    Decimal(self.dice.randint(low, high)),
                    Decimal(self.dice.choice((0, 0, *range(1, 9)))),
                )
                told[number][price] = quantity
                if quantity:
                    self.sides[number][price] = quantity
                else:
                    self.sides[number].pop(price, None)
        self.last_id = last
        self.remember()
        levels = [tuple(side.items()) for side in told]
        return DepthEvent(last * 10, "BTCUSDT", first, last, previous, *levels)

    def snapshot(self, levels_max):
        bids, asks = self.history[self.last_id]
        return Snapshot(
            self.last_id, self.last_id * 10, bids[:levels_max], asks[:levels_max], levels_max
        )


@pytest.mark.parametrize("seed", range(60))
def test_whatever_is_lost_doubled_or_reordered_the_book_is_the_venues_or_says_it_is_not(seed):
    dice = random.Random(seed)
    venue = SlowVenue(dice)
    levels_max = dice.choice((5, 8, 1_000))
    book = new_book(top_levels=4, levels_max=levels_max + 10, buffer_max=20)
    held, waiting, told, valid = [], [], [], 0
    for _ in range(400):
        change = venue.move()
        fate = dice.random()
        if fate < 0.02:
            pass  # lost
        elif fate < 0.05:
            held.append(change)  # overtaken
        else:
            told += [change] * (2 if fate < 0.08 else 1)
            told += held if dice.random() < 0.5 else []
            held = held if held and held[0] not in told else []
        for one in told:
            book.on_event(one)
            if book.is_valid:
                valid += 1
                bids, asks = venue.history[book.update_id]
                assert book.top() == (bids[:4], asks[:4])
            else:
                assert book.top() == ([], [])
        told.clear()
        if book.needs_snapshot and not waiting and dice.random() < 0.4:
            waiting.append(venue.snapshot(levels_max))  # asked now, answered some changes later
        elif waiting and dice.random() < 0.4:
            book.on_snapshot(waiting.pop())
            if book.is_valid:
                bids, asks = venue.history[book.update_id]
                assert book.top() == (bids[:4], asks[:4])
        if dice.random() < 0.004:
            book.on_lost("test")
    assert valid > 50
    assert book.counts["pu_breaks"] > 0
    assert book.counts["rebuilds"] > 1
