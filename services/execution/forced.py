"""How the venue names the orders by which it closes positions itself."""

#: What they are, by the beginning of their client order id.
FORCED_PREFIXES = {
    "autoclose-": "liquidation",
    "adl_autoclose": "adl",
    "settlement_autoclose-": "settlement",
    "delivery_autoclose-": "delivery",
}


def forced_kind(client_order_id: str) -> str | None:
    """Why the venue closed; ``None`` for an order that is not of the venue's own making."""
    for prefix, kind in FORCED_PREFIXES.items():
        if client_order_id.startswith(prefix):
            return kind
    return None
