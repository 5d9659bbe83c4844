"""The market as pure state: instruments, books, trades, candles, and what is published of them."""
