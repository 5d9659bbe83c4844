"""Compare what we believe with what the venue says.

Owns: the comparison of positions, open orders and balance, and the memory of the last one.
Hears: ``account.<account>.state``, ``market.clock``, ``reconciler.<account>.request``.
Says: ``reconcile.<account>.report`` after every comparison; what its policies make of a difference
that was confirmed twice in a row as ``command.<account>.<verb>``: halt, reduce, adopt, repair.
Never: places or cancels an order, holds a trading key, changes what execution believes, or takes
an order in flight or an event under way for a difference.
"""
