"""Turn market facts into intents.

Owns: the state of each strategy, folded from closed candles and quotes.
Hears: ``market.candle.*``, ``market.quote.*``, ``market.clock``, and what became of its intents.
Says: ``intent.proposed.<symbol>``, each with an id derived from strategy, symbol and candle.
Never: sizes, sends or cancels an order, holds a key, or says the same intent twice.
"""

# With `services/` as the working directory, `import signal` would find this folder instead of the
# standard library, and asyncio would die far from the cause. Stop here, with the cure.
if __name__ != "services.signal":
    raise ImportError(
        "services/signal is hiding the standard library's signal: run from the repository root "
        "(python -m services.signal), or set PYTHONSAFEPATH=1"
    )
