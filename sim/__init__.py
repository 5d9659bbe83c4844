"""One world for replay and simulation: the very code that trades, without a wall clock.

``python -m sim --klines FILE`` replays candles through the cores of signal, risk and the gate and
writes the journal they would have written; an order fills at once at its candle's close.

``python -m sim simulate`` runs the real shells and cores of signal, risk, execution and reconciler
and the paper exchange's core on one virtual-time event loop. Only the ports are replaced: the bus,
the venue's wire, clocks, dice. A schedule of faults is made from a seed; invariants are judged from
the venue's books and the journal's bytes. ``python -m sim mutants`` plants deliberate bugs and
counts the seeds until each is noticed. What is not simulated: sockets, nats-server and nats-py,
disks, the kernel, and the feed.
"""
