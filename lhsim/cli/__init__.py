"""The command line: ``lhsim scaling``, ``run FILE``, ``capacity``, ``sensitivity``, ``list``, ...

Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 a run failed, 2 bad usage or
bad input (one line, and nothing was written), 3 what was to be checked does not hold, 130
interrupted (what was finished is kept). A command's module is imported when the command is asked
for, and what it runs when it runs: help is quick.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from lhsim import experiments
from lhsim.cli.commands import Commands
from lhsim.cli.terminal import lost, take_over
from lhsim.errors import InputError, InvariantError, LhsimError, shortened
from lhsim.experiments.options import BAD_INPUT, DONE, FAILED, INTERRUPTED

LONGEST_LINE = 4000  # characters of an error; all that it quotes is short
# The commands of each module, with their first lines of help, which need no import.
HELP = {
    "lhsim.cli.experiment": {
        "scaling": "Latency, throughput and load as the number of agents grows.",
        "latency": "Time 100 messages between two agents alone on the server.",
        "memory": "Watch the server's memory during half an hour of load.",
        "recovery": "Add slow agents, then an outage: effect and recovery time.",
        "burst": "Send a tenfold burst: latency before, during and after.",
        "contention": "Let more and more agents write to the event store at once.",
        "optimisations": "Switch each optimisation on and off; compare at equal CPU.",
        "failure": "Stall, outage and slow agents, with and without retries.",
        "claims": "Judge the original proposal's claims on polling and push.",
        "run": "Run a sweep over any parameters, described in a file.",
        "all": "Run every experiment and write one report.",
        "report": "Write the findings of experiments into one HTML file.",
    },
    "lhsim.cli.start": {
        "init": "Write a model and an experiment to start from.",
        "list": "List the systems and experiments that come with lhsim.",
        "schema": "Print the JSON Schema of a model or experiment file.",
    },
    "lhsim.cli.planning": {
        "capacity": "Find the most agents that meet your objectives.",
        "decide": "Say which design to run, until when, and at what cost.",
        "explain": "Show where latency comes from, and what would shorten it.",
        "sensitivity": "Find which parameters move latency and capacity most.",
    },
    "lhsim.cli.fleet": {
        "fleet": "Find the fewest nodes for each hour of a load, and with growth.",
    },
    "lhsim.cli.compare": {
        "compare": "Say what differs between two results beyond chance.",
    },
    "lhsim.cli.explore": {
        "explore": "Explore systems in a browser: latency, capacity, decision.",
    },
    "lhsim.cli.calibration": {
        "calibrate": "Fit a model to live runs, logs of any server or samples of costs.",
        "crosscheck": "Test a model on live runs that it was not fitted to.",
        "validate": "Measure a real server, fit a model, predict, and check.",
    },
    "lhsim.cli.logs": {
        "import": "Convert another tool's log into a request log.",
        "inspect": "Show what logs of requests tell about load and server.",
        "profile": "Make the load of a log over time the traffic of a model.",
    },
    "lhsim.cli.live": {
        "serve": "Run a real server that offers polling and push.",
        "alerts": "Print Prometheus alert rules for lhsim serve.",
        "measure": "Put load on a real server and record it.",
    },
}
# The sections of ``lhsim --help``, the first steps first.
SECTIONS = {
    "Start": ("init", "list", "scaling", "capacity"),
    "Plan": ("explore", "decide", "fleet", "explain", "compare", "sensitivity", "run", "schema"),
    "Experiments with polling and push": (
        "claims", "latency", "memory", "recovery", "burst", "contention", "optimisations",
        "failure", "all", "report",
    ),
    "Real servers": (
        "import", "inspect", "profile", "calibrate", "crosscheck", "serve", "measure", "validate",
        "alerts",
    ),
}  # fmt: skip


def main() -> None:
    """Run the command line and end the process."""
    output, _ = take_over()
    code = run(sys.argv[1:])
    sys.stdout.flush()
    reason = lost(output)
    if reason is not None:
        print(f"lhsim: error: standard output cannot be written: {reason}", file=sys.stderr)
        code = code or FAILED
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run the command line with these arguments, and return the exit code."""
    try:
        code = lhsim.main(list(arguments), prog_name="lhsim", standalone_mode=False)
    except InputError as error:
        return _end(str(error), BAD_INPUT)
    except InvariantError:
        raise  # a defect of ours, whose traceback is wanted
    except LhsimError as error:
        return _end(str(error), FAILED)
    except click.ClickException as error:
        return _end(error.format_message(), BAD_INPUT)
    except click.Abort as error:
        if isinstance(error.__cause__, EOFError):  # nobody has typed anything: a defect of ours
            raise error.__cause__ from None
        print("lhsim: interrupted", file=sys.stderr)
        return INTERRUPTED
    return code if isinstance(code, int) else DONE


def _end(problem: str, code: int) -> int:
    print(f"lhsim: error: {shortened(problem, LONGEST_LINE)}", file=sys.stderr)
    return code


def _show_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"lhsim {experiments.own_version()}")
        ctx.exit()


@click.group(
    cls=Commands,
    sections=SECTIONS,
    invoke_without_command=True,
    context_settings={"max_content_width": 100},
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False,
              callback=_show_version, help="Show the version and exit.")  # fmt: skip
@click.pass_context
def lhsim(ctx: click.Context) -> None:
    """Simulate agents that exchange messages by polling or by event push.

    `lhsim COMMAND --help` lists the options of a command.
    """
    if ctx.invoked_subcommand is None:
        click.echo(experiments.first_lines())


for home, lines in HELP.items():
    lhsim.defer(home, lines)
