"""The very cores of the services without broker, venue, clock or sockets, for speed.

``python -m sim --klines FILE`` replays candles through signal, risk and the gate and writes the
journal they would have written; an order fills at once at its candle's close. The simulation of
whole services under faults will live here too.
"""
