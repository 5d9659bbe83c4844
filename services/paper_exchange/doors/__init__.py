"""The sockets: HTTP and WebSocket handlers that carry requests in and answers and streams out."""
