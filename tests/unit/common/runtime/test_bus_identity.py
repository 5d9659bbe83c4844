"""The broker's own spelling of a key pair, and what is said of a file that holds none."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from libs.common.runtime.bus_identity import BusIdentity, load_identity, seed_of
from libs.common.runtime.secret import SecretError

RAW = bytes(range(32))


def written(tmp_path, text, mode=0o400):
    path = tmp_path / "identity"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_seed_is_spelled_as_the_brokers_tools_do():
    seed = seed_of(RAW).reveal()
    assert seed[:2] == "SU"
    assert len(seed) == 58


def test_what_is_written_is_read_and_signs(tmp_path):
    identity = load_identity(written(tmp_path, seed_of(RAW).reveal() + "\n"))
    assert identity.public == BusIdentity(RAW).public
    assert identity.public[0] == "U"
    assert len(identity.public) == 56
    raw_public = base64.b32decode(identity.public)[1:33]
    Ed25519PublicKey.from_public_bytes(raw_public).verify(
        base64.b64decode(identity.sign("nonce")), b"nonce"
    )


def test_one_wrong_letter_is_noticed(tmp_path):
    seed = seed_of(RAW).reveal()
    wrong = seed[:30] + ("A" if seed[30] != "A" else "B") + seed[31:]
    with pytest.raises(SecretError, match="fails its sum"):
        load_identity(written(tmp_path, wrong))


def test_a_file_that_others_may_read_and_one_that_is_no_seed_are_refused(tmp_path):
    with pytest.raises(SecretError, match="open to others"):
        load_identity(written(tmp_path, seed_of(RAW).reveal(), 0o444))
    with pytest.raises(SecretError, match="malformed"):
        load_identity(written(tmp_path / ".." / tmp_path.name, "password", 0o600))


def test_no_message_shows_the_seed(tmp_path):
    seed = seed_of(RAW)
    with pytest.raises(SecretError) as refused:
        load_identity(written(tmp_path, seed.reveal() + "A"))
    assert seed.reveal() not in str(refused.value)
