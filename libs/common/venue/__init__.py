"""How Binance USD-M Futures is spoken: signatures, outcomes, payloads, streams. No I/O, no clock.

Feed, execution and reconciler speak it as clients. Written from the venue's documents and from
recorded answers, never from what our own paper exchange happens to say.
"""
