"""WebSocket text frames by hand: many messages in one write.

A server's frames are unmasked, so a frame is the same bytes for whoever listens, and a burst of the
market is one write to a socket instead of hundreds (RFC 6455, section 5.2).
"""

from __future__ import annotations

from collections import deque
from struct import Struct
from typing import Final

WRITE_BYTES_MAX: Final = 65_536
"""How much is joined into one write; a longer message goes alone."""

_FINAL_TEXT: Final = 0x81
_SHORT_MAX, _MEDIUM_MAX = 125, 65_535
_MEDIUM, _LONG = 126, 127
_short_head = Struct("!BB").pack
_medium_head = Struct("!BBH").pack
_long_head = Struct("!BBQ").pack


def take_frames(messages: deque[bytes]) -> bytes:
    """Take messages from the left, at least one, and return them as frames for one write."""
    parts: list[bytes] = []
    size = 0
    while messages and (not parts or size + len(messages[0]) <= WRITE_BYTES_MAX):
        message = messages.popleft()
        length = len(message)
        size += length
        if length <= _SHORT_MAX:
            parts.append(_short_head(_FINAL_TEXT, length))
        elif length <= _MEDIUM_MAX:
            parts.append(_medium_head(_FINAL_TEXT, _MEDIUM, length))
        else:
            parts.append(_long_head(_FINAL_TEXT, _LONG, length))
        parts.append(message)
    return b"".join(parts)
