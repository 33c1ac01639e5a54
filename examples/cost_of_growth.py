"""What growth costs: servers and money for each number of agents, for several designs.

::

    python examples/cost_of_growth.py --agents 1000 5000 20000 --price 120 --output costs

For each system a server gets a part of the agents that one bears (`lhsim.planning.capacity`), and
every level is simulated with its servers. It prints a table, and writes ``costs.csv`` and
``costs.png``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

import lhsim
from lhsim.planning import ScaleOut, capacity


def main(arguments: Sequence[str] | None = None) -> int:
    """Print and write the costs, and return the exit code."""
    asked = _parser().parse_args(arguments)
    try:
        _check(asked)
        found = pd.concat([
            costs(name, asked.agents, asked.slo, asked.price, asked.headroom, asked.jobs)
            for name in asked.systems
        ])  # fmt: skip
    except lhsim.InputError as error:
        print(f"cost_of_growth: {error}", file=sys.stderr)
        return 2
    print(found.to_string(index=False, float_format=lambda value: f"{value:,.1f}"))
    found.to_csv(asked.output.with_suffix(".csv"), index=False)
    plot(found).savefig(asked.output.with_suffix(".png"), dpi=120)
    return 0


def _check(asked: argparse.Namespace) -> None:
    """Refuse before the runs what would spoil their result."""
    if not asked.output.absolute().parent.is_dir():
        raise lhsim.InputError(
            "its folder does not exist", source="--output", key=str(asked.output)
        )
    if not 0 <= asked.headroom < 1:
        problem = f"{asked.headroom} is out of range"
        raise lhsim.InputError(problem, source="--headroom", allowed="a number >= 0 and < 1")
    if len({*asked.systems}) < len(asked.systems):
        raise lhsim.InputError("names a system twice", source="--systems", allowed="each once")


def costs(
    name: str, agents: Sequence[int], slo: Sequence[str], price: float, headroom: float, jobs: int
) -> pd.DataFrame:
    """Return a row per number of agents: servers, price a month, and what the servers then do.

    Parameters
    ----------
    name
        Of the system, or its file.
    agents
        The levels.
    slo
        What one server has to keep.
    price
        Of a server, a month.
    headroom
        Part of what one server bears that is left free.
    jobs
        Runs at a time.
    """
    bears = capacity(name, slo, most=max(agents), jobs=jobs).interval[0] or 1
    rule = ScaleOut(max(1, int((1 - headroom) * bears)))
    sweep = lhsim.sweep(name, agents, replications=2, messages=5000, jobs=jobs,
                        agents_per_server=rule.agents_per_server)  # fmt: skip
    levels = sweep.levels()
    last = levels.drop_duplicates("agents", keep="last")  # scaled out, where it takes several
    last = last[last["agents"].isin(list(agents))]
    return pd.DataFrame({
        "system": name,
        "agents": last["agents"],
        "servers": last["servers"],
        "price": price * last["servers"],
        "p99 [ms]": last["p99_latency_ms"],
        "busiest [%]": 100 * last["utilization"],
        **{mark: last[mark] for mark in ("overloaded", "extrapolated")},
    })  # fmt: skip


def plot(found: pd.DataFrame) -> Figure:
    """Return the price against the agents, a line for each system."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    ax = figure.add_subplot()
    for name, rows in found.groupby("system"):
        ax.step(rows["agents"], rows["price"], where="post", marker="o", label=str(name))
    ax.set(xlabel="agents", ylabel="price a month", ylim=(0, None))
    ax.legend(frameon=False)
    return figure


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--systems", nargs="+", default=["polling", "push"])
    parser.add_argument("--agents", nargs="+", type=int, default=[1000, 5000, 20000])
    parser.add_argument("--slo", nargs="+", default=["p99<1500ms"])
    parser.add_argument("--price", type=float, default=100.0, help="of a server, a month")
    parser.add_argument("--headroom", type=float, default=0.3, help="part that is left free")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("costs"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
