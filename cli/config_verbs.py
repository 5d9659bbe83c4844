"""`portcullis config`: show what is in effect, validate a file, tell two configurations apart."""

from pathlib import Path
from typing import Annotated

import typer

config_app = typer.Typer(help="Show, validate and compare configurations.")

FileOption = Annotated[
    Path | None, typer.Option("--config", help="YAML settings (or PORTCULLIS_CONFIG).")
]
ServiceOption = Annotated[
    str | None, typer.Option("--service", help="This service's section, with the common settings.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="The answer as JSON.")]


@config_app.command("show")
def show(
    config: FileOption = None,
    service: ServiceOption = None,
    changed: Annotated[
        bool, typer.Option("--changed", help="Only what is not at its default.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print every setting in effect, with its origin. Secrets are files: told, never opened up."""
    from cli.config_commands import show_config

    raise typer.Exit(show_config(config, service, changed=changed, as_json=as_json))


@config_app.command("validate")
def validate(
    file: Annotated[
        Path | None, typer.Argument(help="YAML settings (or PORTCULLIS_CONFIG).")
    ] = None,
    secrets: Annotated[
        bool, typer.Option("--secrets", help="Look into the secret files as well.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Tell everything that is wrong, each with its place: exit 0 if nothing is, 2 otherwise."""
    from cli.config_commands import validate_config

    raise typer.Exit(validate_config(file, secrets=secrets, as_json=as_json))


@config_app.command("diff")
def diff(
    file: Annotated[Path, typer.Argument(help="YAML settings.")],
    other: Annotated[
        Path | None, typer.Argument(help="What to compare with (default: the defaults).")
    ] = None,
    service: Annotated[
        str | None, typer.Option("--service", help="Compare with this running service instead.")
    ] = None,
    url: Annotated[
        str | None, typer.Option("--url", help="The running service's doors (default: the run's).")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help="Holds your token, as for other verbs.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="A run, or where runs are kept.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the settings that differ: exit 0 if none does, 1 if any, 2 if one cannot be read.

    Files are compared as they are, without the environment.
    """
    from cli.config_commands import diff_configs
    from cli.operate import Target

    target = None
    if service is not None:
        target = Target(url, token_file, data_dir, 10.0, service=service)
    raise typer.Exit(diff_configs(file, other, target, as_json=as_json))
