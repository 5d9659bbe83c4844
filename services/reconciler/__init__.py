"""Compare what we believe with what the venue says.

Owns: the comparison of what is held, open, set, traded and earned, and the memory of the last one.
Hears: ``account.<account>.state``, ``market.clock``, ``reconciler.<account>.request``; reads
``journal.<account>`` for what it tells of money.
Says: ``execution.<account>.state-request`` around each look; ``reconcile.<account>.report`` after
every comparison; what its policies make of a difference
that was confirmed twice in a row as ``command.<account>.<verb>``: halt, reduce, adopt, repair.
Never: places or cancels an order, holds a trading key, changes what execution believes, or takes
an order in flight or an event under way for a difference.
"""
