"""`portcullis run`: start everything, tell what happens, and end all of it."""

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from cli import exits
from cli.ear import Ear
from cli.gather import gather
from cli.journal_commands import export_from_bus
from cli.narrator import Narrator
from cli.pacer import Pacer
from cli.report import Facts, broken_invariants, build_report, write_report
from cli.run_directory import TOKEN_FILE, create_run_directory, shrink_old_runs
from cli.run_plan import (
    RunOptions,
    RunPlan,
    effective_tree,
    plan_run,
    write_config,
)
from cli.settling import settle
from cli.supervisor import Child, Supervisor, tethered
from cli.venue_control import VenueControl, wait_until_listening
from cli.world import World, wait_until_armed, wait_until_ready
from libs.common.runtime.broker import Broker
from libs.common.runtime.bus import Bus
from libs.common.runtime.clock import monotonic_ns, wall_ns
from libs.common.runtime.config import BusConfig
from libs.common.runtime.errors import BusError, BusUnavailable, ConfigError
from libs.common.runtime.log import configure_logging
from libs.common.runtime.provisioning import provision

KEY_BYTES = 32
#: Nothing is armed before a mark price was heard, and a market that is held says none.
ARMING_STEPS = 2
KEY_FILES = (
    "approval_key",
    "feed_api_key",
    "execution_api_key",
    "execution_api_secret",
    "reconciler_api_key",
    "reconciler_api_secret",
    "http_tokens",
    TOKEN_FILE,
)
#: What the journal calls whoever operates a run from its own machine.
OPERATOR_NAME = "operator"


def run_to_end(options: RunOptions) -> int:
    """Run and return the exit code.

    Raises:
        CommandFailed: the run could not start, or ended before its time.
    """
    configure_logging("runner", "error")
    plan = plan_run(options, os.environ)
    narrator = Narrator(
        _write_line, has_colors=sys.stdout.isatty() and "NO_COLOR" not in os.environ
    )
    return asyncio.run(_Run(plan, narrator).whole())


def _write_line(line: str) -> None:
    print(line, flush=True)


