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
WAYS = ("short-poll", "queue", "webhook")  # as in lhsim.validation.ways
ARCHITECTURES = ("polling", "push")  # as in lhsim.recording, whose libraries help need not wait for


@click.command(cls=Command)
@click.argument("runs", nargs=-1, metavar="[RUN]...", type=PATH)
@click.option("--output", "-o", required=True, metavar="FILE", type=PATH,
              help="New TOML file for the model.")  # fmt: skip
@click.option("--template", metavar="NAME_OR_FILE", help="System that supplies what the runs "
              "cannot tell.  [default: the one of the runs' architecture]")  # fmt: skip
@click.option("--name", metavar="NAME", help="Name of the system.  [default: the name of the file]")
@click.option("--components", metavar="FILE", type=PATH,
              help="Table (CSV or Parquet) of measured costs: component, seconds.")  # fmt: skip
@click.option("--plots", metavar="DIR", type=PATH,
              help="Folder for plots of live against simulated times.")  # fmt: skip
@click.option("--black-box", is_flag=True,
              help="Use only the message times of recordings.")  # fmt: skip
@jobs_option()
@click.option("--format", "formats", multiple=True, metavar="table|json|NAME",
              help="Format of the data on stdout, table or json, or of the request logs, such as "
              "pgbench; repeatable.")  # fmt: skip
@options(silence_options())
def calibrate(**given: Any) -> int:
    """Fit a model to live runs, logs of any server or samples of costs.

    RUN is a folder of lhsim measure, or a log of any server as CSV or Parquet: of messages, with
    columns intended_s, sent_s, delivered_s and agent, or of requests, with client, start_s and
    end_s; or a TOML run sheet that lists request logs with their CPU seconds. Give at least two
    loads, one of them more than the server keeps up with. The fit minimises the error in latencies
    and CPU time; the model file records how good it is.
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
@click.option("--model", required=True, metavar="NAME_OR_FILE", help="System, by name or file.")
@click.option("--live", multiple=True, required=True, metavar="RUN",
              type=PATH,
              help="Folder of lhsim measure, log, or run sheet; repeatable.")  # fmt: skip
@click.option("--seed", type=whole(0, MAX_SEED), default=1, show_default=True,
              help="Seed of the simulated runs beyond those with the live seeds.")  # fmt: skip
@click.option("--replications", type=whole(5), default=20, show_default=True,
              help="Simulated runs of each level.")  # fmt: skip
@click.option("--plots", metavar="DIR", type=PATH,
              help="Folder for plots of live against simulated times.")  # fmt: skip
@jobs_option()
@format_option(FORMATS, "output_format")
@click.option("--check", is_flag=True, help="Exit with code 3 unless the model is accepted or "
              "undecided.")  # fmt: skip
@options(silence_options())
def crosscheck(**given: Any) -> int:
    """Test a model on live runs that it was not fitted to.

    It compares throughput, CPU time and latency quantiles of each load, with the uncertainty of
    both sides. Verdicts: rejected when a figure differs beyond chance, accepted when CPU time and a
    median agree, otherwise undecided or no evidence.
    """
    return experiments.run_crosscheck(experiments.CrosscheckOptions(**shown(given)))


@click.command(cls=Command)
@click.option("--quick", "how_much", flag_value="quick", default="quick",
              help="Windows of 3.5 s, one predicted load (the default).")  # fmt: skip
@click.option("--full", "how_much", flag_value="full",
              help="Windows of 8 s, four predicted loads, four runs of each.")  # fmt: skip
@click.option("--architecture", "architectures", multiple=True, type=choice(*ARCHITECTURES),
              help="Architecture to validate; repeatable.  [default: both]")  # fmt: skip
@click.option("--way", "ways", multiple=True, type=choice(*WAYS),
              help="Also measure this way to deliver, predicted by the model of the ordinary one; "
              "repeatable.")  # fmt: skip
@click.option(
    "--store", metavar="URL", help="Database of the server: postgresql://...  [default: SQLite]"
)
@click.option("--seed", type=whole(0, MAX_SEED), default=1, show_default=True,
              help="Seed of all messages.")  # fmt: skip
@click.option("--output-dir", "-o", metavar="DIR", default="results/validate", show_default=True,
              type=PATH, help="Folder for runs, models and verdicts; "
              "finished runs are reused.")  # fmt: skip
@click.option("--fresh", is_flag=True, help="Repeat finished runs.")
@format_option(FORMATS, "output_format")
@click.option("--check", is_flag=True, help="Exit with code 3 unless each model is accepted or "
              "undecided.")  # fmt: skip
@options(silence_options())
def validate(**given: Any) -> int:
    """Measure a real server, fit a model, predict, and check.

    It starts lhsim serve on a core of this machine, measures it, calibrates a model, predicts loads
    that the model has not seen, and measures those too. The verdicts are those of lhsim crosscheck.
    """
    check_extra(NEEDED)
    if given["store"] is not None and given["store"].startswith("postgres"):
        check_extra(("psycopg",))
    given["architectures"] = tuple(dict.fromkeys(given["architectures"])) or ARCHITECTURES
    given["ways"] = tuple(dict.fromkeys(given["ways"]))
    return experiments.run_validate(experiments.ValidateOptions(**shown(given), jobs=cores()))
