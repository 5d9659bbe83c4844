"""The virtual-time loop: order, time, lives."""

import asyncio
from random import Random

import pytest

from sim.loop import NS_PER_S, Life, SpinningError, VirtualLoop


def new_loop(seed: int = 1) -> VirtualLoop:
    return VirtualLoop(Random(seed))  # type: ignore[abstract]


def test_time_jumps_to_the_next_timer_and_nothing_waits() -> None:
    loop = new_loop()
    woken: list[tuple[float, float]] = []

    async def sleeper(seconds: float) -> None:
        await asyncio.sleep(seconds)
        woken.append((seconds, round(loop.time(), 3)))

    for seconds in (3_600, 5, 60):
        loop.start(Life("one", 1), sleeper(seconds))
    loop.run(7_200 * NS_PER_S)

    assert woken == [(5, 5), (60, 60), (3_600, 3_600)]


def test_callbacks_of_one_moment_run_in_an_order_that_the_seed_decides() -> None:
    def order(seed: int) -> list[int]:
        loop = new_loop(seed)
        seen: list[int] = []
        for number in range(20):
            loop.call_soon(seen.append, number)
        loop.run(NS_PER_S)
        return seen

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert sorted(order(1)) == list(range(20))


def test_a_killed_life_runs_nothing_any_more_not_even_its_finally() -> None:
    loop = new_loop()
    done: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(1)
        finally:
            done.append("tidied up")

    life = Life("one", 1)
    task = loop.start(life, work())
    loop.run(NS_PER_S // 2)
    life.is_dead = True
    loop.run(10 * NS_PER_S)

    assert done == []
    assert not task.done()


def test_a_paused_life_goes_on_where_it_stood() -> None:
    loop = new_loop()
    seen: list[tuple[object, int]] = []

    async def work() -> None:
        for number in range(4):
            await asyncio.sleep(1)
            seen.append((number, round(loop.time())))

    life = Life("one", 1)
    loop.start(life, work())
    loop.run(int(1.5 * NS_PER_S))
    life.is_paused = True
    loop.after(10 * NS_PER_S, loop.resume, life)
    loop.run(60 * NS_PER_S)

    assert seen[0] == (0, 1)
    assert seen[1][1] >= 11
    assert [number for number, _ in seen] == [0, 1, 2, 3]


def test_a_fuse_burns_down_by_the_steps_of_its_own_life() -> None:
    loop = new_loop()
    seen: list[tuple[object, int]] = []
    life, other = Life("one", 1), Life("other", 1)

    async def work(name: str) -> None:
        for number in range(10):
            seen.append((name, number))
            await asyncio.sleep(1)

    def kill() -> None:
        life.is_dead = True

    loop.start(life, work("one"))
    loop.start(other, work("other"))
    life.fuse, life.on_fuse = 4, kill
    loop.run(60 * NS_PER_S)

    assert [number for name, number in seen if name == "other"] == list(range(10))
    assert [number for name, number in seen if name == "one"] == [0, 1]


def test_who_spins_is_found_out() -> None:
    loop = new_loop()

    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    loop.start(Life("one", 1), spin())
    with pytest.raises(SpinningError):
        loop.run(60 * NS_PER_S)
