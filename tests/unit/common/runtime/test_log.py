"""Log lines and a standard output that has no room: a word that is lost is no reason to fail."""

import io
import json

from libs.common.runtime.log import _Lines


class Volume(io.RawIOBase):
    """A file that takes so many bytes and not one more, until it is given room."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.content = b""

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        if not self.room:
            raise OSError(28, "No space left on device")
        taken = bytes(data[: self.room])
        self.content += taken
        self.room -= len(taken)
        return len(taken)


def test_a_line_that_finds_no_room_is_lost_and_counted_when_there_is_some_again():
    volume = Volume(30)
    lines = _Lines(volume)
    for number in range(5):
        lines.write(json.dumps({"event": "said", "n": number}).encode() + b"\n")
    volume.room = 1_000
    lines.write(b'{"event": "again"}\n')
    lines.write(b'{"event": "and on"}\n')
    whole, torn, *rest = volume.content.splitlines()
    assert json.loads(whole) == {"event": "said", "n": 0}
    assert torn == b'{"ev'
    lost, again, further = (json.loads(line) for line in rest)
    assert (lost["event"], lost["lines"]) == ("log lines lost: no room", 4)
    assert (again["event"], further["event"]) == ("again", "and on")
