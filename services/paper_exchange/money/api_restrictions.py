"""What a key may do, as the wallet API tells it: the check that a key cannot withdraw."""

from __future__ import annotations

from services.paper_exchange.wire.authentication import ApiKey, Permission


def api_restrictions(key: ApiKey) -> dict[str, object]:
    """GET /sapi/v1/account/apiRestrictions: no key of this venue can withdraw or transfer."""
    return {
        "ipRestrict": bool(key.addresses),
        "createTime": key.created_ms,
        "enableReading": Permission.READ in key.permissions,
        "enableWithdrawals": False,
        "enableInternalTransfer": False,
        "enableMargin": False,
        "enableFutures": Permission.TRADE in key.permissions,
        "permitsUniversalTransfer": False,
        "enableVanillaOptions": False,
        "enableFixApiTrade": False,
        "enableFixReadOnly": False,
        "enableSpotAndMarginTrading": False,
        "enablePortfolioMarginTrading": False,
    }
