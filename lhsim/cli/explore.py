"""The command ``lhsim explore``: its options, and no more."""

from __future__ import annotations

from pathlib import Path

import click

from lhsim import experiments
from lhsim.cli.commands import Command
from lhsim.cli.options import PATH, option, whole
from lhsim.errors import InputError

PORT = 8766  # where none is given


@click.command(cls=Command)
@click.argument("systems", nargs=-1, metavar="[SYSTEM]...")
@click.option("--output", "-o", type=PATH, metavar="FILE", help="Write one HTML file that needs no "
              "server, over runs that are made first; takes some minutes.")  # fmt: skip
@option("--port", "Port to listen on, on this machine alone; 0 takes a free one.  "
        f"[default: {PORT}]", type=whole(0, 65535))  # fmt: skip
@option("--no-browser", "Do not open a browser.", is_flag=True)
@option("--no-progress", "Hide the progress bar of --output.", is_flag=True)
def explore(
    systems: tuple[str, ...],
    output: Path | None,
    port: int | None,
    no_browser: bool,
    no_progress: bool,
) -> int:
    """Explore systems in a browser: latency, capacity, decision.

    SYSTEM is a name or a model file, besides polling, polling with wake-on-write and push, which
    the page always offers. It prints the URL of the page and runs until Ctrl-C.
    """
    if output is not None and (no_browser or port is not None):
        option_of_server = "--port" if port is not None else "--no-browser"
        allowed = "only without --output, which needs no server"
        raise InputError("changes nothing", source=option_of_server, allowed=allowed)
    return experiments.run_explore(
        systems,
        output,
        port=PORT if port is None else port,
        browser=not no_browser,
        show_progress=not no_progress,
    )
