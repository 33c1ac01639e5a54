"""Compares two candidate designs under the same messages: which is better, and by how much.

::

    python examples/compare_designs.py polling polling --set-b polling.interval=250ms --agents 500

A design is a system by its name or file, and settings that change it. Both see the same messages at
the same times, so that the interval of a ratio is that of the designs, not of the luck of a run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from attrs import evolve

import lhsim
from lhsim.models import System

METRICS = ("p50", "p99", "cpu", "queries", "memory")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the comparison, and return the exit code."""
    asked = _parser().parse_args(arguments)
    try:
        designs = [_design("A", asked.a, asked.set_a), _design("B", asked.b, asked.set_b)]
        sweep = lhsim.sweep(
            designs,
            [asked.agents],
            replications=asked.replications,
            duration=asked.duration,
            jobs=asked.jobs,
            engine=asked.engine,
        )
        lines = [_line(sweep, metric, asked.agents) for metric in METRICS]
    except lhsim.InputError as error:
        print(f"compare_designs: {error}", file=sys.stderr)
        return 2
    for name, design in zip("AB", designs, strict=True):
        print(f"{name}: {design.description}")
    print(f"{asked.agents:,} agents, {asked.replications} runs of each, the same messages")
    print("\n".join(lines))
    return 0


def _design(name: str, given: str, settings: Sequence[str]) -> System:
    system = lhsim.load_system(given, settings)
    said = " with " + ", ".join(settings) if settings else ""
    return evolve(system, name=name, description=given + said)


def _line(sweep: lhsim.Sweep, metric: str, agents: int) -> str:
    """Return what is known of a metric: its ratio, with 95 % interval, and who is lower."""
    ratio = sweep.compare("A", "B", metric=metric, agents=agents).ratio
    if ratio.low > 1:
        verdict = "B is lower"
    elif ratio.high < 1:
        verdict = "A is lower"
    else:
        verdict = "no difference is shown"
    figures = f"A/B {ratio.value:.3g} ({ratio.low:.3g}-{ratio.high:.3g})"
    return f"  {metric:<8} {figures:<28} {verdict}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("a", help="name or file of a model")
    parser.add_argument("b", help="likewise")
    parser.add_argument("--set-a", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--set-b", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--agents", type=int, default=500)
    parser.add_argument("--replications", type=int, default=10)
    parser.add_argument("--duration", type=float, default=60.0, help="of a run [s]")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--engine", default="auto", help="auto, simpy or compiled")
    return parser


if __name__ == "__main__":
    sys.exit(main())
