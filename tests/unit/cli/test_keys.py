"""`portcullis keys` makes what is missing, changes nothing that is there, and shows nothing."""

import stat

import pytest

from cli.broker_users import IDENTITIES, SERVICES, broker_users, rights
from cli.exits import BAD_USAGE, CommandFailed
from cli.keys import make_keys
from libs.common.runtime.bus_identity import load_identity
from libs.common.runtime.config import CommonConfig
from libs.common.runtime.http_tokens import Scope, load_tokens


def tree(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_second_time_changes_nothing(tmp_path):
    make_keys(tmp_path, "paper", is_paper=True)
    before = tree(tmp_path)
    make_keys(tmp_path, "paper", is_paper=True)
    assert tree(tmp_path) == before


def test_secrets_are_for_their_owner_alone(tmp_path):
    make_keys(tmp_path, "paper", is_paper=True)
    for name in tree(tmp_path):
        mode = stat.S_IMODE((tmp_path / name).stat().st_mode)
        is_open = name.endswith((".crt", "users.conf"))
        assert mode == (0o444 if is_open else 0o400), name
        assert stat.S_IMODE((tmp_path / name).parent.stat().st_mode) == 0o700


def test_nobody_gets_more_than_it_needs(tmp_path):
    make_keys(tmp_path, "paper", is_paper=True)
    has = {name: {key.split("/")[1] for key in tree(tmp_path) if key.startswith(f"{name}/")}
           for name in (*IDENTITIES, "broker", "authority")}  # fmt: skip
    for name in (*IDENTITIES, "broker"):
        assert "broker_ca.crt" in has[name]
        has[name].remove("broker_ca.crt")
    assert has == {
        "authority": {"ca.key", "ca.crt"},
        "broker": {"users.conf", "server.crt", "server.key"},
        "feed": {"identity", "http_tokens", "api_key"},
        "signal": {"identity", "http_tokens"},
        "risk": {"identity", "http_tokens", "approval_key"},
        "execution": {"identity", "http_tokens", "approval_key", "api_key", "api_secret"},
        "reconciler": {"identity", "http_tokens", "api_key", "api_secret"},
        "provision": {"identity"},
        "operator": {"identity", "token"},
    }
    told = tree(tmp_path)
    assert told["risk/approval_key"] == told["execution/approval_key"]
    assert told["execution/api_key"] != told["reconciler/api_key"]


def test_keys_of_a_real_venue_are_never_made(tmp_path):
    make_keys(tmp_path, "main", is_paper=False)
    assert not [name for name in tree(tmp_path) if "api_" in name]


def test_services_know_the_operators_token_without_being_able_to_use_it(tmp_path):
    make_keys(tmp_path, "paper", is_paper=True)
    token = (tmp_path / "operator" / "token").read_text().strip()
    for name in SERVICES:
        path = tmp_path / name / "http_tokens"
        assert token not in path.read_text()
        tokens = load_tokens(CommonConfig(http_host="0.0.0.0", http_tokens_file=path), {})
        holder = tokens.find(f"Bearer {token}")
        assert holder is not None
        assert holder.scope is Scope.ADMIN


def test_one_that_lost_its_approval_key_gets_the_same_again(tmp_path):
    make_keys(tmp_path, "paper", is_paper=True)
    before = tree(tmp_path)
    (tmp_path / "execution" / "approval_key").unlink()
    make_keys(tmp_path, "paper", is_paper=True)
    assert tree(tmp_path) == before


def test_a_broker_of_other_names_gets_a_new_certificate_of_the_same_authority(tmp_path):
    make_keys(tmp_path, "paper", is_paper=True)
    before = tree(tmp_path)
    make_keys(tmp_path, "paper", is_paper=True, broker_names=["broker.example"])
    after = tree(tmp_path)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"broker/server.crt", "broker/server.key"}


def test_a_damaged_authority_is_named_and_not_replaced(tmp_path):
    make_keys(tmp_path, "paper", is_paper=True)
    path = tmp_path / "authority" / "ca.crt"
    path.chmod(0o600)
    path.write_text("nonsense")
    with pytest.raises(CommandFailed, match="authority") as refused:
        make_keys(tmp_path, "paper", is_paper=True)
    assert refused.value.code == BAD_USAGE
    assert path.read_text() == "nonsense"


def test_the_brokers_list_holds_public_halves_alone(tmp_path):
    make_keys(tmp_path, "paper", is_paper=True)
    told = tree(tmp_path)
    for name in IDENTITIES:
        assert load_identity(tmp_path / name / "identity").public in told["broker/users.conf"]
        assert told[f"{name}/identity"].strip() not in told["broker/users.conf"]


def test_a_damaged_identity_is_named_and_not_replaced(tmp_path):
    make_keys(tmp_path, "paper", is_paper=True)
    path = tmp_path / "feed" / "identity"
    path.chmod(0o600)
    path.write_text("nonsense")
    with pytest.raises(CommandFailed, match="feed/identity") as refused:
        make_keys(tmp_path, "paper", is_paper=True)
    assert refused.value.code == BAD_USAGE
    assert path.read_text() == "nonsense"


def test_nobody_may_write_the_journal_but_execution_and_nobody_may_delete():
    for name, found in rights("paper").items():
        said = (*found.stores, *found.says)
        journals = [subject for subject in said if subject.startswith(("journal", ">", "*"))]
        assert journals == (["journal.paper"] if name == "execution" else [])
        assert not [asked for asked in found.asks if "DELETE" in asked or "PURGE" in asked]
        assert not [subject for subject in found.hears if subject in (">", "_INBOX.>")]
    assert "U1" in broker_users("paper", dict.fromkeys(IDENTITIES, "U1"))
