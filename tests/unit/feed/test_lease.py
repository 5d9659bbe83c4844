"""The lease: whatever is lost, late or asleep, nobody speaks beside another."""

import random

import pytest
from pydantic import ValidationError

from services.feed.config import FeedConfig
from services.feed.lease import Lease, LeaseLimits, LeaseRecord, Look, Wait, Write

MS = 1_000_000
LIMITS = LeaseLimits(length_ns=1_500 * MS, guard_ns=300 * MS, renew_ns=300 * MS, look_ns=200 * MS)
#: How wrong a replica's monotonic clock may go: within the guard, and far worse than any real one.
RATES = (0.92, 1.0, 1.08)


class Replica:
    """A lease with a clock of its own and at most one request it waits for."""

    def __init__(self, number, rate):
        self.lease, self.rate = Lease(f"r{number}", LIMITS), rate
        self.offset_ns = number * 10**12
        self.asked = self.asked_ns = None


class Interleaving:
    """Requests reach the broker late or never, answers likewise; replicas sleep at will."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.true_ns = 0
        self.record, self.revision = None, 0
        rates = self.dice.sample(RATES, len(RATES))
        self.replicas = [Replica(number, rate) for number, rate in enumerate(rates)]
        self.underway = []  # sent and not arrived; the sender may have given up
        self.answers = []  # given and not heard
        self.reigns = []  # who spoke under which term, one after the other

    def now_ns(self, replica):
        return replica.offset_ns + int(self.true_ns * replica.rate)

    def step(self):
        """One thing happens."""
        replica = self.dice.choice(self.replicas)
        what = self.dice.random()
        if what < 0.25:
            self.true_ns += self.dice.choice((1, 20, 90, 200, 310, 900, 1_200, 1_450, 1_550)) * MS
        elif what < 0.65:
            self.ask(replica)
            if self.underway and self.underway[-1][0] is replica:
                self.hear(*self.underway[-1], self.answer(self.underway.pop()[1]))
        elif what < 0.80:
            self.ask(replica)
        elif what < 0.88 and self.underway:
            late, request = self.underway.pop(self.dice.randrange(len(self.underway)))
            self.answers.append((late, request, self.answer(request)))
        elif what < 0.95 and self.answers:
            self.hear(*self.answers.pop(self.dice.randrange(len(self.answers))))
        elif what < 0.99:
            self.give_up(replica)
        elif replica.asked is None and (write := replica.lease.give_back()) is not None:
            self.send(replica, write)

    def ask(self, replica):
        if replica.asked is None:
            step = replica.lease.next_step(self.now_ns(replica))
            if not isinstance(step, Wait):
                self.send(replica, step)

    def send(self, replica, request):
        replica.asked, replica.asked_ns = request, self.now_ns(replica)
        self.underway.append((replica, request))

    def answer(self, request):
        if isinstance(request, Look):
            return self.record, self.revision
        if request.revision != self.revision:
            return None
        self.record, self.revision = request.record, self.revision + 1
        return self.revision

    def hear(self, replica, request, answer):
        if replica.asked is not request:
            return  # it has given up on that one
        if isinstance(request, Look):
            replica.lease.on_seen(*answer, self.now_ns(replica))
        elif answer is None:
            replica.lease.on_refused(self.now_ns(replica))
        else:
            replica.lease.on_written(request, answer, replica.asked_ns)
        replica.asked = None

    def give_up(self, replica):
        if replica.asked is not None:
            replica.asked = None
            replica.lease.on_silence(self.now_ns(replica))

    def check(self):
        """At most one holds, and a term under which another spoke in between never comes back."""
        speaking = [one for one in self.replicas if one.lease.holds(self.now_ns(one))]
        assert len(speaking) <= 1
        for one in speaking:
            reign = (one.lease.term, id(one))
            if reign not in self.reigns[-1:]:
                assert reign[0] not in {term for term, _ in self.reigns}
                self.reigns.append(reign)
        return speaking

    def calm_down(self):
        """From now on every request is answered at once."""
        for replica in self.replicas:
            self.give_up(replica)
        self.underway.clear()
        end_ns = self.true_ns + int(1.5 * LIMITS.length_ns)
        while self.true_ns < end_ns:
            for replica in self.replicas:
                self.ask(replica)
                while self.underway:
                    self.hear(*self.underway[-1], self.answer(self.underway.pop()[1]))
            self.true_ns += 20 * MS
            self.check()


@pytest.mark.parametrize("first", range(0, 1_000, 100))
def test_never_do_two_speak_and_one_does_once_the_broker_answers(first):
    for seed in range(first, first + 100):
        world = Interleaving(seed)
        for _ in range(150):
            world.step()
            world.check()
        world.calm_down()
        assert len(world.check()) == 1, f"seed {seed}"


def test_the_interleavings_reach_what_they_are_about():
    worlds = [Interleaving(seed) for seed in range(50)]
    for world in worlds:
        for _ in range(150):
            world.step()
            world.check()
    assert sum(len({who for _, who in world.reigns}) == 3 for world in worlds) > 10
    assert sum(len(world.reigns) > len({who for _, who in world.reigns}) for world in worlds) > 10
    assert sum(len(world.answers) > 0 for world in worlds) > 10


def taken(name="a", now_ns=0, revision=1):
    lease = Lease(name, LIMITS)
    assert lease.next_step(now_ns) == Look()
    lease.on_seen(None, 0, now_ns)
    write = lease.next_step(now_ns)
    assert isinstance(write, Write)
    lease.on_written(write, revision, now_ns)
    return lease


def test_a_free_lease_is_taken_at_once_and_ends_a_guard_before_its_length():
    lease = taken()
    assert lease.term == 1
    assert lease.holds(1_199 * MS)
    assert not lease.holds(1_200 * MS)


def test_a_renewal_counts_from_its_request_and_not_from_its_answer():
    lease = taken()
    write = lease.next_step(300 * MS)
    assert isinstance(write, Write)
    lease.on_written(write, 2, 300 * MS)
    assert lease.holds(1_499 * MS)
    assert not lease.holds(1_500 * MS)
    assert lease.term == 1


def test_another_waits_for_the_whole_length_after_the_last_change_it_saw():
    other = LeaseRecord(holder="b", length_ms=1_500)
    lease = Lease("a", LIMITS)
    lease.on_seen(other, 7, 100 * MS)
    for now_ms in range(300, 1_600, 200):
        assert not isinstance(lease.next_step(now_ms * MS), Write)
        lease.on_seen(other, 7, now_ms * MS)
    lease.on_seen(other, 8, 1_550 * MS)
    assert not isinstance(lease.next_step(3_049 * MS), Write)
    assert isinstance(lease.next_step(3_050 * MS), Write)


def test_a_longer_lease_of_another_is_waited_out():
    lease = Lease("a", LIMITS)
    lease.on_seen(LeaseRecord(holder="b", length_ms=9_000), 7, 0)
    assert not isinstance(lease.next_step(8_999 * MS), Write)
    assert isinstance(lease.next_step(9_000 * MS), Write)


def test_a_lease_given_back_is_free_at_once_and_whoever_gave_it_is_silent():
    lease = taken()
    write = lease.give_back()
    assert not lease.holds(1 * MS)
    other = Lease("b", LIMITS)
    other.on_seen(write.record, 2, 0)
    assert isinstance(other.next_step(0), Write)


def test_a_renewal_whose_answer_was_lost_keeps_the_term():
    lease = taken()
    lost = lease.next_step(300 * MS)
    lease.on_silence(600 * MS)
    assert lease.next_step(600 * MS) == Look()
    lease.on_seen(lost.record, 2, 601 * MS)
    again = lease.next_step(601 * MS)
    assert again.revision == 2
    lease.on_written(again, 3, 601 * MS)
    assert lease.holds(1_700 * MS)
    assert lease.term == 1


def test_whoever_sees_another_in_its_place_is_silent_and_leads_again_under_a_new_term():
    lease = taken()
    lease.on_refused(500 * MS)
    lease.on_seen(LeaseRecord(holder="b", length_ms=1_500), 5, 501 * MS)
    assert not lease.holds(502 * MS)
    write = lease.next_step(2_001 * MS)
    lease.on_written(write, 6, 2_001 * MS)
    assert lease.term == 6


@pytest.mark.parametrize("settings", [{"lease_ms": 800}, {"lease_renew_ms": 500}])
def test_a_lease_too_short_for_its_renewals_is_refused(settings):
    with pytest.raises(ValidationError, match="room for two renewals"):
        FeedConfig(**settings)


def test_a_record_that_claims_an_age_is_waited_out_as_the_longest_lease_there_can_be():
    lease = Lease("me", LIMITS)
    lease.on_seen(LeaseRecord(holder="gone", length_ms=10**12), 7, 0)
    assert not isinstance(lease.next_step(59_999 * MS), Write)
    assert isinstance(lease.next_step(60_000 * MS), Write)


@pytest.mark.parametrize("wrong", [{"candle_lead_ms": 2_000}, {"kline_overdue_ms": 900}])
def test_candles_lead_the_venue_by_less_than_a_bar_may_be_late(wrong):
    with pytest.raises(ValidationError):
        FeedConfig(**wrong)
