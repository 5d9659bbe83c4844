"""Frames that a stranger's reader takes apart into the messages that went in."""

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.extensions import Extension
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from services.paper_exchange.doors.frames import WRITE_BYTES_MAX, take_frames

NO_EXTENSIONS: list[Extension] = []


def messages_of(raw: bytes) -> list[bytes]:
    """Read frames with the reader of the library websockets."""
    reader = StreamReader()
    reader.feed_data(raw)
    found = []
    while reader.buffer:
        parsing = Frame.parse(reader.read_exact, mask=False, max_size=None)
        with pytest.raises(StopIteration) as done:
            next(parsing)
        frame = done.value.value
        assert (frame.opcode, frame.fin) == (Opcode.TEXT, True)
        found.append(bytes(frame.data))
    return found


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=30))
def test_every_message_arrives_whole_and_in_order(sent):
    waiting, read = deque(sent), []
    while waiting:
        read += messages_of(take_frames(waiting))
    assert read == sent


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535, 65_536, 200_000])
def test_each_form_of_length_is_read_back(length):
    assert messages_of(take_frames(deque([b"x" * length]))) == [b"x" * length]


def test_one_write_is_bounded_and_takes_at_least_one_message():
    waiting = deque([b"a" * WRITE_BYTES_MAX, b"b", b"c"])
    assert messages_of(take_frames(waiting)) == [b"a" * WRITE_BYTES_MAX]
    assert messages_of(take_frames(waiting)) == [b"b", b"c"]
