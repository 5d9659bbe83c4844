"""The wire: what crosses NATS, under which subject, in which bytes."""
