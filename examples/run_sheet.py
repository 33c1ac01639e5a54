"""A run sheet of logs of one server: what `lhsim inspect` finds, as TOML.

::

    python examples/run_sheet.py 1.csv 10.csv 50.csv > runs.toml

Each ``[[run]]`` has its log, and in comments how many clients it has, how many requests ended in a
second and whether the server was at its limit; ``think`` where clients wait for their answers and
think for a constant time. Logs of any format that `lhsim.readers.requests` recognises are taken.
Add what the logs cannot tell: ``cpu_seconds``, ``cores``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

import tomli_w

from lhsim import InputError
from lhsim.errors import shortened
from lhsim.experiments.output import show
from lhsim.readers.inspection import Inspection, compare, inspect_requests
from lhsim.readers.requests import read_requests


def sheet(found: Sequence[Inspection]) -> str:
    """Return the lines of a run sheet."""
    runs = ["\n".join([*_comments(one), "[[run]]", tomli_w.dumps(_run(one))]) for one in found]
    return "\n".join([*(f"# {shortened(sentence)}" for sentence in compare(found)), *runs]).rstrip()


def _comments(found: Inspection) -> Iterator[str]:
    clients = "unknown" if found.clients is None else str(found.clients)
    state, loop = found.saturation, found.loop
    yield f"# clients: {clients}; {loop.kind} loop; {state.throughput:.4g} requests/s; {state.kind}"
    yield from (f"# {shortened(note)}" for note in found.notes)


def _run(found: Inspection) -> dict[str, str | int]:
    run: dict[str, str | int] = {"log": found.source}
    if found.think is not None and found.think.kind == "constant":
        run["think"] = f"{found.think.median:.4g} s"
    return run


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the sheet, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("logs", metavar="LOG", nargs="+", help="a request log of one load")
    try:
        found = [inspect_requests(read_requests(log)) for log in parser.parse_args(arguments).logs]
    except InputError as error:
        print(f"run_sheet: {error}", file=sys.stderr)
        return 2
    show(sheet(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
