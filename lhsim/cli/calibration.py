"""The commands that hold models against real servers: calibrate, crosscheck and validate."""

from __future__ import annotations

from typing import Any

import click

from lhsim import experiments
from lhsim.cli.commands import Command
from lhsim.cli.options import (
    PATH,
    choice,
    cores,
    format_option,
    jobs_option,
    options,
    shown,
    silence_options,
    whole,
)
from lhsim.experiments.extras import NEEDED, check_extra
from lhsim.experiments.options import FORMATS, MAX_SEED

SHOWN = ("table", "json")  # formats of the data
ARCHITECTURES = ("polling", "push")  # as in lhsim.recording, whose libraries help need not wait for


@click.command(cls=Command)
@click.argument("runs", nargs=-1, metavar="[RUN]...", type=PATH)
@click.option("--output", "-o", required=True, metavar="FILE", type=PATH,
              help="For the system, as TOML; nothing is overwritten.")  # fmt: skip
@click.option("--template", metavar="SYSTEM", help="Gives what the runs cannot tell, by name or "
              "file.  [default: the system of the runs' architecture]")  # fmt: skip
@click.option("--name", help="Of the system.  [default: the name of the file]")
@click.option("--components", metavar="CSV", type=PATH,
              help="Samples of single costs, with columns component and seconds.")  # fmt: skip
@click.option("--plots", metavar="DIR", type=PATH,
              help="For plots of live times against simulated ones.")  # fmt: skip
@click.option("--black-box", is_flag=True,
              help="Take recordings for message logs: nothing else of them is used.")  # fmt: skip
@jobs_option()
@click.option("--format", "formats", multiple=True, metavar="table|json|NAME",
              help="Of the data on stdout, table or json; or of the request logs, such as pgbench, "
              "where their columns do not say it; repeatable.")  # fmt: skip
@options(silence_options())
def calibrate(**given: Any) -> int:
    """Make a system of live runs, of logs of any server, or of samples of its costs.

    RUN is a folder of lhsim measure; a message log of any server: a CSV or Parquet file with
    columns intended_s, sent_s, delivered_s, agent; a request log with columns client, start_s,
    end_s; or a run sheet, a TOML file that lists request logs with what is known besides. Take two
    loads or more, one of them beyond what
    the server keeps up with. The costs are fitted so that a simulated server misses the measured
    times and processor seconds least; the model keeps what the fit says against itself.
    """
    given["name"] = given["name"] or given["output"].stem
    given |= _formats(given.pop("formats"))
    return experiments.run_calibrate(experiments.CalibrateOptions(**shown(given)))


def _formats(given: tuple[str, ...]) -> dict[str, str | None]:
    """Return the format of the data, and that of the logs, of those that were given."""
    of_logs = [one for one in given if one not in SHOWN]
    of_data = [one for one in given if one in SHOWN]
    if len(of_logs) > 1 or len(of_data) > 1:
        raise click.UsageError("--format: one for the data and one for the logs at most")
    return {"output_format": of_data[0] if of_data else "table",
            "log_format": of_logs[0] if of_logs else None}  # fmt: skip


@click.command(cls=Command)
@click.option("--model", required=True, metavar="FILE", help="The system, by name or file.")
@click.option("--live", multiple=True, required=True, metavar="RUN",
              type=PATH,
              help="Folder of lhsim measure, or a message log; repeatable.")  # fmt: skip
@click.option("--seed", type=whole(0, MAX_SEED), default=1, show_default=True,
              help="Of the simulated runs besides those of the live seeds.")  # fmt: skip
@click.option("--replications", type=whole(5), default=20, show_default=True,
              help="Simulated runs of a level.")  # fmt: skip
@click.option("--plots", metavar="DIR", type=PATH,
              help="For plots: live times against simulated ones, differences.")  # fmt: skip
@jobs_option()
@format_option(FORMATS, "output_format")
@click.option("--check", is_flag=True, help="End with exit code 3 when the model is rejected, or "
              "nothing speaks for it.")  # fmt: skip
@options(silence_options())
def crosscheck(**given: Any) -> int:
    """Hold a model against live runs that it was not calibrated on.

    Throughput, processor time and the quantiles of each load are compared, both uncertainties
    counted. The model is rejected when a figure differs beyond chance, accepted when processor time
    and a median agree; else it is undecided, or there is no evidence.
    """
    return experiments.run_crosscheck(experiments.CrosscheckOptions(**shown(given)))


@click.command(cls=Command)
@click.option("--quick", "how_much", flag_value="quick", default="quick",
              help="Windows of 3.5 s, one load predicted; the default.")  # fmt: skip
@click.option("--full", "how_much", flag_value="full",
              help="Windows of 8 s, four loads predicted, four runs of each.")  # fmt: skip
@click.option("--architecture", "architectures", multiple=True, type=choice(*ARCHITECTURES),
              help="Only this; repeatable.  [default: both]")  # fmt: skip
@click.option("--store", metavar="URL", help="Of the server: postgresql://...  [default: SQLite]")
@click.option("--seed", type=whole(0, MAX_SEED), default=1, show_default=True,
              help="Of all messages.")  # fmt: skip
@click.option("--output-dir", "-o", metavar="DIR", default="results/validate", show_default=True,
              type=PATH, help="For runs, models and verdicts; "
              "runs that are there are not repeated.")  # fmt: skip
@click.option("--fresh", is_flag=True, help="Measure everything again.")
@format_option(FORMATS, "output_format")
@click.option("--check", is_flag=True, help="End with exit code 3 when a model is rejected, or "
              "nothing speaks for it.")  # fmt: skip
@options(silence_options())
def validate(**given: Any) -> int:
    """Measure a real server, calibrate a model on it, predict other loads, and measure those.

    The server is that of lhsim serve, on this machine, on a core of its own. The verdicts are those
    of lhsim crosscheck.
    """
    check_extra(NEEDED)
    if given["store"] is not None and given["store"].startswith("postgres"):
        check_extra(("psycopg",))
    given["architectures"] = tuple(dict.fromkeys(given["architectures"])) or ARCHITECTURES
    return experiments.run_validate(experiments.ValidateOptions(**shown(given), jobs=cores()))
