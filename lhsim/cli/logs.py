"""The commands that read the logs of other tools: import and inspect."""

from __future__ import annotations

from typing import Any

import click

from lhsim import experiments
from lhsim.cli.commands import Command
from lhsim.cli.options import (
    PATH,
    Parsed,
    choice,
    format_option,
    option,
    options,
    parse_agents,
    parse_duration,
)
from lhsim.errors import InputError
from lhsim.readers.formats.hints import AUTO, NAMES, Hints

UNITS = ("s", "ms", "us", "ns")
STAMPS = ("start", "end")
SPANS = ("server", "client")


def hint_options() -> list[Any]:
    """Return the options that say what a file does not."""
    duration = Parsed("TIME", parse_duration)
    return [
        option("--unit", "Unit of the times, if the file does not say.", type=choice(*UNITS),
               metavar="|".join(UNITS)),
        option("--stamps", "What a time stamp marks, if the format leaves it open.",
               type=choice(*STAMPS), metavar="|".join(STAMPS)),
        option("--log-format", "Format string of an access log, as in the server's "
               "configuration, or a name such as nginx.", metavar="FORMAT"),
        option("--client", "Variable of an access log's format that names clients, such as "
               "'$remote_addr'.", metavar="VARIABLE"),
        option("--span-kind", "Kind of span to read, if traces have both.", type=choice(*SPANS),
               metavar="|".join(SPANS)),
        option("--sleep-first", "Time of a \\sleep before the first command of pgbench's "
               "script; it is not part of a response.", type=duration, default=0.0),
        option("--sleep-last", "The same after the last command.", type=duration, default=0.0),
    ]  # fmt: skip


def quiet_option() -> Any:
    """Return the option that leaves out what is no result."""
    return option("--quiet", "Print only data and errors.", is_flag=True)


@click.command(name="import", cls=Command)
@click.argument("kind", metavar="FORMAT", type=choice(AUTO, *NAMES, kind="format"))
@click.argument("files", nargs=-1, metavar="FILE...", type=PATH)
@click.option("--output", "-o", required=True, metavar="FILE", type=PATH,
              help="New .parquet or .csv file for the request log.")  # fmt: skip
@options(hint_options())
@format_option(("table", "json"), "output_format")
@options([quiet_option()])
def import_log(**given: Any) -> int:
    """Convert another tool's log into a request log.

    A request log has the client, start_s and end_s of each request. FORMAT is requests, pgbench,
    k6-csv, k6-json, jmeter-csv, jmeter-xml, vegeta-csv, vegeta-json, hey, otlp or access-log, or
    auto to detect it. Several FILEs are parts of one run, such as one per thread of pgbench. It
    prints what it read and what the format cannot tell.
    """
    hints = take_hints(given)
    if not given["files"]:
        raise InputError("is missing", source="FILE", allowed="one file or more, of one run")
    return experiments.run_import(
        experiments.ImportOptions(given.pop("kind"), hints=hints, **given)
    )


@click.command(cls=Command)
@click.argument("logs", nargs=-1, metavar="LOG...", type=PATH)
@click.option("--as", "kind", metavar="FORMAT", type=choice(AUTO, *NAMES, kind="format"),
              default=AUTO, show_default=True, help="Format of the logs.")  # fmt: skip
@click.option("--together", is_flag=True, help="Treat the logs as parts of one run.")
@click.option("--metric", metavar="NAME", help="Prometheus histogram to read.")
@click.option("--before", metavar="FILE", type=PATH,
              help="Earlier scrape of the metric, to subtract.")  # fmt: skip
@click.option("--output", "-o", "picture", metavar="FILE", type=PATH,
              help="New .png or .svg file for a plot.")  # fmt: skip
@options(hint_options())
@format_option(("table", "json"), "output_format")
@options([quiet_option()])
def inspect(**given: Any) -> int:
    """Show what logs of requests tell about load and server.

    LOG is a request log, in any format that lhsim import reads, a message log, or the percentiles
    or a histogram of response times. It shows whether clients wait for responses, their think
    times, whether requests arrive in clusters, and whether the server was saturated. Several LOGs
    are loads of one server.
    """
    hints = take_hints(given)
    if not given["logs"]:
        raise InputError("is missing", source="LOG", allowed="one log or more")
    asked = experiments.InspectOptions(format=given.pop("kind"), hints=hints, **given)
    return experiments.run_inspect(asked)


@click.command(cls=Command)
@click.argument("logs", nargs=-1, metavar="LOG...", type=PATH)
@click.option("--agents", required=True, metavar="N", type=Parsed("N", parse_agents),
              help="Agents that send the messages of the log.")  # fmt: skip
@click.option("--every", metavar="TIME", type=Parsed("TIME", parse_duration),
              help="Time with one rate.  [default: 15min]")  # fmt: skip
@click.option("--replay", is_flag=True,
              help="Keep the time of each request, instead of rates.")  # fmt: skip
@click.option("--system", metavar="NAME_OR_FILE", default="polling", show_default=True,
              help="System that gets the traffic.")  # fmt: skip
@click.option("--set", "settings", metavar="KEY=VALUE", multiple=True,
              help="Change a parameter; repeatable.")  # fmt: skip
@click.option("--as", "kind", metavar="FORMAT", type=choice(AUTO, *NAMES, kind="format"),
              default=AUTO, show_default=True, help="Format of the logs.")  # fmt: skip
@click.option("--output", "-o", required=True, metavar="FILE", type=PATH,
              help="New .toml file for the model.")  # fmt: skip
@options(hint_options())
@format_option(("table", "json"), "output_format")
@options([quiet_option()])
def profile(**given: Any) -> int:
    """Make the load of a log over time the traffic of a model.

    LOG is a request log, in any format that lhsim import reads; several are parts of one. The
    model has piecewise traffic: agents send as many messages in each piece of time as the log has
    requests, at random within it. With --replay it has recorded traffic: a message at the very
    time of each request.
    """
    hints = take_hints(given)
    if not given["logs"]:
        raise InputError("is missing", source="LOG", allowed="one log or more")
    (agents, *more) = given.pop("agents")
    if more:
        raise InputError("are several", source="--agents", allowed="one number")
    asked = experiments.ProfileOptions(
        format=given.pop("kind"), hints=hints, agents=agents, **given
    )
    return experiments.run_profile(asked)


def take_hints(given: dict[str, Any]) -> Hints:
    """Take what is said of files out of the options of a command."""
    names = ("unit", "stamps", "log_format", "client", "span_kind", "sleep_first", "sleep_last")
    return Hints(**{name: given.pop(name) for name in names})
