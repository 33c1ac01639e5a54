"""The commands with which a study begins: ``init``, ``list`` and ``schema``."""

from __future__ import annotations

from pathlib import Path

import click

from lhsim import experiments
from lhsim.cli.commands import Command
from lhsim.cli.options import PATH


@click.command(cls=Command)
@click.argument("folder", default=".", metavar="[DIR]", type=PATH)
def init(folder: Path) -> None:
    """Write a model and an experiment to start from.

    They are server.toml and sweep.toml, in DIR, the working directory by default, with comments
    that explain them. Nothing is overwritten.
    """
    click.echo(experiments.write_templates(folder))


@click.command(cls=Command)
@click.argument("name", default="sweep")
def schema(name: str) -> None:
    """Print the JSON Schema of a kind of file, for editors.

    NAME is "system", or an experiment: "sweep" (for lhsim run), "scaling", "latency" and the
    others that have a command.
    """
    click.echo(experiments.schema_text(name))


@click.command(name="list", cls=Command)
def list_all() -> None:
    """Show the systems and the experiments."""
    click.echo(experiments.catalogue())
