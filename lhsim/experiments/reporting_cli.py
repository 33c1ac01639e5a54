"""The command ``lhsim report``: its options, and no more."""

from __future__ import annotations

from pathlib import Path

import click

from lhsim.experiments.notices import Command
from lhsim.experiments.options import PATH


@click.command(cls=Command)
@click.argument("folder", type=PATH)
@click.option("-o", "--output", metavar="FILE", type=PATH,
              help="Of the report.  [default: report.html in the folder]")  # fmt: skip
def report(folder: Path, output: Path | None) -> None:
    """Write what experiments found as one HTML file.

    FOLDER holds a folder for each experiment, or is that of one. The file needs nothing besides
    itself: it can be sent to whoever has a browser. docs/how-to/report.md says what is in it.
    """
    from lhsim.experiments.reporting import write_report  # noqa: PLC0415 - imports the models

    click.echo(str(write_report(folder, output)))
