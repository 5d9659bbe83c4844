"""Where the paper market comes from: recorded tapes, kline files, or a seeded generator.

Each source is an iterator of `SourceEvent`s ordered by market time; files are read as the market
needs them, never ahead. Nothing here knows of clocks, sockets or accounts.
"""
