"""Tokens: what opens what, what is refused at start, and that none is ever shown."""

import hashlib
from pathlib import Path

import pytest

from libs.common.runtime.config import HTTP_TOKENS_VARIABLE, CommonConfig, Mode
from libs.common.runtime.errors import ConfigError
from libs.common.runtime.http_tokens import Scope, Tokens, is_loopback, load_tokens
from libs.common.runtime.secret import SecretError

ADMIN = "a" * 20 + "-admin-token"
OPERATE = "o" * 20 + "-operate-token"
READ = "r" * 20 + "-read-token"
LINES = f"# who may do what\nadmin alice {ADMIN}\n\noperate bob {OPERATE}\nread eve {READ}\n"


def tokens_of(text: str, **changes: object) -> Tokens:
    return load_tokens(CommonConfig(**changes), {HTTP_TOKENS_VARIABLE: text})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("token", "name", "scope"),
    [(ADMIN, "alice", "admin"), (OPERATE, "bob", "operate"), (READ, "eve", "read")],
)
def test_a_token_names_its_holder_and_its_scope(token: str, name: str, scope: str) -> None:
    holder = tokens_of(LINES).find(f"Bearer {token}")
    assert holder is not None
    assert (holder.name, holder.scope) == (name, scope)
    assert token not in repr(holder)


def test_a_wrong_half_or_otherwise_carried_token_is_nobody_s() -> None:
    tokens = tokens_of(LINES)
    for carried in (
        "",
        ADMIN,
        f"Bearer {ADMIN[:-1]}",
        f"Basic {ADMIN}",
        "Bearer ",
        "Bearer \udcff",
    ):
        assert tokens.find(carried) is None


def test_a_digest_stands_for_its_token() -> None:
    digest = hashlib.sha256(ADMIN.encode()).hexdigest()
    assert tokens_of(f"admin alice sha256:{digest}").find(f"Bearer {ADMIN}") is not None


def test_each_scope_includes_those_before_it() -> None:
    assert Scope.ADMIN.includes(Scope.OPERATE)
    assert Scope.OPERATE.includes(Scope.READ)
    assert not Scope.OPERATE.includes(Scope.ADMIN)
    assert not Scope.READ.includes(Scope.OPERATE)


@pytest.mark.parametrize(
    "text", ["admin alice short", f"root alice {ADMIN}", f"admin {ADMIN}", f"admin a {ADMIN} more"]
)
def test_a_malformed_line_is_named_by_its_number_and_never_shown(text: str) -> None:
    with pytest.raises(ConfigError, match="line 2") as refusal:
        tokens_of(f"# tokens\n{text}")
    assert ADMIN not in str(refusal.value)


def test_a_name_stands_for_one_token() -> None:
    with pytest.raises(ConfigError, match="twice: alice"):
        tokens_of(f"admin alice {ADMIN}\nread alice {READ}")


def test_a_door_that_other_machines_reach_needs_a_token() -> None:
    for host in ("0.0.0.0", "::", "10.0.0.7", "trading.example"):
        assert not is_loopback(host)
        with pytest.raises(ConfigError, match="http_tokens_file"):
            load_tokens(CommonConfig(http_host=host), {})
        assert not tokens_of(LINES, http_host=host).reads_are_open
    for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost"):
        assert load_tokens(CommonConfig(http_host=host), {}).reads_are_open


def test_reading_stays_open_on_this_machine_in_the_paper_world_alone() -> None:
    assert tokens_of(LINES).reads_are_open
    assert not tokens_of(LINES, mode=Mode.LIVE).reads_are_open
    assert load_tokens(CommonConfig(mode=Mode.LIVE), {}).reads_are_open


def test_a_file_that_others_may_read_is_refused_outside_of_paper(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text(LINES)
    path.chmod(0o644)
    assert load_tokens(CommonConfig(http_tokens_file=path), {})
    with pytest.raises(SecretError, match="open to others"):
        load_tokens(CommonConfig(http_tokens_file=path, mode=Mode.LIVE), {})
    path.chmod(0o600)
    assert load_tokens(CommonConfig(http_tokens_file=path, mode=Mode.LIVE), {})
