"""Options of the command line: every quirk and limit by its name, and a hint for a wrong one."""

from decimal import Decimal

import pytest

from services.paper_exchange.__main__ import main, parse_settings
from services.paper_exchange.config import DEFAULT_LIMITS, DEFAULT_QUIRKS, Limits, Quirks
from services.paper_exchange.exchange import Exchange


def test_without_options_everything_is_as_on_the_venue():
    settings = parse_settings([])
    assert (settings.quirks, settings.limits) == (DEFAULT_QUIRKS, DEFAULT_LIMITS)
    assert settings.quirks.algo_read_lag_ms == 1_200


def test_quirks_and_limits_are_changed_by_name_and_the_last_one_counts():
    settings = parse_settings(
        ["--quirk", "retention=true", "--quirk", "retention=off", "--limit", "taker_rate=0.0004"]
    )
    assert settings.quirks == Quirks(retention=False)
    assert settings.limits == Limits(taker_rate=Decimal("0.0004"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--quirk", "retenion=no"], "did you mean retention?"),
        (["--limit", "algo_order_max=3"], "did you mean algo_orders_max?"),
        (["--quirk", "retention"], "NAME=VALUE"),
        (["--quirk", "retention=perhaps"], "--quirk retention: "),
        (["--limit", "algo_orders_max=-1"], "zero or more"),
    ],
)
def test_what_names_nothing_ends_with_2_and_says_what_was_meant(capsys, arguments, said):
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


def test_help_lists_every_name_with_its_default(capsys):
    with pytest.raises(SystemExit):
        parse_settings(["--help"])
    told = capsys.readouterr().out
    for model in (Quirks, Limits):
        assert all(f"  {name}=" in told for name in model.model_fields)


def test_every_quirk_says_what_it_does():
    assert all(item.description for item in Quirks.model_fields.values())


def test_an_exchange_without_a_clock_does_not_lag_unless_asked():
    assert Exchange({}, {}, Limits()).conditions.algo_query_lag_ms == 0
    lagging = Exchange({}, {}, Limits(), quirks=Quirks())
    assert (lagging.quirks, lagging.conditions.algo_query_lag_ms) == (Quirks(), 1_200)
