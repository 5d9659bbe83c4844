"""The service that hears the market.

Owns: the sockets to the venue's market streams, gap-free candles, the age of all market data.
Hears: the venue's market streams and its public REST reads; a standby also what the leader stores.
Says: market.quote, market.mark, market.trade, market.depth, market.candle, market.health and, in
    the paper world, market.clock.
Never: decides about a trade, holds a key, publishes a candle twice or out of order, speaks while
    another replica may.
"""
