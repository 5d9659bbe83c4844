"""The verbs that operate a running execution service, as options; what they do is in operate.py."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

ReasonOption = Annotated[
    str, typer.Option("--reason", prompt="Reason", help="Why; it is journaled with your name.")
]
ActorOption = Annotated[
    str | None, typer.Option("--actor", help="Who asks (default: your login name).")
]
UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url", help="Execution's doors (or PORTCULLIS_URL; default: the running run's)."
    ),
]
TokenOption = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        help="Holds your token (or PORTCULLIS_TOKEN_FILE, PORTCULLIS_TOKEN; default: the run's).",
    ),
]
DataOption = Annotated[
    Path | None, typer.Option("--data-dir", help="A run, or where runs are kept.")
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="YAML settings (or PORTCULLIS_CONFIG).")
]
JsonOption = Annotated[bool, typer.Option("--json", help="The answer as JSON.")]
TimeoutOption = Annotated[
    float, typer.Option("--timeout", min=0.1, help="Seconds to wait for the answer.")
]
KeyOption = Annotated[
    str | None,
    typer.Option("--key", help="Idempotency-Key: asked again with it, nothing is done twice."),
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask; needed without a terminal.")]
AccountOption = Annotated[
    str | None, typer.Option("--account", help="The account, as confirmation where it is live.")
]
LocalOption = Annotated[bool, typer.Option("--local", help="By the halt file: needs no service.")]

_EPOCH = datetime.fromtimestamp(0, tz=UTC)
READ_TIMEOUT_S = 25.0
COMMAND_TIMEOUT_S = 10.0
KILL_TIMEOUT_S = 60.0


def _plain(name: str, summary: str) -> Callable[..., None]:
    """A command with a reason and nothing else."""

    def verb(
        reason: ReasonOption,
        actor: ActorOption = None,
        url: UrlOption = None,
        token_file: TokenOption = None,
        data_dir: DataOption = None,
        key: KeyOption = None,
        as_json: JsonOption = False,
        timeout: TimeoutOption = COMMAND_TIMEOUT_S,
    ) -> None:
        from cli.operate import Target, command

        target = Target(url, token_file, data_dir, timeout)
        raise typer.Exit(command(target, name, reason, actor, key=key, as_json=as_json))

    verb.__doc__ = summary
    return verb


def _halt(
    reason: ReasonOption,
    local: LocalOption = False,
    actor: ActorOption = None,
    url: UrlOption = None,
    token_file: TokenOption = None,
    data_dir: DataOption = None,
    config: ConfigOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
    timeout: TimeoutOption = COMMAND_TIMEOUT_S,
) -> None:
    """Send nothing any more; cancels still pass. --local needs neither service nor broker."""
    from cli.operate import Target, command, halt_locally

    if local:
        raise typer.Exit(halt_locally(reason, actor, data_dir=data_dir, config=config))
    target = Target(url, token_file, data_dir, timeout)
    raise typer.Exit(command(target, "halt", reason, actor, key=key, as_json=as_json))


def _resume(
    reason: ReasonOption,
    local: LocalOption = False,
    actor: ActorOption = None,
    url: UrlOption = None,
    token_file: TokenOption = None,
    data_dir: DataOption = None,
    config: ConfigOption = None,
    key: KeyOption = None,
    account: AccountOption = None,
    as_json: JsonOption = False,
    timeout: TimeoutOption = COMMAND_TIMEOUT_S,
) -> None:
    """Trade again. --local removes the halt file first."""
    from cli.operate import Target, command, confirm, remove_halt_file

    if local:
        remove_halt_file(data_dir=data_dir, config=config)
    target = Target(url, token_file, data_dir, timeout)
    confirm(target, "resume trading", yes=True, account=account)
    raise typer.Exit(command(target, "resume", reason, actor, key=key, as_json=as_json))


def _cancel_all(
    reason: ReasonOption,
    actor: ActorOption = None,
    url: UrlOption = None,
    token_file: TokenOption = None,
    data_dir: DataOption = None,
    key: KeyOption = None,
    yes: YesOption = False,
    account: AccountOption = None,
    as_json: JsonOption = False,
    timeout: TimeoutOption = KILL_TIMEOUT_S,
) -> None:
    """Halt, cancel every order and every stop of the account, and prove that none is left."""
    from cli.operate import Target, command, confirm

    target = Target(url, token_file, data_dir, timeout)
    confirm(target, "cancel every order, protective stops too", yes=yes, account=account)
    raise typer.Exit(command(target, "cancel-all", reason, actor, key=key, as_json=as_json))


def _flatten(
    reason: ReasonOption,
    symbol: Annotated[str | None, typer.Argument(help="One symbol (default: all).")] = None,
    actor: ActorOption = None,
    url: UrlOption = None,
    token_file: TokenOption = None,
    data_dir: DataOption = None,
    key: KeyOption = None,
    yes: YesOption = False,
    account: AccountOption = None,
    as_json: JsonOption = False,
    timeout: TimeoutOption = KILL_TIMEOUT_S,
) -> None:
    """Close every position (or one) at market, and prove it."""
    from cli.operate import Target, command, confirm

    target = Target(url, token_file, data_dir, timeout)
    what = f"close the position in {symbol}" if symbol else "close every position"
    confirm(target, f"{what} at market", yes=yes, account=account)
    more = {"symbol": symbol} if symbol else {}
    raise typer.Exit(command(target, "flatten", reason, actor, key=key, as_json=as_json, more=more))


def _unlock(
    guard: Annotated[str, typer.Argument(help="As `portcullis guards` names it.")],
    reason: ReasonOption,
    part: Annotated[str | None, typer.Argument(help="Its key: a symbol, a lock, a latch.")] = None,
    actor: ActorOption = None,
    url: UrlOption = None,
    token_file: TokenOption = None,
    data_dir: DataOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
    timeout: TimeoutOption = COMMAND_TIMEOUT_S,
) -> None:
    """End a guard before its time."""
    from cli.operate import Target, command

    guard, _, told = guard.partition(":")
    more = {"guard": guard, **({"key": part or told} if part or told else {})}
    target = Target(url, token_file, data_dir, timeout)
    raise typer.Exit(command(target, "unlock", reason, actor, key=key, as_json=as_json, more=more))


def _reconcile(
    now: Annotated[
        bool, typer.Option("--now", help="Wait for the comparison, and print what differs.")
    ] = False,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why; it is journaled with your name.")
    ] = None,
    actor: ActorOption = None,
    url: Annotated[
        str | None,
        typer.Option("--url", help="Execution's doors; with --now, the reconciler's."),
    ] = None,
    token_file: TokenOption = None,
    data_dir: DataOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
    timeout: TimeoutOption = READ_TIMEOUT_S,
) -> None:
    """Ask the reconciler to compare now.

    With --now exit code 1 means that something differs, and 5 that nothing could be proven in time.
    """
    from cli.operate import Target, command, compare_now

    if now:
        target = Target(url, token_file, data_dir, timeout, service="reconciler")
        raise typer.Exit(compare_now(target, as_json=as_json))
    target = Target(url, token_file, data_dir, timeout)
    why = reason or typer.prompt("Reason")
    raise typer.Exit(command(target, "reconcile", why, actor, key=key, as_json=as_json))


def _reading(name: str, summary: str) -> Callable[..., None]:
    def verb(
        url: UrlOption = None,
        token_file: TokenOption = None,
        data_dir: DataOption = None,
        as_json: JsonOption = False,
        timeout: TimeoutOption = READ_TIMEOUT_S,
    ) -> None:
        from cli.operate import Target, show

        target = Target(url, token_file, data_dir, timeout)
        raise typer.Exit(show(target, name, as_json=as_json))

    verb.__doc__ = summary
    return verb


def _positions(
    history: Annotated[
        bool, typer.Option("--history", help="Every change with its cause, newest first.")
    ] = False,
    symbol: Annotated[str, typer.Option(help="The history of this symbol only.")] = "",
    strategy: Annotated[str, typer.Option(help="The history of this strategy only.")] = "",
    cause: Annotated[
        str, typer.Option(help="fill, manual, adopted, funding, liquidation, adl, transfer...")
    ] = "",
    since: Annotated[
        datetime | None, typer.Option(help="From this time on (UTC), this one included.")
    ] = None,
    until: Annotated[datetime | None, typer.Option(help="Up to this time (UTC).")] = None,
    before: Annotated[str, typer.Option(help="The next page of the history.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500, help="Changes on a page.")] = 100,
    url: UrlOption = None,
    token_file: TokenOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,
    timeout: TimeoutOption = READ_TIMEOUT_S,
) -> None:
    """Positions at the newest mark, or the history of their changes."""
    from urllib.parse import urlencode

    from cli.operate import Target, show

    target = Target(url, token_file, data_dir, timeout)
    if not history:
        raise typer.Exit(show(target, "positions", as_json=as_json))
    words = {"symbol": symbol, "strategy": strategy, "cause": cause, "before": before}
    times = {"since_ns": since, "until_ns": until}
    asked = {
        "limit": limit,
        **{name: word for name, word in words.items() if word},
        **{name: _ns(moment) for name, moment in times.items() if moment is not None},
    }
    raise typer.Exit(show(target, "positions/history", as_json=as_json, query=urlencode(asked)))


def _ns(moment: datetime) -> int:
    """Nanoseconds since 1970 of a time in UTC."""
    return int((moment.replace(tzinfo=UTC) - _EPOCH).total_seconds()) * 1_000_000_000


def _pnl(
    days: Annotated[int, typer.Option(min=1, max=35, help="The newest so many UTC days.")] = 7,
    url: UrlOption = None,
    token_file: TokenOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,
    timeout: TimeoutOption = READ_TIMEOUT_S,
) -> None:
    """Profit and loss by UTC day, symbol and strategy."""
    from cli.operate import Target, show

    target = Target(url, token_file, data_dir, timeout)
    raise typer.Exit(show(target, "pnl", as_json=as_json, query=f"days={days}"))


def _intent(
    intent_id: Annotated[str | None, typer.Argument(help="Its id (none: the newest ones).")] = None,
    url: UrlOption = None,
    token_file: TokenOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,
    timeout: TimeoutOption = READ_TIMEOUT_S,
) -> None:
    """The whole story of an intent, however old; or the newest intents."""
    from cli.operate import Target, show

    target = Target(url, token_file, data_dir, timeout)
    raise typer.Exit(show(target, "intent" if intent_id else "intents", intent_id, as_json=as_json))


def add_to(app: typer.Typer) -> None:
    """Add every verb to the command line."""
    app.command("halt")(_halt)
    app.command("reduce-only")(
        _plain("reduce-only", "Let only orders through that reduce a position.")
    )
    app.command("resume")(_resume)
    app.command("cancel-all")(_cancel_all)
    app.command("flatten")(_flatten)
    app.command("unlock")(_unlock)
    app.command("reconcile")(_reconcile)
    app.command("guards")(_reading("guards", "Every guard, with the seconds it has left."))
    app.command("orders")(_reading("orders", "Orders, stops and targets that have not ended."))
    app.command("positions")(_positions)
    app.command("pnl")(_pnl)
    app.command("figures")(
        _reading("figures", "How well each strategy trades: slippage, hit ratio, calibration.")
    )
    app.command("budget")(_reading("budget", "What the venue's own limits leave."))
    app.command("intent")(_intent)
