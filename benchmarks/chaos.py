"""Attacks lhsim for a while: malformed files, garbage for the bridge, kills, hostile surroundings.

::

    python benchmarks/chaos.py --minutes 10                  # a table
    python benchmarks/chaos.py --minutes 10 --format json    # one JSON object
    python benchmarks/chaos.py --only model --first 1234     # goes on with that trial

For each kind it prints how many were tried and how many failed, with some of the failures; the exit
code is 1 if any did. What counts as a failure stands in ``tests/attack/``, whose short version is
among the tests. A number names a trial for good, so that each failure can be made again.

Two lanes run side by side: files, requests and surroundings in one, and kills, which mostly wait,
in the other. Each attack has a share of the time; kills end when they are done.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from pathlib import Path

from attrs import frozen

ATTACK = Path(__file__).parents[1] / "tests" / "attack"
sys.path[:0] = [str(ATTACK), str(ATTACK.parent / "live")]

import files  # noqa: E402 - the folder is known from here on
import strain  # noqa: E402
import surroundings  # noqa: E402
from watch import Tally, Try, tally, watched  # noqa: E402

Run = Callable[[float], Tally]  # from how long it may take [s]

KILLS = {"serial": 7, "threads": 7, "processes": 4, "dask": 2, "bridge": 5}  # a minute in all
MOST_REQUESTS = 1_000_000
COUNTS = ("lost", "again", "doubled", "reordered")  # failures of kills


@frozen
class Attack:
    """One kind of attack."""

    kind: str
    share: float  # of the time of its lane
    run: Run


def lanes(minutes: float, first: int) -> tuple[list[Attack], list[Attack]]:
    """Return what is done side by side."""
    share = 0.55 / len(files.KINDS)
    hostile = [
        Attack(one.name, share, partial(numbered, one.name, partial(files.attempt, one), first))
        for one in files.KINDS
    ]
    hostile += [
        Attack("requests", 0.3, partial(strain.strained, "sqlite", first, most=MOST_REQUESTS)),
        Attack("surroundings", 0.15, surrounded),
    ]
    kills = [
        Attack(f"kills: {kind}", 0.2, partial(killed, "sweep", kind, kills_of(kind, minutes)))
        for kind in ("serial", "threads", "processes", "dask")
    ]
    for name, store in surroundings.stores().items():
        run = partial(killed, "bridge", store, kills_of("bridge", minutes))
        kills.append(Attack(f"kills: bridge, {name}", 0.2, run))
    return hostile, kills


def kills_of(kind: str, minutes: float) -> int:
    """Return how many kills there are, one at least."""
    return max(1, round(KILLS[kind] * minutes))


def numbered(kind: str, attempt: Try, first: int, seconds: float) -> Tally:
    """Try numbered trials, from the first on, while there is time."""
    return tally(kind, watched(attempt, count(first), time.monotonic() + seconds))


def surrounded(seconds: float) -> Tally:
    """Try every command in all its surroundings, while there is time."""
    trials, until = surroundings.trials(), time.monotonic() + seconds
    outcomes = (
        (number, surroundings.attempt(trial))
        for number, trial in enumerate(trials)
        if time.monotonic() < until
    )
    return tally("surroundings", outcomes)


def killed(what: str, kind: str, number: int, _seconds: float) -> Tally:
    """Kill sweeps, or a bridge, so many times."""
    program = [sys.executable, str(ATTACK / "kills.py"), what, kind]
    with tempfile.TemporaryDirectory(prefix="lhsim-") as folder:
        done = subprocess.run(
            [*program, folder, str(number)], capture_output=True, text=True, check=False
        )
    if done.returncode:
        return Tally(0, {"ended": 1}, (f"{what} {kind}: {done.stderr[-500:]}",))
    found = json.loads(done.stdout)
    failures = {name: found[name] for name in COUNTS if found.get(name)}
    if not found.get("same", True):
        failures["other results"] = 1
    examples = (f"{what} {kind}: {done.stdout.strip()}",) if failures else ()
    return Tally(found["tried"], failures, examples)


def attacked(attacks: Sequence[Attack], minutes: float, only: str | None) -> dict[str, Tally]:
    """Run the attacks of a lane, one after the other."""
    found = {}
    for attack in attacks:
        if only is None or attack.kind.startswith(only):
            seconds = 60 * minutes * (attack.share if only is None else 1)
            found[attack.kind] = attack.run(seconds)
            print(row(attack.kind, found[attack.kind]), file=sys.stderr, flush=True)
    return found


def row(kind: str, found: Tally) -> str:
    why = ", ".join(f"{what}: {number}" for what, number in found.failures.items())
    return f"{kind:24s} {found.tried:8,d} {found.failed:8,d}  {why}".rstrip()


def table(found: Mapping[str, Tally]) -> str:
    lines = [f"{'kind':24s} {'tried':>8s} {'failed':>8s}"]
    lines += [row(kind, one) for kind, one in found.items()]
    return "\n".join([*lines, *(example for one in found.values() for example in one.examples)])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.add_argument("--only", metavar="KIND", help="one kind, or those that begin so")
    parser.add_argument("--first", type=int, default=0, help="number of the first trial")
    asked = parser.parse_args()
    files.prepare()
    for kind in files.KINDS:  # what is imported now, no process that tries has to wait for
        files.attempt(kind, 0)
    with ThreadPoolExecutor(2) as pool:
        lane = partial(attacked, minutes=asked.minutes, only=asked.only)
        both = pool.map(lane, lanes(asked.minutes, asked.first))
        found = {kind: one for some in both for kind, one in some.items()}
    if asked.format == "json":
        plain = {
            kind: {"tried": one.tried, "failed": one.failed, "failures": one.failures,
                   "examples": one.examples}
            for kind, one in found.items()
        }  # fmt: skip
        print(json.dumps(plain, indent=2))
    else:
        print(table(found))
    sys.exit(any(one.failed for one in found.values()))


if __name__ == "__main__":
    main()
