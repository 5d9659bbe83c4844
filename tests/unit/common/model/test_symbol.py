"""What may be a symbol, wherever one is named."""

import pytest

from libs.common.model.instrument import is_symbol


@pytest.mark.parametrize("text", ["BTCUSDT", "1000PEPEUSDT", "BTCUSDT_260626", "币安人生USDT"])
def test_what_the_venue_lists_is_a_symbol(text):
    assert is_symbol(text)


@pytest.mark.parametrize(
    "text", ["", "B", "btcusdt", "BTC.USDT", "BTC*", ">", "BTC USDT", "A" * 33, "BTCUSDT\n"]
)
def test_what_would_part_a_subject_or_is_too_long_is_none(text):
    assert not is_symbol(text)
