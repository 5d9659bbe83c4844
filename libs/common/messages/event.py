"""The shape of every event in the journal; which ones there are is listed in ``journal``."""

import msgspec


class Event(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="event"
):
    """Something that happened, in the past tense."""
