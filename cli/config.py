"""Every limit of the runner, and the five services it starts with their default ports."""

from decimal import Decimal
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from libs.common.model.agreement import Kind, Relation
from libs.common.model.settings import Section

SERVICES = ("feed", "signal", "risk", "execution", "reconciler")
"""In the order in which the data flows; stopped in reverse."""
SERVICE_PORTS = {name: 8101 + index for index, name in enumerate(SERVICES)}

RELATIONS = (
    Relation(
        "runner.restart_wait_ms",
        Kind.AT_MOST,
        "runner.restart_wait_ms_max",
        "the first wait would be longer than the longest one",
    ),
)


class RunnerConfig(Section):
    """The ``runner`` section. All waits are wall time; market time is the venue's.

    Attributes:
        data_dir: runs are kept in ``<data_dir>/runs/<UTC stamp>``.
        runs_kept_max: older runs shrink to their exported journal, configuration and report; a run
            whose journal was not exported is never touched.
        balance: quote currency on the account that a run opens at the paper exchange.
        restart_wait_ms: wait before the first restart of a service; doubles each time.
        healthy_after_ms: a service that lived this long starts again from the shortest wait.
        restarts_in_a_row_max: a finite run gives up on a service that never stays healthy.
        hold_ms_max: longest the market is held at one step of a finite run for work to finish.
        settle_ms_max: longest a finite run waits, after its data ended, for the last intents to
            end and for a clean comparison with the venue.
    """

    title: ClassVar[str] = "runner"
    relations: ClassVar[tuple[Relation, ...]] = RELATIONS

    data_dir: Path = Path(".portcullis")
    runs_kept_max: int = Field(10, ge=1)
    balance: Decimal = Field(Decimal(10_000), gt=0)
    seed: int = 1
    speed: Decimal = Field(Decimal(1), gt=0, le=1_000_000)
    start_timeout_ms: int = Field(60_000, ge=1_000)
    stop_timeout_ms: int = Field(5_000, ge=100)
    restart_wait_ms: int = Field(200, ge=10)
    restart_wait_ms_max: int = Field(10_000, ge=10)
    healthy_after_ms: int = Field(30_000, ge=100)
    restarts_in_a_row_max: int = Field(12, ge=1)
    hold_ms_max: int = Field(2_000, ge=10)
    settle_ms_max: int = Field(60_000, ge=1_000)