class _Run:
    """One run, from the first process to the last."""

    def __init__(self, plan: RunPlan, narrator: Narrator) -> None:
        self._plan = plan
        self._narrator = narrator
        self._began_ns = monotonic_ns()
        data_dir = options_data_dir(plan)
        self._directory = create_run_directory(data_dir, wall_ns())
        shrink_old_runs(data_dir, plan.settings.runs_kept_max)
        self._supervisor = Supervisor(plan.settings, narrator.say, gives_up=plan.is_finite)
        self._broker = Broker(self._directory.broker, port=plan.broker_port, launcher=tethered())
        self._stopping = asyncio.Event()
        self._is_all_written = True
        self._goodbyes: list[tuple[str, Callable[[], Awaitable[None]]]] = []
        self._files = {name: (self._directory.path / name).resolve() for name in KEY_FILES}

    async def whole(self) -> int:
        """The life of the run; returns the exit code.

        Raises:
            CommandFailed: it could not start, or ended before its time.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal)
        work = asyncio.create_task(self._work())
        asked = asyncio.create_task(self._stopping.wait())
        failed = asyncio.create_task(self._supervisor.failed.wait())
        try:
            await asyncio.wait({work, asked, failed}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
            (result,) = await asyncio.gather(work, return_exceptions=True)
        finally:
            asked.cancel()
            failed.cancel()
            await self._end()
        if self._supervisor.failure is not None:
            raise self._supervisor.failure
        if isinstance(result, BusUnavailable | ConfigError):
            raise exits.CommandFailed(str(result), exits.NOT_AVAILABLE) from result
        if isinstance(result, asyncio.CancelledError):
            result = self._interrupted()
        if isinstance(result, BaseException):
            raise result
        return result if self._is_all_written else result or exits.FAILED

    def _interrupted(self) -> int:
        if self._plan.is_finite:
            self._narrator.say("interrupted before the data ended: no report")
            return exits.FAILED
        return exits.OK

    def _on_signal(self) -> None:
        if self._stopping.is_set():
            self._narrator.say("stopping already; the processes end within seconds")
        self._stopping.set()

    async def _work(self) -> int:
        world = await self._start()
        if not self._plan.is_finite:
            self._spawn_announcement(world)
            await asyncio.Event().wait()
        return await self._finite(world)

    # -- start ------------------------------------------------------------------------------------

    async def _start(self) -> World:
        """Start everything, side by side where it can be."""
        plan, supervisor = self._plan, self._supervisor
        self._directory.write_private("approval_key", secrets.token_hex(KEY_BYTES))
        self._write_tokens()
        await supervisor.start(self._venue_child(), is_vital=True)
        self._goodbyes.append(("broker", self._broker.stop))
        broker_url = await self._broker.start()
        self._keep_broker()
        config_path = self._directory.path / "config.yaml"
        tree = effective_tree(plan, broker_url, self._files, self._directory.audit)
        write_config(config_path, tree)
        bus_settings = plan.common.bus.model_copy(update={"url": broker_url})
        bus = await self._connect(bus_settings)
        await provision(bus, plan.common.account, bus_settings)
        ear = Ear(bus, plan.common.account, self._narrator.tell)
        await ear.listen()
        self._goodbyes.append(("services", supervisor.stop))
        for name in ("signal", "risk"):
            await supervisor.start(self._service_child(name, config_path))
        venue = await self._open_venue()
        for name in ("feed", "execution", "reconciler"):
            await supervisor.start(self._service_child(name, config_path))
        world = World(plan, self._directory, bus, ear, venue, supervisor, broker_url)
        supervisor.on_change(world.write_facts)
        world.write_facts()
        await wait_until_ready(world)
        self._tell_places(world)
        return world

    def _write_tokens(self) -> None:
        """A token for whoever started the run: `portcullis halt` and the like find it here."""
        token = secrets.token_hex(KEY_BYTES)
        self._directory.write_private(TOKEN_FILE, token)
        self._directory.write_private("http_tokens", f"admin {OPERATOR_NAME} {token}\n")

    def _venue_child(self) -> Child:
        plan = self._plan
        arguments = ["--port", str(plan.venue_port), "--source", plan.market.source]
        for path in plan.market.paths:
            arguments += ["--path", str(path)]
        arguments += ["--speed", format(plan.speed, "f")]
        if plan.market.source == "generator":
            seed = plan.options.seed if plan.options.seed is not None else plan.settings.seed
            arguments += ["--seed", str(seed), "--symbols", ",".join(plan.market.symbols)]
        if plan.is_finite:
            arguments.append("--hold")
        return self._child("paper_exchange", arguments)

    def _service_child(self, name: str, config: Path) -> Child:
        return self._child(name, ["--config", str(config)])

    def _child(self, name: str, arguments: list[str]) -> Child:
        command = (sys.executable, "-m", f"services.{name}", *arguments)
        return Child(name, command, self._directory.log(name))

    async def _connect(self, settings: BusConfig) -> Bus:
        def closed() -> None:
            self._supervisor.fail("the connection to the broker is closed for good")

        bus = await Bus.connect(settings, "runner", closed)
        self._goodbyes.append(("bus", bus.close))
        return bus

    async def _open_venue(self) -> VenueControl:
        """Wait for the paper exchange and open the run's account there."""
        plan = self._plan
        await wait_until_listening(plan.venue_url, plan.settings.start_timeout_ms)
        venue = VenueControl(plan.venue_url)
        self._goodbyes.append(("venue", venue.close))
        trading = await venue.create_account(plan.settings.balance, ["READ", "TRADE"])
        reading = await venue.create_account(
            plan.settings.balance, ["READ"], account_id=trading.account_id
        )
        for name, account in (("execution", trading), ("reconciler", reading)):
            self._directory.write_private(f"{name}_api_key", account.api_key)
            self._directory.write_private(f"{name}_api_secret", account.secret)
        # The venue wants a key named for old trades; without its secret it can sign nothing.
        self._directory.write_private("feed_api_key", reading.api_key)
        return venue

    def _keep_broker(self) -> None:
        async def keep() -> None:
            while True:
                code = await self._broker.wait()
                self._narrator.say(f"the broker ended (code {code}); starting it again")
                await asyncio.sleep(self._plan.settings.restart_wait_ms / 1000)
                await self._broker.start()

        keeper = asyncio.create_task(keep(), name="keep-broker")

        async def let_go() -> None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)

        self._goodbyes.append(("broker keeper", let_go))

    def _tell_places(self, world: World) -> None:
        say = self._narrator.say
        say(f"started in {(monotonic_ns() - self._began_ns) / 1e9:.1f} s")
        for line in world.places():
            say(line)

    def _spawn_announcement(self, world: World) -> None:
        async def announce() -> None:
            await wait_until_armed(world)
            self._narrator.say("armed; Ctrl-C stops everything")

        task = asyncio.create_task(announce())
        self._goodbyes.append(("announcement", _canceling(task)))

    # -- a finite run -----------------------------------------------------------------------------

    async def _finite(self, world: World) -> int:
        plan = self._plan
        pacer = Pacer(
            world.venue,
            world.bus,
            world.ear,
            interval_ns=plan.market.interval_ns,
            hold_ms_max=plan.settings.hold_ms_max,
        )
        for _ in range(ARMING_STEPS):
            await pacer.step()
        await wait_until_armed(world)
        await pacer.run_to_source_end()
        self._narrator.say("the data has ended; waiting for the last intents to end")
        is_settled = await settle(world, pacer)
        facts = await gather(world, pacer.facts(), self._files)
        return self._judge(facts, is_settled=is_settled)

    def _judge(self, facts: Facts, *, is_settled: bool) -> int:
        report = build_report(facts)
        report["settled"] = is_settled
        path = self._plan.options.report or self._directory.path / "report.json"
        write_report(path, report)
        broken = broken_invariants(report)
        for invariant in broken:
            self._narrator.say(f"BROKEN: {invariant}")
        self._narrator.say(f"report: {path}")
        return exits.FAILED if broken else exits.OK

    # -- end --------------------------------------------------------------------------------------

    async def _end(self) -> None:
        """Stop everything in reverse order, and keep the journal as a file."""
        self._narrator.say("stopping")
        for name, goodbye in reversed(self._goodbyes):
            try:
                if name == "bus":
                    await self._keep_journal()
                await goodbye()
            except (BusError, exits.CommandFailed, OSError) as error:
                self._narrator.say(f"{name}: {error}")
        await self._supervisor.stop()
        self._finish_facts()

    async def _keep_journal(self) -> None:
        try:
            await export_from_bus(self._directory, self._plan)
        except OSError as error:
            self._is_all_written = False
            self._narrator.say(
                f"journal not exported: {error.strerror}; the broker's store has it:"
                f" portcullis journal export --data-dir {self._directory.path} --out FILE"
            )

    def _finish_facts(self) -> None:
        facts = self._directory.read_facts()
        try:
            self._directory.write_facts({**facts, "ended": True, "services": {}})
        except OSError as error:
            self._is_all_written = False
            self._narrator.say(f"run.json not finished: {error.strerror}")


def options_data_dir(plan: RunPlan) -> Path:
    """Where runs are kept."""
    return plan.options.data_dir or plan.settings.data_dir


def _canceling(task: "asyncio.Task[None]") -> Callable[[], Awaitable[None]]:
    async def cancel() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    return cancel
