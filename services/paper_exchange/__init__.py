"""The paper exchange: a Binance USD-M Futures venue on this machine.

Owns: accounts, orders, fills, the ledger, and market time in the paper world.
Hears: signed HTTP requests of any client, its market source (tape, klines or generator), and
`/sim/*` requests of whoever runs the simulation.
Says: REST answers, market streams and user streams in the shapes of the real venue.
Never: talks to the bus, knows who its clients are, or reads the wall clock to decide anything.
"""
