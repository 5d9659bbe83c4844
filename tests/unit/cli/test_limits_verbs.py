"""What is typed behind `portcullis limits set`, as risk's door takes it."""

import pytest

from cli import exits
from cli.limits_verbs import read_changes


def test_amounts_stay_text_counts_are_numbers_symbols_are_lists_and_file_gives_back():
    typed = ["order_notional_max=0.10", "positions_max=2", "daily_loss_max=file"]
    assert read_changes([*typed, "symbols_allowed=BTCUSDT,ETHUSDT"]) == {
        "order_notional_max": "0.10",
        "positions_max": 2,
        "daily_loss_max": None,
        "symbols_allowed": ["BTCUSDT", "ETHUSDT"],
    }
    assert read_changes(["symbols_allowed="]) == {"symbols_allowed": []}


@pytest.mark.parametrize("typed", [["positions_max"], ["=2"], ["a=1", "a=2"]])
def test_what_is_no_name_and_value_is_wrong_usage(typed):
    with pytest.raises(exits.CommandFailed, match="is no NAME=VALUE, once each") as failure:
        read_changes(typed)
    assert failure.value.code == exits.BAD_USAGE
