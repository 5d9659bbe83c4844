"""The verbs of `portcullis`. Everything heavy is imported inside its verb, so --help is fast.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 the broker, a port or the venue is
not available, 5 it took too long, 6 refused: by a token's scope, or by the state things are in.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli import operate_verbs
from cli.config_verbs import config_app
from cli.exits import CommandFailed
from cli.limits_verbs import limits_app

app = typer.Typer(
    name="portcullis",
    help="Automated trading on Binance USD-M Futures that fails closed.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
journal_app = typer.Typer(help="Export a journal, or verify an exported one offline.")
app.add_typer(journal_app, name="journal")
audit_app = typer.Typer(help="Verify an audit trail, report on it, or derive it from a journal.")
app.add_typer(audit_app, name="audit")
app.add_typer(config_app, name="config")
app.add_typer(limits_app, name="limits")
operate_verbs.add_to(app)

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="YAML settings (or PORTCULLIS_CONFIG).")
]
DataOption = Annotated[
    Path | None, typer.Option("--data-dir", help="Where runs are kept (default: .portcullis).")
]


@app.command()
def run(
    tape: Annotated[
        list[Path] | None, typer.Option(help="Replay a recorded tape, one symbol each; repeatable.")
    ] = None,
    klines: Annotated[
        list[Path] | None, typer.Option(help="Replay candles of a kline CSV; repeatable.")
    ] = None,
    speed: Annotated[
        str | None, typer.Option(help="Market seconds per wall second (default: 1).")
    ] = None,
    until_end: Annotated[
        bool, typer.Option("--until-end", help="Stop when the data ends; pace the market.")
    ] = False,
    report: Annotated[Path | None, typer.Option(help="Write the run's report as JSON.")] = None,
    config: ConfigOption = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the generated market.")] = None,
    data_dir: DataOption = None,
) -> None:
    """Start the broker, the paper exchange and the five services, and show what they do.

    Without --tape or --klines the market is generated and runs until Ctrl-C.
    """
    from cli.run import run_to_end
    from cli.run_plan import RunOptions

    options = RunOptions(
        tapes=tuple(tape or ()),
        klines=tuple(klines or ()),
        speed=speed,
        until_end=until_end,
        report=report,
        config=config,
        seed=seed,
        data_dir=data_dir,
    )
    raise typer.Exit(run_to_end(options))


@journal_app.command("export")
def journal_export(
    out: Annotated[Path, typer.Option(help="The file to write (JSON Lines).")],
    data_dir: Annotated[
        Path | None,
        typer.Option(help="A run's directory, or where runs are kept (then: the newest)."),
    ] = None,
    url: Annotated[str | None, typer.Option(help="A running broker, nats://host:port.")] = None,
    account: Annotated[str | None, typer.Option(help="Whose (default: as configured).")] = None,
) -> None:
    """Copy an account's journal out of the broker, record by record, with its head hash."""
    from cli.journal_commands import export_journal

    export_journal(out, data_dir=data_dir, url=url, account=account)


@journal_app.command("verify")
def journal_verify(
    file: Annotated[Path, typer.Argument(help="An exported journal.")],
) -> None:
    """Check an exported journal offline: exit 0 if it is whole, 1 with the first fault if not."""
    from cli.journal_commands import verify_journal

    raise typer.Exit(verify_journal(file))


@journal_app.command("restore")
def journal_restore(
    file: Annotated[Path, typer.Argument(help="An exported journal.")],
) -> None:
    """Put an exported journal into a broker that has none, with execution's identity."""
    from cli.journal_restore import restore_journal

    count = restore_journal(file)
    print(f"restored {count} records; docs/deploying.md says what to look at before you resume")


UrlOption = Annotated[str | None, typer.Option("--url", help="A running broker, nats://host:port.")]
AccountOption = Annotated[
    str | None, typer.Option("--account", help="Whose (default: as configured).")
]
RunOption = Annotated[
    Path | None,
    typer.Option("--data-dir", help="A run's directory, or where runs are kept (then: newest)."),
]
JournalOption = Annotated[Path | None, typer.Option("--journal", help="An exported journal.")]


@audit_app.command("verify")
def audit_verify(
    paths: Annotated[list[Path], typer.Argument(help="Directories or files of audit trails.")],
    journal: JournalOption = None,
    url: UrlOption = None,
    data_dir: RunOption = None,
    account: AccountOption = None,
) -> None:
    """Check audit trails: exit 0 if whole, 1 with the first changed or missing record if not.

    With a journal, from a file, a broker or a run, every line is derived anew and compared.
    """
    from cli.audit_commands import verify_audit

    raise typer.Exit(
        verify_audit(paths, journal=journal, url=url, data_dir=data_dir, account=account)
    )


@audit_app.command("export")
def audit_export(
    out: Annotated[Path, typer.Option(help="The directory to write the files to.")],
    journal: JournalOption = None,
    url: UrlOption = None,
    data_dir: RunOption = None,
    account: AccountOption = None,
) -> None:
    """Derive the audit trail of a journal, from a file, a broker or a run; all days are kept."""
    from cli.audit_commands import export_audit

    export_audit(out, journal=journal, url=url, data_dir=data_dir, account=account)


@audit_app.command("report")
def audit_report(
    paths: Annotated[list[Path], typer.Argument(help="Directories or files of audit trails.")],
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
) -> None:
    """Print retries, limits, refusals, orders, doubts, holds and operators' actions."""
    from cli.audit_commands import report_audit

    raise typer.Exit(report_audit(paths, as_json=as_json))


@app.command()
def provision(config: ConfigOption = None) -> None:
    """Make or adjust the streams, consumers and buckets on the configured broker."""
    from cli.provision import provision_broker

    provision_broker(config)


@app.command()
def keys(
    folder: Annotated[Path, typer.Argument(help="Where they are kept, a folder per service.")],
    account: Annotated[str, typer.Option(help="The trading account.")] = "paper",
    paper: Annotated[
        bool, typer.Option("--paper", help="With the paper exchange's published keys.")
    ] = False,
    broker_name: Annotated[
        list[str] | None,
        typer.Option(help="A host name or address of the broker for its certificate; repeatable."),
    ] = None,
) -> None:
    """Make the secrets of a deployment that nobody has to choose; those that are there stay."""
    from cli.keys import BROKER_NAMES, make_keys

    make_keys(folder, account, is_paper=paper, broker_names=broker_name or BROKER_NAMES)


@app.command()
def version() -> None:
    """Print the version."""
    from libs.common import __version__

    print(__version__)


def main() -> None:
    """The console script."""
    try:
        app()
    except CommandFailed as failure:
        print(f"portcullis: {failure}", file=sys.stderr)
        raise SystemExit(failure.code) from None


if __name__ == "__main__":
    main()
