"""Repairs that are asked for again and again while one lasts do not pile up."""

import asyncio

from libs.common.messages.account import Command, Verb
from services.execution.repair import REPAIRS_WAITING_MAX, RepairDesk


class SlowFigures:
    """Settings that are asserted as slowly as the venue answers."""

    def __init__(self):
        self.asked = 0
        self.answer = asyncio.Event()

    async def assert_settings(self):
        self.asked += 1
        await self.answer.wait()


def command(number, verb=Verb.ASSERT_SETTINGS, target=""):
    return Command(
        message_id=f"m{number}", causation_id="m", correlation_id="m", ts_event_ns=1,
        ts_published_ns=1, source="reconciler", account="paper", verb=verb, actor="reconciler",
        reason="they differ", target=target,
    )  # fmt: skip


def desk(figures, tasks):
    def spawn(work, _):
        tasks.append(asyncio.ensure_future(work))

    return RepairDesk(None, None, None, figures, None, spawn)


async def test_the_same_repair_is_done_once_however_often_it_is_asked_for_meanwhile():
    figures, tasks = SlowFigures(), []
    one = desk(figures, tasks)
    for number in range(50):
        one.begin(command(number))
        await asyncio.sleep(0)
    figures.answer.set()
    await asyncio.gather(*tasks)
    assert figures.asked == 1
    one.begin(command(51))
    await asyncio.gather(*tasks)
    assert figures.asked == 2


async def test_no_more_than_so_many_repairs_wait():
    figures, tasks = SlowFigures(), []
    one = desk(figures, tasks)
    one.begin(command(0))
    for number in range(2 * REPAIRS_WAITING_MAX):
        one.begin(command(number, Verb.ADOPT, f"S{number}"))
    assert len(tasks) == REPAIRS_WAITING_MAX
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
