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
        "scaling": "Latency, throughput, load and knee as the agents grow.",
        "latency": "Latency of 100 messages of a pair that has the server to itself.",
        "memory": "Memory of the server under load for half an hour.",
        "recovery": "Slow agents among normal ones, and the time to recover from an outage.",
        "burst": "Latency before, in and after a burst of messages.",
        "contention": "Write latency and events per second as the writers grow.",
        "optimisations": "Optimisations, each on and off; polling at equal CPU; the factor of "
        "push.",
        "failure": "Stall, outage and slow agents, with retries or without, and the time "
        "to recover.",
        "claims": "Judge the original proposal's claims: figure, interval, verdict, and when "
        "each would hold.",
        "run": "Run a sweep over any parameters, that a FILE specifies.",
        "all": "Run every experiment into one folder, and write the report of it.",
        "report": "Write what experiments found as one HTML file.",
    },
    "lhsim.cli.start": {
        "init": "Write a model and an experiment to start from.",
        "list": "Show the systems and the experiments.",
        "schema": "Print the JSON Schema of a kind of file, for editors.",
    },
    "lhsim.cli.planning": {
        "capacity": "Find the most agents that keep all objectives, or the size that holds "
        "so many.",
        "sensitivity": "Find which parameters move the latency and the knee: Morris screening "
        "and a tornado.",
    },
    "lhsim.cli.calibration": {
        "calibrate": "Make a system of live runs, of message logs, or of samples of its costs.",
        "crosscheck": "Hold a model against live runs that it was not calibrated on.",
        "validate": "Measure a real server, calibrate a model on it, predict other loads, "
        "and measure those.",
    },
    "lhsim.cli.logs": {
        "import": "Make a request log of another tool's log: client, start_s, end_s of each "
        "request.",
        "inspect": "Say what logs show, and what can be learnt from them.",
    },
    "lhsim.cli.live": {
        "serve": "Run a real server of the kind that is simulated, with polling and push.",
        "alerts": "Print alert rules for Prometheus, for what lhsim serve shows at /metrics.",
        "measure": "Measure a bridge: open loop, from processes of its own.",
    },
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


@click.group(cls=Commands, invoke_without_command=True, context_settings={"max_content_width": 100})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False,
              callback=_show_version, help="Show the version and exit.")  # fmt: skip
@click.pass_context
def lhsim(ctx: click.Context) -> None:
    """Simulate agents that exchange messages by polling or by event push."""
    if ctx.invoked_subcommand is None:
        click.echo(experiments.first_lines())


for home, lines in HELP.items():
    lhsim.defer(home, lines)
