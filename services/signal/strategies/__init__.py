"""Strategies: small pure classes that turn closed candles into wishes.

A strategy is named by a short name from the list below or by the dotted path of a class that keeps
to ``contract.Strategy``; whoever writes one needs nothing of this repository but that file.
"""

SHORT_NAMES = {
    "rsi_crossover": "services.signal.strategies.rsi_crossover.RsiCrossover",
    "ema_cross": "services.signal.strategies.ema_cross.EmaCross",
}
