"""The scan for secrets, let loose on repositories with one planted; all of them are drawn here."""

import base64
import random
import string
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from services.paper_exchange import demo_keys

SCAN = Path(__file__).resolve().parents[3] / "scripts" / "scan_secrets.py"
DICE = random.Random(20261121)


def drawn(alphabet: str, length: int) -> str:
    return "".join(DICE.choices(alphabet, k=length))


def ed25519_pem() -> str:
    key = Ed25519PrivateKey.from_private_bytes(DICE.randbytes(32))
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


LETTERS = string.ascii_letters + string.digits
VENUE_KEY = drawn(LETTERS, 64)
SEED = "SU" + drawn(string.ascii_uppercase + "234567", 56)
PEM = ed25519_pem()
HEX = drawn("0123456789abcdef", 64)
TOKEN = base64.urlsafe_b64encode(DICE.randbytes(32)).decode().rstrip("=")

PLANTED = {
    "a key of the venue": f"key = '{VENUE_KEY}'",
    "a secret of the venue in YAML": f"  value: {VENUE_KEY}",
    "a key of the venue in an environment file": f"export BINANCE_KEY={VENUE_KEY}",
    "an Ed25519 key": PEM,
    "an Ed25519 key in one string": repr(PEM),
    "an Ed25519 key without its frame": PEM.splitlines()[1],
    "a seed of the broker": SEED,
    "a seed in an address": f"nats://{SEED}@127.0.0.1:4222",
    "a bearer token": f'curl -H "Authorization: Bearer {TOKEN}"',
    "a bearer token in hex": f"authorization: bearer {HEX}",
    "a line of tokens": f"admin alice {HEX}",
    "a secret in the environment": f"PORTCULLIS_API_SECRET={HEX}",
    "a secret in JSON": f'{{"apiSecret": "{HEX}"}}',
    "a password in an address": f"nats://portcullis:{drawn(LETTERS, 20)}@broker:4222",
}
HARMLESS = {
    "the demo keys": "\n".join(
        f"api_key={key}" for name, key in vars(demo_keys).items() if name.startswith("DEMO_")
    ),
    "a digest in a lock": f"    --hash=sha256:{HEX}",
    "the digest of a token": f"admin alice sha256:{HEX}",
    "a commit": f"uses: actions/checkout@{HEX[:40]} # v7",
    "a public key": PEM.replace("PRIVATE", "PUBLIC").replace("MC4CAQAw", "MCowBQYD"),
    "a name": "api_key_file: secrets/live/execution_api_key",
    "a long word": "secret = an_expression_that_is_quite_long_and_2_words",
    "a shown key": "key abc***xyz (length: 64)",
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    (tmp_path / "README.md").write_text("# Nothing to see\n")
    commit(tmp_path, "Begin")
    return tmp_path


def git(root: Path, *arguments: str) -> None:
    who = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    subprocess.run(("git", *who, *arguments), cwd=root, check=True, capture_output=True)


def commit(root: Path, message: str) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--no-verify", "-m", message)


def scan(root: Path, *options: str) -> tuple[int, str]:
    done = subprocess.run(
        (sys.executable, "-I", "-S", str(SCAN), *options),
        cwd=root,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


def plant(root: Path, lines: dict[str, str]) -> None:
    for number, line in enumerate(lines.values()):
        (root / f"file{number}").write_text(f"first\n{line}\n")


def test_each_kind_of_secret_is_found_by_file_and_line_and_never_shown(repository: Path) -> None:
    plant(repository, PLANTED)
    code, told = scan(repository, "--no-history")
    assert code == 1
    missed = [name for number, name in enumerate(PLANTED) if f"file{number}:2: " not in told]
    assert not missed, told
    for secret in (VENUE_KEY, SEED, HEX, TOKEN, PEM.splitlines()[1]):
        assert secret[4:-4] not in told


def test_what_is_public_or_a_digest_raises_no_alarm(repository: Path) -> None:
    plant(repository, HARMLESS)
    commit(repository, "Publish")
    assert scan(repository) == (0, "scan-secrets: nothing found\n")


def test_a_secret_that_was_removed_again_is_found_in_the_history(repository: Path) -> None:
    (repository / "keys.yaml").write_text(f"trade: {VENUE_KEY}\n")
    commit(repository, "Add")
    git(repository, "checkout", "--quiet", "-b", "aside")
    (repository / "seed").write_text(SEED)
    commit(repository, "Elsewhere")
    git(repository, "checkout", "--quiet", "main")
    (repository / "keys.yaml").unlink()
    commit(repository, "Remove")
    assert scan(repository, "--no-history")[0] == 0
    code, told = scan(repository)
    assert code == 1
    assert "keys.yaml (git show " in told
    assert "seed (git show " in told


def test_a_secret_in_a_commit_message_is_found(repository: Path) -> None:
    git(repository, "commit", "--quiet", "--allow-empty", "-m", f"Try\n\nwith {VENUE_KEY}")
    code, told = scan(repository)
    assert code == 1
    assert told.startswith("message of ")


def test_only_what_is_staged_holds_a_commit_back(repository: Path) -> None:
    (repository / "mine").write_text(VENUE_KEY)
    assert scan(repository, "--staged")[0] == 0
    git(repository, "add", "mine")
    (repository / "mine").write_text("taken back, but not from what is staged")
    code, told = scan(repository, "--staged")
    assert code == 1
    assert told.startswith("mine:1: key or secret of the venue: ")


def test_it_says_so_where_it_cannot_look(repository: Path, tmp_path_factory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    code, told = scan(elsewhere)
    assert code == 2
    assert told.startswith("scan-secrets: git ls-files: ")
    git(elsewhere, "clone", "--quiet", "--depth=1", f"file://{repository}", "shallow")
    assert scan(elsewhere / "shallow", "--no-history")[0] == 0
    code, told = scan(elsewhere / "shallow")
    assert code == 2
    assert "the history is cut off here" in told


def test_this_repository_holds_no_secret() -> None:
    if not (SCAN.parent.parent / ".git").exists():
        pytest.skip("not a clone: git cannot say which files are ours")
    code, told = scan(SCAN.parent.parent, "--no-history")
    assert code == 0, told
