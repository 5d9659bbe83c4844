"""One shape for every service, and a list that keeps ``libs/common`` from becoming a drawer."""

import ast

# Adding a file here is a deliberate act: two services need it today (libs/common/__init__.py).
COMMON_MODULES = {
    "model": (
        "agreement algo_order ids instrument intent lifecycle money order pnl position risk_limits "
        "settings trading_state verdict"
    ),
    "messages": (
        "account algo_events audit audit_events audit_trail codec envelope event guard_events "
        "hello income_events intents journal limit_events market subjects vouching"
    ),
    "venue": (
        "budget endpoints latches market_payloads outcome_table outcomes payloads "
        "settings_payloads signing socket_api stream_payloads streams user_payloads"
    ),
    "runtime": (
        "broker bus bus_client bus_identity bus_tls clock config config_faults config_file "
        "config_shown credentials errors health http http_problem http_tokens journal log metrics "
        "process_end provisioning retry_read secret service trace venue_client venue_http "
        "venue_reader venue_settings venue_socket venue_transport websocket"
    ),
    "testing": "builders scripted_venue venue_calls",
}

DOORS = ("__init__.py", "__main__.py", "config.py", "core.py", "shell.py")
CONTRACT = ("owns", "hears", "says", "never")


def test_libs_common_holds_exactly_what_was_admitted(root):
    common = root / "libs" / "common"
    found = {
        path.relative_to(common).with_suffix("").as_posix()
        for path in common.rglob("*.py")
        if path.name != "__init__.py"
    }
    admitted = {
        f"{room}/{name}" for room, names in COMMON_MODULES.items() for name in names.split()
    }
    assert found - admitted == set(), (
        "nothing enters libs/common until two services use it; then add it to COMMON_MODULES"
    )
    assert admitted - found == set(), "gone from libs/common: take it out of COMMON_MODULES"


def service_folders(root):
    """Return the folders of services that can be started."""
    return sorted(path.parent for path in (root / "services").glob("*/__main__.py"))


def test_every_service_has_the_same_doors(root):
    missing = [
        f"services/{folder.name}/{door}"
        for folder in service_folders(root)
        for door in DOORS
        if not (folder / door).is_file()
    ]
    assert not missing, (
        "knowing one service is knowing all: __main__ wires, core decides, shell carries"
    )


def test_every_service_states_its_contract(root):
    silent = []
    for path in sorted((root / "services").glob("*/__init__.py")):
        words = (ast.get_docstring(ast.parse(path.read_text())) or "").lower()
        silent += [f"services/{path.parent.name}: {word}" for word in CONTRACT if word not in words]
    assert not silent, "the docstring of a service says what it owns, hears, says and never does"


def test_libs_common_has_five_rooms_and_each_says_what_it_is_for(root):
    rooms = {path.parent.name: path for path in (root / "libs" / "common").glob("*/__init__.py")}
    assert set(rooms) <= set(COMMON_MODULES), "there is no sixth room in libs/common"
    silent = [
        room for room, path in rooms.items() if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent, "a room opens with a sentence of purpose"
