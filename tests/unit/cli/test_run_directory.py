"""What a run leaves behind, and that no unexported journal is ever lost."""

import stat

import pytest

from cli import exits
from cli.run_directory import RunDirectory, create_run_directory, find_run, shrink_old_runs

SECOND = 1_000_000_000


def finished_run(data_dir, second, *, exported=True):
    run = create_run_directory(data_dir, second * SECOND)
    run.broker.mkdir()
    run.log("feed").write_text("{}\n")
    run.write_facts({"ended": exported})
    if exported:
        run.journal.write_text("{}\n")
    return run


def test_two_runs_in_one_second_have_two_directories(tmp_path):
    first, second = (create_run_directory(tmp_path, SECOND) for _ in range(2))
    assert first.path != second.path


def test_a_key_file_is_readable_by_nobody_else(tmp_path):
    path = create_run_directory(tmp_path, SECOND).write_private("key", "value")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_old_runs_shrink_to_their_exported_journal(tmp_path):
    runs = [finished_run(tmp_path, second) for second in range(1, 5)]
    shrink_old_runs(tmp_path, 2)
    assert [run.broker.exists() for run in runs] == [False, False, True, True]
    assert all(run.journal.exists() for run in runs)


def test_a_journal_that_was_not_exported_is_never_touched(tmp_path):
    killed = finished_run(tmp_path, 1, exported=False)
    for second in range(2, 6):
        finished_run(tmp_path, second)
    shrink_old_runs(tmp_path, 1)
    assert killed.broker.exists()
    assert killed.log("feed").exists()


def test_the_newest_run_is_found_and_a_run_finds_itself(tmp_path):
    finished_run(tmp_path, 1)
    newest = finished_run(tmp_path, 2)
    assert find_run(tmp_path).path == newest.path
    assert find_run(newest.path).path == newest.path


def test_where_there_is_no_run_that_is_said(tmp_path):
    with pytest.raises(exits.CommandFailed, match="no run"):
        find_run(tmp_path)


def test_unreadable_facts_are_no_facts(tmp_path):
    (tmp_path / "run.json").write_text("{")
    assert RunDirectory(tmp_path).read_facts() == {}
