"""The command ``lhsim explore``: its options, and no more."""

from __future__ import annotations

from pathlib import Path

import click

from lhsim import experiments
from lhsim.cli.commands import Command
from lhsim.cli.options import PATH, option, whole


@click.command(cls=Command)
@click.argument("systems", nargs=-1, metavar="[SYSTEM]...")
@click.option("--output", "-o", type=PATH, metavar="FILE", help="Write one HTML file that needs no "
              "server, over runs that are made first; takes some minutes.")  # fmt: skip
@option("--port", "Port to listen on, on this machine alone; 0 takes a free one.",
        type=whole(0, 65535), default=8766, show_default=True)  # fmt: skip
@option("--no-browser", "Do not open a browser.", is_flag=True)
@option("--no-progress", "Hide the progress bar of --output.", is_flag=True)
def explore(
    systems: tuple[str, ...], output: Path | None, port: int, no_browser: bool, no_progress: bool
) -> int:
    """Explore systems in a browser: latency, capacity, decision.

    SYSTEM is a name or a model file, besides polling, polling with wake-on-write and push, which
    the page always offers. It prints the URL of the page and runs until Ctrl-C.
    """
    return experiments.run_explore(
        systems, output, port=port, browser=not no_browser, show_progress=not no_progress
    )
