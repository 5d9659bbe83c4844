"""The world: the only room with sockets, clocks, environment and log handlers."""
