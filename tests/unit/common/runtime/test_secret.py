import copy
import json
import pickle
from pathlib import Path

import msgspec
import pytest

from libs.common.runtime.secret import (
    Secret,
    SecretError,
    mask_key,
    secret_from_environment,
    secret_from_file,
)

VALUE = "Ab3" + "x" * 58 + "Yz9"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "api_secret"
    path.write_text(VALUE + "\n")
    path.chmod(0o600)
    return path


def test_a_secret_hides_from_everything_that_prints() -> None:
    secret = Secret(VALUE)
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret:>80}",
        "{} {!r}".format(*[secret, secret]),
        repr([secret]),
        repr({"a": secret}),
    ]
    assert all(VALUE not in text for text in shown)
    assert secret.reveal() == VALUE


def test_a_secret_is_neither_pickled_nor_written_as_json() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Secret(VALUE))
    with pytest.raises(TypeError):
        json.dumps(Secret(VALUE))
    with pytest.raises(TypeError):
        msgspec.json.encode(Secret(VALUE))
    assert not hasattr(Secret(VALUE), "__dict__")


def test_a_copied_secret_is_the_same_secret() -> None:
    secret = Secret(VALUE)
    assert copy.deepcopy({"key": secret})["key"] is secret
    assert copy.copy(secret) is secret


def test_secrets_compare_by_value_and_never_to_text() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
    assert not Secret("")


def test_a_key_is_shown_by_its_ends_and_length() -> None:
    assert mask_key("abc" + "d" * 58 + "xyz") == "abc***xyz (length: 64)"
    assert mask_key("short") == "*** (length: 5)"
    assert mask_key("") == "*** (length: 0)"


def test_a_secret_file_is_read_without_its_line_end(file: Path) -> None:
    assert secret_from_file(file, name="api secret").reveal() == VALUE


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (VALUE[:-1].encode(), r"malformed \(length 63\)"),
        (b'"' + VALUE.encode() + b'"', r"malformed \(length 66\)"),
        (VALUE.encode() + b"\n" + VALUE.encode(), "malformed"),
        (b"\xff\xfe" + VALUE.encode(), "not UTF-8"),
        (b"x" * 20_000, "longer than"),
    ],
)
def test_an_unfit_secret_file_is_refused_without_showing_it(
    file: Path, content: bytes, complaint: str
) -> None:
    file.write_bytes(content)
    with pytest.raises(SecretError, match=complaint) as caught:
        secret_from_file(file, name="api secret")
    assert "api secret" in str(caught.value)
    assert str(file) in str(caught.value)
    assert VALUE[:20] not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_missing_secret_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SecretError, match=r"No such file.*Create the file"):
        secret_from_file(tmp_path / "absent", name="api secret")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_file_others_may_open_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(SecretError, match="chmod 600"):
        secret_from_file(file, name="api secret")


def test_paper_mode_may_skip_the_permission_check(file: Path) -> None:
    file.chmod(0o644)
    assert secret_from_file(file, name="api secret", forbidden_mode_bits=0)


def test_a_pem_key_is_read_when_no_pattern_is_asked(file: Path) -> None:
    file.write_text("-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n")
    assert secret_from_file(file, name="pem", pattern=None).reveal().endswith("KEY-----")


def test_a_secret_comes_from_the_environment() -> None:
    environment = {"KEY": VALUE, "EMPTY": "", "BAD": "no good"}
    assert secret_from_environment("KEY", environment, name="key").reveal() == VALUE
    for variable, complaint in (("NONE", "not set"), ("EMPTY", "empty"), ("BAD", "malformed")):
        with pytest.raises(SecretError, match=complaint) as caught:
            secret_from_environment(variable, environment, name="key")
        assert "no good" not in str(caught.value)
