"""Who is let through which door, decided from the header alone."""

import msgspec
import pytest

from libs.common.runtime.config import HTTP_TOKENS_VARIABLE, CommonConfig, Mode
from libs.common.runtime.http import ANYBODY, NO_TOKENS, Doors
from libs.common.runtime.http_problem import PROBLEM_MEDIA_TYPE, Problem
from libs.common.runtime.http_tokens import Scope, load_tokens

TOKEN = "t" * 30
HEADER = f"Bearer {TOKEN}"


def doors(scope: str, mode: Mode = Mode.PAPER) -> Doors:
    variables = {HTTP_TOKENS_VARIABLE: f"{scope} alice {TOKEN}"}
    return Doors(load_tokens(CommonConfig(mode=mode), variables))


def refusal(found: Doors, header: str, scope: Scope) -> Problem:
    with pytest.raises(Problem) as problem:
        found.check(header, scope, "/v1/halt")
    return problem.value


def test_without_tokens_this_machine_may_read_and_nobody_may_command() -> None:
    found = Doors(NO_TOKENS)
    assert found.check("", Scope.READ, "/v1/guards") is ANYBODY
    for scope in (Scope.OPERATE, Scope.ADMIN):
        problem = refusal(found, HEADER, scope)
        assert (problem.status, problem.kind) == (403, "no-tokens")


def test_a_token_opens_its_scope_and_those_before_it() -> None:
    found = doors("operate")
    assert found.check(HEADER, Scope.OPERATE, "/v1/halt").name == "alice"
    assert found.check(HEADER, Scope.READ, "/v1/guards").name == "alice"
    assert refusal(found, HEADER, Scope.ADMIN).kind == "scope"


def test_a_wrong_token_opens_not_even_what_is_open_without_one() -> None:
    found = doors("admin")
    assert found.check("", Scope.READ, "/v1/guards") is ANYBODY
    problem = refusal(found, "Bearer wrong", Scope.READ)
    assert (problem.status, problem.kind) == (401, "unauthorized")
    assert problem.headers == {"WWW-Authenticate": "Bearer"}


def test_outside_of_paper_reading_needs_a_token_too() -> None:
    assert refusal(doors("read", Mode.LIVE), "", Scope.READ).status == 401
    assert doors("read", Mode.LIVE).check(HEADER, Scope.READ, "/v1/guards").name == "alice"


def test_a_problem_has_the_members_that_programs_look_for() -> None:
    answer = Problem(409, "refused", "not now", more="told").answer()
    assert answer.media_type == PROBLEM_MEDIA_TYPE
    assert msgspec.json.decode(bytes(answer.body)) == {
        "type": "urn:portcullis:problem:refused",
        "title": "Conflict",
        "status": 409,
        "detail": "not now",
        "more": "told",
    }
