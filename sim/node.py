"""A service as a process that can be killed, paused, cut off and started again."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from libs.common.model.settings import ServiceConfig
from libs.common.runtime.errors import BusError, PortcullisError
from libs.common.runtime.service import Context
from sim.bus import SimBus
from sim.loop import NS_PER_S, Life, VirtualLoop
from sim.settings import COMMON, CONFIG_HASH, EPOCH_NS

if TYPE_CHECKING:
    from sim.world import World

RESTART_NS = (NS_PER_S // 5, 2 * NS_PER_S)
"""How long a supervisor takes to start a process again."""

Start = Callable[["Node", Context[Any], Life], Awaitable[None]]


class NodeClock:
    """Market time as one process has it: the world's, plus how far its clock is off."""

    is_set = True

    def __init__(self, loop: VirtualLoop, life: Life) -> None:
        self._loop = loop
        self._life = life

    def now_ns(self) -> int:
        """UTC nanoseconds."""
        return EPOCH_NS + self._loop.now_ns + self._life.offset_ns


class Node:
    """One service: `start` plugs its shell into each new life."""

    def __init__(
        self, world: "World", name: str, service: str, settings: ServiceConfig, start: Start
    ) -> None:
        self.world = world
        self.name = name
        self.lives = 0
        self.exits = 0
        self.life: Life | None = None
        self.bus: SimBus | None = None
        self.shell: Any = None
        self._service = service
        self._settings = settings
        self._start = start
        self._context: Context[Any] | None = None

    def begin(self) -> None:
        """Start the process."""
        if self.life is not None:
            return
        world, loop = self.world, self.world.loop
        self.lives += 1
        life = self.life = Life(self.name, self.lives)
        bus = self.bus = SimBus(world.broker, life)
        context = self._context = Context(
            self._service,
            COMMON,
            self._settings,
            CONFIG_HASH,
            bus,  # type: ignore[arg-type]  # the same interface
            clock=NodeClock(loop, life),
        )
        world.note(f"{self.name} starts (life {self.lives})")
        loop.start(life, self._live(context, life))

    async def _live(self, context: Context[Any], life: Life) -> None:
        context.spawn(self._start_shell(context, life), "start")
        await context.stopping.wait()
        failure = context._failure  # noqa: SLF001 - what the process would exit with
        try:
            await context.finish()
        except (BusError, PortcullisError) as error:
            self.world.note(f"{self.name}: goodbye failed: {error!r}")
        self.world.loop.after(0, self._ended, life, failure)

    async def _start_shell(self, context: Context[Any], life: Life) -> None:
        await self._start(self, context, life)
        context.health.is_started = True

    def _ended(self, life: Life, failure: BaseException | None) -> None:
        if life.is_dead:
            return
        if failure is not None:
            self.exits += 1
            self.world.exit_reasons.append(f"{self.name}: {failure!r}")
            self.world.note(f"{self.name} exits: {failure!r}")
        self._bury()
        self.world.begin_later(self)

    def stop(self) -> bool:
        """Ask it to finish."""
        if self._context is None or self.life is None or self.life.is_paused:
            return False
        self._context.stopping.set()
        return True

    def kill(self) -> bool:
        """Kill it with -9: from here on nothing it had begun goes on."""
        if self.life is None:
            return False
        self.world.note(f"{self.name} is killed")
        self._bury()
        self.world.begin_later(self)
        return True

    def _bury(self) -> None:
        life, bus = self.life, self.bus
        assert life is not None
        assert bus is not None
        life.is_dead = True
        life.held.clear()
        self.world.broker.disconnect(bus)
        self.world.venue.sockets.drop_life(life)
        self.life = self.bus = self._context = None

    def pause(self, span_ns: int) -> bool:
        """Let it stand still (SIGSTOP, a long collection, a sleeping laptop)."""
        life = self.life
        if life is None or life.is_paused:
            return False
        life.is_paused = True
        self.world.loop.after(span_ns, self._go_on, life)
        return True

    def _go_on(self, life: Life) -> None:
        if not life.is_dead and life.is_paused:
            self.world.note(f"{self.name} goes on")
            self.world.loop.resume(life)

    def cut(self, span_ns: int) -> bool:
        """Take its way to the broker away for a while."""
        bus = self.bus
        if bus is None or bus.is_cut:
            return False
        bus.is_cut = True
        self.world.loop.after(span_ns, self._mend, bus)
        return True

    def _mend(self, bus: SimBus) -> None:
        bus.is_cut = False
        self.world.broker.recover()

    def deafen(self, span_ns: int, subjects: str) -> bool:
        """Let it hear nothing on subjects that begin so for a while, though all else arrives."""
        bus = self.bus
        if bus is None or subjects in bus.deaf_since_ns:
            return False
        bus.deaf_since_ns[subjects] = self.world.loop.now_ns
        self.world.loop.after(span_ns, self._hear_again, bus, subjects)
        return True

    def _hear_again(self, bus: SimBus, subjects: str) -> None:
        bus.deaf_since_ns.pop(subjects, None)

    def jump(self, offset_ns: int, span_ns: int) -> bool:
        """Let its wall clock jump, and jump back later."""
        life = self.life
        if life is None:
            return False
        life.offset_ns = offset_ns
        self.world.loop.after(span_ns, self._jump_back, life)
        return True

    def _jump_back(self, life: Life) -> None:
        life.offset_ns = 0

    def mend_everything(self) -> None:
        """The faults are over."""
        if self.life is None:
            self.begin()
            return
        self.life.offset_ns = 0
        self.life.fuse = 0
        if self.life.is_paused:
            self._go_on(self.life)
        if self.bus is not None:
            self.bus.is_cut = False
            self.bus.deaf_since_ns.clear()
