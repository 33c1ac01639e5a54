"""``lhsim fleet``: its options, and no more."""

from __future__ import annotations

from datetime import date
from typing import Any

import click

from lhsim import experiments
from lhsim.cli.commands import Command
from lhsim.cli.logs import hint_options, take_hints
from lhsim.cli.options import (
    PATH,
    Parsed,
    choice,
    option,
    options,
    parse_duration,
    parse_pause,
    parse_share,
    read,
    whole,
)
from lhsim.cli.planning import SEVERAL, running_options
from lhsim.errors import InputError
from lhsim.experiments.options import FORMATS
from lhsim.readers.formats.hints import AUTO, NAMES

AUTOSCALER = ("target_utilization", "start_delay", "stabilization", "period", "tolerance",
              "min_nodes", "max_nodes")  # fmt: skip
ASKED = ("slo", "logs", "growth", "horizon", "start", "window", "most", "confidence", "every")


def _percent(text: str) -> float:
    """Return a share from a text such as ``"70%"`` or ``"0.7"``."""
    allowed = "a share such as 70% or 0.7"
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise InputError(f"{text[:40]!r} is out of range", allowed=allowed)
    return share


SHARE_OF_ALL, TIME = Parsed("SHARE", _percent), Parsed("TIME", parse_duration)
PAUSE = Parsed("TIME", parse_pause)


@click.command(cls=Command)
@click.argument("logs", nargs=-1, metavar="[LOG...]", type=PATH)
@option("--slo", "Objective, such as 'p99<1s', 'delivery>95%' or 'memory<5GB'; at least one.",
        metavar="OBJECTIVE", **SEVERAL)  # fmt: skip
@option("--agents", "Number of agents that make the load on the first day.", type=whole(1))
@option("--system", "System, by name or file.", metavar="NAME_OR_FILE", default="polling",
        show_default=True)  # fmt: skip
@option("--set", "Change a parameter, such as nodes.rule=round_robin; repeatable.",
        metavar="KEY=VALUE", **SEVERAL)  # fmt: skip
@option("--every", "Time with one rate in the load of the logs.  [default: 15min]", type=TIME)
@option("--as", "Format of the logs.", metavar="FORMAT", default=AUTO, show_default=True,
        type=choice(AUTO, *NAMES, kind="format"))  # fmt: skip
@options(hint_options())
@option("--window", "Time with one number of nodes.", type=TIME, default="1h", show_default=True)
@option("--most", "Largest number of nodes to try.", type=whole(1, 1000), default=100,
        show_default=True)  # fmt: skip
@option("--growth", "Growth of the agents, such as 8%/month or 500/month, or a CSV file with the "
        "columns date and agents.  [default: none]", metavar="GROWTH")  # fmt: skip
@option("--horizon", "Months ahead, with --growth.  [default: 12]", type=whole(1, 600))
@option("--start", "First day, such as 2027-01-31.  [default: today]", metavar="DATE")
@option("--target-utilization", "Show what an autoscaler would run that holds this utilization of "
        "the processors, such as 70%.", type=SHARE_OF_ALL)  # fmt: skip
@option("--start-delay", "Time until a new node is ready.  [default: 60s]", type=PAUSE)
@option("--stabilization", "Time whose highest recommendation bounds scaling in.  [default: 300s]",
        type=PAUSE)  # fmt: skip
@option("--period", "Time between two evaluations.  [default: 15s]", type=TIME)
@option("--tolerance", "Part of the target by which the utilization may miss it.  [default: 10%]",
        type=SHARE_OF_ALL)  # fmt: skip
@option("--min-nodes", "Fewest nodes of the autoscaler.  [default: 1]", type=whole(1, 1000))
@option("--max-nodes", "Most nodes of the autoscaler.  [default: 1000]", type=whole(1, 1000))
@option("--confidence", "Confidence level of the intervals.", type=Parsed("C", parse_share),
        default=0.95, show_default=True)  # fmt: skip
@options(running_options("results/fleet", "the plot and the runs", FORMATS))
def fleet(**given: Any) -> int:
    """Find the fewest nodes for each hour of a load, and with growth.

    The load is that of LOGs, in any format that lhsim import reads, or the piecewise traffic of
    --system, as lhsim profile writes it. With --growth it does the same for the last day of the
    horizon, and says until when each number of nodes carries the busiest hour. With
    --target-utilization it shows what an autoscaler would have run, where it came too late, and
    at what cost. A node is a server behind the balancer; all share one store.
    """
    asked = {name: given.pop(name) for name in ASKED}
    asked["start"] = asked["start"] or date.today().isoformat()
    wanted = experiments.FleetOptions(
        **asked,
        format=given.pop("as"),
        hints=take_hints(given),
        agents=given["agents"],
        autoscaler={name: given.pop(name) for name in AUTOSCALER},
    )
    agents = None if given["agents"] is None else (given["agents"],)
    return experiments.run_fleet(
        read(given | {"agents": agents, "system": (given["system"],)}), wanted
    )
