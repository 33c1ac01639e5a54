"""The commands with which a study begins: ``init``, ``list`` and ``schema``."""

from __future__ import annotations

from pathlib import Path

import click

from lhsim import experiments
from lhsim.cli.commands import Command
from lhsim.cli.options import PATH, option


@click.command(cls=Command)
@click.argument("folder", default=".", metavar="[DIR]", type=PATH)
def init(folder: Path) -> None:
    """Write a model and an experiment to start from.

    DIR, by default the working directory, gets server.toml and sweep.toml, with comments that
    explain them. Existing files are never overwritten.
    """
    click.echo(experiments.write_templates(folder))


@click.command(cls=Command)
@click.argument("name", default="sweep")
def schema(name: str) -> None:
    """Print the JSON Schema of a model or experiment file.

    An editor with a TOML plugin completes and checks the file by it. NAME is "system" for a model,
    "sweep" (the default) for `lhsim run`, or an experiment such as "scaling".
    """
    click.echo(experiments.schema_text(name))


@click.command(name="list", cls=Command)
@option("--paths", "Show where their files are.", is_flag=True)
def list_all(*, paths: bool) -> None:
    """List the systems and experiments that come with lhsim."""
    click.echo(experiments.catalogue(paths=paths))
