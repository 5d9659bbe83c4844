"""A pod's secrets become files that their reader alone may read."""

import stat

from cli.place_secrets import place
from libs.common.runtime.secret import secret_from_file

VALUE = "a" * 64


def mounted(tmp_path):
    """A folder as Kubernetes makes it: links into a hidden one, readable for a group."""
    hidden = tmp_path / "mount" / "..2026"
    hidden.mkdir(parents=True)
    (hidden / "api_key").write_text(VALUE)
    (hidden / "api_key").chmod(0o440)
    (tmp_path / "mount" / "..data").symlink_to(hidden)
    (tmp_path / "mount" / "api_key").symlink_to(tmp_path / "mount" / "..data" / "api_key")
    return tmp_path / "mount"


def test_a_service_takes_what_was_placed(tmp_path):
    target = tmp_path / "keys"
    target.mkdir()
    assert place([mounted(tmp_path)], target) == 1
    assert secret_from_file(target / "api_key", name="api_key").reveal() == VALUE
    assert stat.S_IMODE((target / "api_key").stat().st_mode) == 0o400


def test_a_second_time_takes_what_is_new(tmp_path):
    source, target = mounted(tmp_path), tmp_path / "keys"
    target.mkdir()
    place([source], target)
    (source / "..2026" / "api_key").chmod(0o640)
    (source / "..2026" / "api_key").write_text("b" * 64)
    place([source], target)
    assert (target / "api_key").read_text() == "b" * 64
