"""What two or more services use today, in five rooms: model, messages, venue, runtime, testing.

Nothing enters until two services need it. Inside, the order is
``runtime > venue > messages > model`` (``testing`` stands beside ``runtime``); a room imports only
what is to its right. Nothing here knows a service.
"""

__version__ = "0.1.0"
