"""The page on configuration says what the code does: exit codes, settable limits, its example."""

import re

import pytest

from cli import exits
from cli.config_check import all_relations, examine
from libs.common.model.agreement import Setting, find_clashes
from libs.common.model.risk_limits import NAMES
from libs.common.runtime import service
from services.risk.config import LimitsConfig


@pytest.fixture(scope="module")
def page(root):
    return (root / "docs" / "configuration.md").read_text()


def rows_of_exit_codes(page):
    table = page.partition("## Exit codes")[2]
    rows = re.findall(r"^\| (\d) \| (.*?) \| (.*?) \|$", table.replace("| |", "|  |"), re.MULTILINE)
    return {int(code): (of_service.strip(), of_cli.strip()) for code, of_service, of_cli in rows}


def test_every_exit_code_is_in_the_table_and_no_other(page):
    rows = rows_of_exit_codes(page)
    of_service = {value for name, value in vars(service).items() if name.startswith("EXIT_")}
    of_cli = {value for name, value in vars(exits).items() if name.isupper()}
    assert {code for code, (told, _) in rows.items() if told} == of_service
    assert {code for code, (_, told) in rows.items() if told} == of_cli


def test_the_limits_that_can_be_set_are_the_ones_listed_and_are_configured(page):
    (listed,) = re.findall(r"^(`\w+`.*) of `risk\.limits` can be set at once", page, re.MULTILINE)
    assert tuple(re.findall(r"`(\w+)`", listed)) == NAMES
    assert set(NAMES) <= set(LimitsConfig.model_fields)


def test_the_sentence_that_is_shown_is_the_one_that_is_told(page):
    settings = {**examine(None, {}).settings(), "bus.ack_wait_ms": Setting(900, True)}
    (clash,) = find_clashes(all_relations(), settings)
    assert f": {clash.sentence}\n" in page
