"""Where an operator's command looks for the halt file."""

import pytest

from cli import exits
from cli.operate import halt_locally
from libs.common.runtime.config import CONFIG_VARIABLE


def test_a_configuration_that_is_named_by_nothing_is_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(CONFIG_VARIABLE, "")
    with pytest.raises(exits.CommandFailed, match="name the configuration with --config"):
        halt_locally("test", None, data_dir=None, config=None)
