"""`make drill-containers`: starts everything with docker compose, breaks it piece by piece, judges.

Needs Docker with the compose plugin. It uses a compose project of its own name, so that what runs
on the machine stays as it is, and removes it at the end (unless told to keep it).
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from scripts.container_confinement import Binding, judge_confinement
from scripts.container_look import (
    DrillFailed,
    Judgement,
    ask_venue,
    compose,
    inspect_project,
    judge_until_whole,
    operate,
    repeated_log_lines,
    restarts,
    states,
    wait_until,
)

PROJECT = "portcullis-drill"
SYMBOLS = ("BTCUSDT", "ETHUSDT")
#: Whoever hears before whoever speaks, the broker and the venue last.
VICTIMS = ("signal", "risk", "execution", "reconciler", "feed", "nats", "paper-exchange")
ONCE = ("keys", "provision")
#: The one that shows a port, and to this machine only; on which of its ports, the environment says.
SHOWN, SHOWN_PORT, SHOWN_ADDRESS = "execution", "8104/tcp", "127.0.0.1"
UP_S_MAX = 60
HEAL_S_MAX = 60
TRADE_S_MAX = 240
AGREE_S_MAX = 60
#: Ends what the init of a container runs, not the init: to the engine that is a crash.
CRASH_PYTHON = """
import os
for name in filter(str.isdigit, os.listdir("/proc")):
    parent = open(f"/proc/{name}/stat").read().rpartition(")")[2].split()[1]
    if parent == "1":
        os.kill(int(name), 9)
"""
CRASH_BROKER = "kill -9 $(busybox pidof nats-server)"


def say(text: str) -> None:
    """One line with the time since the start."""
    print(f"{time.monotonic() - BEGAN:7.1f} s  {text}", flush=True)


def all_well() -> bool:
    """Whether everything that should run does, and is healthy."""
    found = states()
    return all(
        health == "healthy" for name, (_, health) in found.items() if name not in ONCE
    ) and len(found) == len(VICTIMS) + len(ONCE)


def is_trading() -> bool:
    """Whether the gate is open."""
    try:
        guards = operate("guards")
    except DrillFailed:
        return False
    state = next(row for row in guards["guards"] if row["guard"] == "trading_state")
    return not guards["unarmed"] and not state["active"]


def wait_for_trade(known: int) -> None:
    """Until there is one more order than was known."""
    took = wait_until("a trade", lambda: judged().orders > known, TRADE_S_MAX)
    say(f"traded again after {took:.0f} s")


def judged() -> Judgement:
    """The venue and the journal agree; what they say."""
    return judge_until_whole(SYMBOLS, AGREE_S_MAX)


def bring_up() -> None:
    """Start and time it."""
    began = time.monotonic()
    compose("up", "-d", "--wait", "--wait-timeout", "120")
    took = time.monotonic() - began
    say(f"up and healthy in {took:.1f} s")
    if took > UP_S_MAX:
        raise DrillFailed(f"it took more than {UP_S_MAX} s")


def confined() -> None:
    """Hold every container to what docs/deploying.md promises of all; a line for each finding."""
    host_port = os.environ["PORTCULLIS_EXECUTION_PORT"]
    inspected = inspect_project(PROJECT)
    found = judge_confinement(
        inspected,
        services=(*VICTIMS, *ONCE),
        published={SHOWN: [Binding(SHOWN_PORT, SHOWN_ADDRESS, host_port)]},
    )
    for finding in found:
        say(finding)
    say(f"confinement of {len(inspected)} containers inspected; findings: {len(found)}")
    if found:
        raise DrillFailed(f"not confined as promised: {found[0]}")


def crash(service: str) -> None:
    """The process dies as by a fault; the engine has to start it again by itself."""
    before = restarts(service)
    how = ("sh", "-c", CRASH_BROKER) if service == "nats" else ("python", "-c", CRASH_PYTHON)
    compose("exec", "-T", service, *how, check=False)
    wait_until(f"{service} started again", lambda: restarts(service) > before, HEAL_S_MAX)
    took = wait_until("all well", lambda: all_well() and is_trading(), HEAL_S_MAX)
    say(f"{service:15} crashed: healed by itself in {took:.1f} s; {judged()}")


def kill(service: str) -> None:
    """`docker compose kill`, which the engine takes for a wish, and `up` again."""
    compose("kill", service)
    compose("up", "-d", service)
    took = wait_until("all well", lambda: all_well() and is_trading(), HEAL_S_MAX)
    say(f"{service:15} killed: up again in {took:.1f} s; {judged()}")


def broker_away(seconds: float) -> None:
    """Stop the broker for a while: nothing may be traded meanwhile, all goes on afterwards."""
    compose("stop", "nats")
    before = orders_at_venue()
    time.sleep(seconds)
    after = orders_at_venue()
    if after != before:
        raise DrillFailed(f"{after - before} orders left while the broker was away")
    compose("start", "nats")
    took = wait_until("all well", lambda: all_well() and is_trading(), HEAL_S_MAX)
    say(f"broker away for {seconds:.0f} s: nothing traded, well {took:.1f} s after; {judged()}")


def orders_at_venue() -> int:
    """Orders that the venue knows."""
    return len(ask_venue(SYMBOLS)["orders"])


def down_and_up() -> None:
    """All containers are removed; what was known is in the volumes."""
    before = judged()
    compose("down")
    bring_up()
    wait_until("trading", is_trading, HEAL_S_MAX)
    after = judged()
    if after.records < before.records or after.orders < before.orders:
        raise DrillFailed(f"forgotten: before {before}, after {after}")
    say(f"down and up: {before.records} records, then {after}")


def count_log_lines() -> None:
    """Every line once."""
    count, repeated = repeated_log_lines(VICTIMS)
    say(f"{count} log lines, {len(repeated)} of them more than once")
    if repeated:
        raise DrillFailed(f"logged twice: {repeated[0][:200]}")


def drill(seconds_away: float) -> None:
    """All of it."""
    bring_up()
    confined()
    wait_until("trading", is_trading, HEAL_S_MAX)
    wait_for_trade(0)
    for victim in VICTIMS:
        crash(victim)
    for victim in VICTIMS:
        kill(victim)
    broker_away(seconds_away)
    wait_for_trade(judged().orders)
    count_log_lines()
    down_and_up()
    wait_for_trade(judged().orders)
    count_log_lines()


def main() -> int:
    """Run the drill; 0 if everything held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--away", type=float, default=30, help="seconds without the broker")
    parser.add_argument("--keep", action="store_true", help="leave everything running")
    options = parser.parse_args()
    os.environ["COMPOSE_PROJECT_NAME"] = PROJECT
    os.environ.setdefault("PORTCULLIS_EXECUTION_PORT", "18104")
    failed = ""
    try:
        compose("down", "-v")
        drill(options.away)
    except DrillFailed as failure:
        failed = str(failure)
        say(f"FAILED: {failed}")
    finally:
        if not options.keep:
            compose("down", "-v", check=False)
    return 1 if failed else 0


BEGAN = time.monotonic()

if __name__ == "__main__":
    sys.exit(main())
