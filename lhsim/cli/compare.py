"""The command ``lhsim compare``: its options, and no more."""

from __future__ import annotations

from typing import Any

import click

from lhsim import experiments
from lhsim.checks import MOST_REPLICATIONS
from lhsim.cli.commands import Command
from lhsim.cli.options import (
    PATH,
    Parsed,
    engine_option,
    format_option,
    jobs_option,
    option,
    options,
    parse_agents,
    parse_duration,
    parse_part,
    parse_share,
    shown,
    silence_options,
    whole,
)
from lhsim.experiments.options import FORMATS, MAX_SEED


@click.command(cls=Command)
@click.argument("a")
@click.argument("b")
@option("--agents", "Numbers of agents to compare, which two systems need.  [default: all that "
        "both results have]", type=Parsed("N,N,...", parse_agents))  # fmt: skip
@option("--metric", "Metric to compare: mean, p50, p95, p99, throughput, utilization, delivery, "
        "cpu, memory or queries; repeatable.  [default: all that both have]", metavar="METRIC",
        multiple=True)  # fmt: skip
@option("--check", "Exit with code 3 if anything differs beyond chance.", is_flag=True)
@option("--tolerance", "With --check, only what is surely worse in B by more than this counts, "
        "such as 5%.", type=Parsed("PERCENT", parse_part))  # fmt: skip
@option("--confidence", "Confidence level of the intervals.", type=Parsed("C", parse_share),
        default=0.95, show_default=True)  # fmt: skip
@option("--replications", "Runs of each level of two systems.  [default: 5]",
        type=whole(2, MOST_REPLICATIONS))  # fmt: skip
@option("--seed", "Seed of the runs of two systems.  [default: 1]", type=whole(0, MAX_SEED))
@option("--duration", "Simulated time of a run of two systems, warm-up included: 60 (seconds), "
        "'2 min'.", type=Parsed("TIME", parse_duration))  # fmt: skip
@options([
    jobs_option(),
    engine_option(),
    option("--output-dir", "Folder for the runs of two systems; finished runs are reused.",
           metavar="DIR", type=PATH, default="results/compare", show_default=True),
    format_option(FORMATS, "output_format"),
    *silence_options(),
])  # fmt: skip
def compare(**given: Any) -> int:
    """Say what differs between two results beyond chance.

    A and B are output folders of scaling, run, capacity or a suite, folders of recordings, or two
    systems by name or file, which then run under the same seeds. It compares each metric at each
    level that both have, corrected for the number of comparisons.
    """
    asked = shown(given | {"metrics": given["metric"]})
    for name in ("metric", "quiet"):  # nothing is said but data and errors
        del asked[name]
    return experiments.run_compare(experiments.CompareOptions(**asked))
