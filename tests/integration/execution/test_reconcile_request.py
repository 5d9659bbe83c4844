"""What execution says to the reconciler when a person tells it to ask, over real sockets."""

from typing import TYPE_CHECKING

from libs.common.messages import subjects
from libs.common.messages.account import ASKED_BY_A_PERSON

if TYPE_CHECKING:
    from tests.integration.execution.conftest import World

OPERATOR = f"operate-{'t' * 24}-token"


async def test_the_reconciler_is_told_that_a_person_asks(world: "World") -> None:
    said: list[bytes] = []

    async def hear(_: str, words: bytes, __: dict[str, str]) -> None:
        said.append(words)

    await world.bus.subscribe(subjects.reconcile_request("paper"), hear)
    status, answer = await world.http("POST", "/v1/reconcile", {"reason": "a look"}, token=OPERATOR)
    assert status == 200, answer

    async def is_told() -> bool:
        return ASKED_BY_A_PERSON in said

    await world.until(is_told, "the reconciler to be asked in a person's name")
