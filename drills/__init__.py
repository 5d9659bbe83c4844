"""Drills: every fault of the paper exchange's script against the services that must bear it.

Real processes, a real broker, real sockets. Each drill injects one fault, waits until a service
says that it saw it, waits until all is well again, and then compares what is stored with the
venue's own record. ``make faults`` prints the table, ``make feed-hours`` runs six market hours.
"""
