"""What a service says of itself to the others: which one it is, and in which version."""

from libs.common.messages.envelope import Envelope


class Hello(Envelope, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A service introduces itself: when it starts, when the roll is called, and now and then.

    Attributes:
        config_hash: of its effective configuration.
    """

    service: str
    version: str
    config_hash: str
