"""Decide whether an intent may become an order, and how large.

Owns: the checks, their limits, the size of every order, and the one recorded verdict per intent.
Hears: ``intent.proposed.*``, ``market.quote.*``, ``market.mark.*``, ``account.<account>.state``,
``market.clock``.
Says: ``intent.verdict.<id>`` once per intent, then ``intent.approved.*`` with its proof, or
``intent.refused.*`` with the reason and the whole vector of verdicts; asks execution to reduce when
the day cost too much, and to journal limits that people set: ``command.<account>.*``.
Never: speaks to the venue, holds a trading key, passes an intent on a missing, stale or unreadable
input, or decides the same intent twice.
"""
