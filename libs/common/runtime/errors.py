"""What the world can do to us, as types.

::

    PortcullisError            an operator can act on it; says what, where, what to do
    ├── ConfigError            a setting is missing, unknown, mistyped or contradictory
    ├── BusError
    │   ├── BusUnavailable     not connected: nothing was sent
    │   ├── PublishUnknown     sent, but no acknowledgement: it may or may not be stored
    │   └── AppendConflict     the broker refused: someone appended first
    └── JournalBroken          a record is missing, altered or out of order: refuse to trade
"""


class PortcullisError(Exception):
    """Something an operator can act on."""


class ConfigError(PortcullisError):
    """A setting is missing, unknown, mistyped or contradictory."""


class BusError(PortcullisError):
    """The bus could not do what was asked."""


class BusUnavailable(BusError):  # noqa: N818 - a state of the world, named as one
    """Not connected, or refused before anything was stored: nothing was sent."""


class PublishUnknown(BusError):  # noqa: N818
    """No acknowledgement came: the message may or may not be stored."""


class AppendConflict(BusError):  # noqa: N818
    """The broker refused a compare-and-set append: someone else appended first."""


class JournalBroken(PortcullisError):  # noqa: N818
    """A journal record is missing, altered or out of order."""
