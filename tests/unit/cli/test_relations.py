"""Limits that do not go together are named, both of them, with both values, and why."""

import pytest
import yaml

from cli.config_check import SECTIONS, Examined, all_relations, ensure_agreement, examine
from libs.common.model.agreement import Kind, Relation, Setting, find_clashes
from libs.common.runtime.errors import ConfigError

RELATIONS = all_relations()
DEFAULTS = examine(None, {}).settings()


def broken(relation: Relation) -> dict[str, Setting]:
    """The defaults, with the left setting just beyond what the right one lets pass."""
    settings = dict(DEFAULTS)
    left = relation.left.replace("*", "X")
    if relation.only_if is not None:
        settings[relation.only_if[0]] = Setting(relation.only_if[1], True)
    if relation.kind is Kind.WITHIN:
        settings[relation.right] = Setting(("BTCUSDT",), True)
        is_list = isinstance(DEFAULTS.get(left, Setting({}, False)).value, tuple)
        name = left if is_list else f"{left}.BTCUSDX.lock_ms"
        settings.pop(left, None)
        settings[name] = Setting(("BTCUSDX",) if is_list else 5, True)
        return settings
    right = settings[relation.right].value or 1_000
    settings[relation.right] = Setting(right, True)
    beyond = right if relation.kind is Kind.BELOW else right + 1
    settings[left] = Setting(beyond, True)
    return settings


def test_the_defaults_agree_with_one_another() -> None:
    assert find_clashes(RELATIONS, DEFAULTS) == ()


def test_a_relation_is_declared_once_and_names_settings_that_exist() -> None:
    pairs = [(relation.left, relation.right, relation.only_if) for relation in RELATIONS]
    assert len(set(pairs)) == len(pairs)
    for relation in RELATIONS:
        assert relation.right in DEFAULTS
        known = relation.left.partition(".*")[0]
        assert any(name == known or name.startswith(f"{known}.") for name in DEFAULTS), known


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda one: f"{one.left}-{one.right}")
def test_each_relation_is_told_in_one_sentence_when_it_breaks(relation: Relation) -> None:
    settings = broken(relation)
    (clash,) = find_clashes([relation], settings)
    assert clash.names[1] == relation.right
    assert relation.left.partition(".*")[0] in clash.sentence
    assert relation.right in clash.sentence
    assert relation.why in clash.sentence
    assert "\n" not in clash.sentence
    if relation.kind is not Kind.WITHIN:
        for name in clash.names:
            assert f"{name} ({settings[name].value})" in clash.sentence


def test_what_is_switched_off_contradicts_nothing() -> None:
    assert DEFAULTS["execution.countdown_ms"].value == 0
    settings = {**DEFAULTS, "risk.sizing.equity_fraction": Setting(10**6, True)}
    assert find_clashes(RELATIONS, settings) == ()


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_knows_its_own_name(section: str) -> None:
    assert SECTIONS[section].title == section


def test_limits_of_two_services_are_held_against_each_other(tmp_path) -> None:
    path = tmp_path / "portcullis.yaml"
    tree = {"execution": {"state_interval_wall_ms": 9_000}}
    path.write_text(yaml.safe_dump(tree))
    found: Examined = examine(path, {})
    texts = [problem.text for problem in found.problems]
    assert len(texts) == 2
    assert all("execution.state_interval_wall_ms (9000) must be below" in text for text in texts)
    assert {problem.place for problem in found.problems} == {f"{path}:2"}
    with pytest.raises(ConfigError, match=r"risk\.limits\.account_silence_ms_max \(5000\)"):
        ensure_agreement(path, {})
