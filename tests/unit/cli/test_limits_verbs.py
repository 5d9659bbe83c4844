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


@pytest.mark.parametrize("typed", [["positions_max"], ["=2"], ["positions_max=1"] * 2])
def test_what_is_no_name_and_value_is_wrong_usage(typed):
    with pytest.raises(exits.CommandFailed, match="is no NAME=VALUE, once each") as failure:
        read_changes(typed)
    assert failure.value.code == exits.BAD_USAGE


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("order_notional=1", r"'order_notional' can be set; did you mean 'order_notional_max'\?"),
        ("leverage=1", "'leverage' can be set; there are: order_notional_max, "),
        ("reason=1", "'reason' can be set; there are: "),
    ],
)
def test_a_limit_that_does_not_exist_is_told_with_the_nearest_one(typed, hint):
    with pytest.raises(exits.CommandFailed, match=hint) as failure:
        read_changes([typed])
    assert failure.value.code == exits.BAD_USAGE
