"""Whatever is done to an exported journal is found, and named."""

import pytest

from cli.journal_file import check_file, check_records, footer_line
from libs.common.messages.journal import record_hash


def exported(raw, *, footer=True) -> bytes:
    body = b"".join(line + b"\n" for line in raw)
    return body + (footer_line(record_hash(raw[-1]), len(raw)) if footer else b"")


def changed(line: bytes) -> bytes:
    """The same record with another balance."""
    assert b'"observed_at_ns":' in line
    return line.replace(b'"wallet_balance":"', b'"wallet_balance":"9')


def test_an_untouched_export_is_whole(journal_of_five):
    check = check_file(exported(journal_of_five))
    assert (check.is_whole, check.records, check.events) == (True, 5, 5)
    assert check.head == record_hash(journal_of_five[-1])


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_changed_record_is_named(journal_of_five, number):
    journal_of_five[number - 1] = changed(journal_of_five[number - 1])
    check = check_file(exported(journal_of_five))
    assert f"record {number} was changed" in check.fault


def test_a_change_of_the_last_record_is_betrayed_by_the_footer(journal_of_five):
    content = exported(journal_of_five).replace(journal_of_five[-1], changed(journal_of_five[-1]))
    assert "record 5 was changed" in check_file(content).fault


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_removed_record_is_named(journal_of_five, number):
    content = exported(journal_of_five).replace(journal_of_five[number - 1] + b"\n", b"")
    assert f"record {number} is missing" in check_file(content).fault


def test_several_removed_records_are_named(journal_of_five):
    content = exported([journal_of_five[0], *journal_of_five[3:]])
    assert "records 2 to 3 are missing" in check_file(content).fault


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_two_exchanged_records_are_named(journal_of_five, number):
    one, other = number - 1, number
    journal_of_five[one], journal_of_five[other] = journal_of_five[other], journal_of_five[one]
    fault = check_file(exported(journal_of_five)).fault
    assert "out of order" in fault
    assert f"line {number} holds record {number + 1}" in fault


def test_a_record_told_twice_is_named(journal_of_five):
    journal_of_five.insert(2, journal_of_five[1])
    assert "line 3 holds record 2 again" in check_file(exported(journal_of_five)).fault


def test_records_cut_off_at_the_end_are_named_by_the_footer(journal_of_five):
    content = b"".join(line + b"\n" for line in journal_of_five[:3])
    content += footer_line(record_hash(journal_of_five[-1]), 5)
    assert "truncated: records 4 to 5 are missing" in check_file(content).fault


def test_a_file_cut_in_the_middle_of_a_line_is_named(journal_of_five):
    content = exported(journal_of_five)[:-200]
    fault = check_file(content).fault
    assert "cut off" in fault
    assert "line 5" in fault


def test_a_change_of_the_number_itself_is_a_change_of_that_record(journal_of_five):
    journal_of_five[1] = journal_of_five[1].replace(b'"number":2', b'"number":7')
    assert "record 2 was changed" in check_file(exported(journal_of_five)).fault


def test_a_change_of_the_link_itself_is_a_change_of_that_record(journal_of_five):
    head = record_hash(journal_of_five[0]).encode()
    journal_of_five[1] = journal_of_five[1].replace(head, head[::-1])
    assert "record 2 was changed" in check_file(exported(journal_of_five)).fault


def test_bytes_that_are_no_record_are_named_by_line(journal_of_five):
    journal_of_five[2] = b"not a record"
    assert "line 3 is not a record" in check_file(exported(journal_of_five)).fault


def test_without_a_footer_the_chain_is_checked_and_the_lack_is_told(journal_of_five):
    check = check_file(exported(journal_of_five, footer=False))
    assert (check.is_whole, check.has_footer, check.records) == (True, False, 5)


def test_a_lost_tail_without_a_footer_cannot_be_seen(journal_of_five):
    assert check_file(exported(journal_of_five[:3], footer=False)).is_whole


@pytest.mark.parametrize("content", [b"", b"\n"])
def test_an_empty_file_is_not_whole(content):
    assert not check_file(content).is_whole


def test_the_records_of_a_broker_are_checked_the_same_way(journal_of_five):
    assert check_records(journal_of_five).is_whole
    del journal_of_five[2]
    assert "record 3 is missing" in check_records(journal_of_five).fault
