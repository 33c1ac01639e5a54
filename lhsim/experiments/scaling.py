"""E2, scaling: both architectures as the agents grow, and where each has its knee.

Each system is run as it is, past its knee, and scaled out in proportion to the agents.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from textwrap import wrap
from typing import TYPE_CHECKING

from lhsim.execution import Runner
from lhsim.execution.progress import progress
from lhsim.experiments.finding import Picture
from lhsim.experiments.knees import find_knees
from lhsim.experiments.levels import Horizon
from lhsim.experiments.options import Options
from lhsim.experiments.output import import_plots
from lhsim.experiments.points import levels
from lhsim.experiments.setup import (
    WIDTH,
    Setup,
    described,
    own_settings,
    prepare,
    running,
    settings_lines,
)
from lhsim.experiments.specification import KneeSearch, MaxEvents, Scaling, load
from lhsim.experiments.sweep import Plan, Sweep
from lhsim.experiments.sweeping import (
    carry_out,
    finish,
    planned,
    precision_lines,
    replications_of,
    sweep_finding,
)
from lhsim.planning import ScaleOut
from lhsim.planning.predictions import Intervals, intervals, predictable, prediction_cells
from lhsim.planning.uncertainty import combined, knee_spread
from lhsim.report.decision import knees_paragraph, knees_sentence
from lhsim.report.levels import class_table, prediction_table, scaling_table, window_table
from lhsim.simulation import Result

if TYPE_CHECKING:
    from lhsim.analysis.knee import Knee
    from lhsim.models import System


QUESTION = (
    "How do latency, throughput and load grow with the agents, and where does one server saturate?"
)
METHOD = (
    "Each system is run as it is, and with servers in proportion to the agents. The knee is the "
    "largest number of agents with which no station is busy for 95 % of the time and the backlog "
    "does not grow, found by bisection. Quantiles are those of the messages of all runs; intervals "
    "are over the runs."
)
PICTURE = Picture(
    "scaling.svg",
    "p50 and p99 of the latency against the number of agents, both logarithmic.",
    "A pair of lines for each system, that rise steeply beyond its knee, and dashed ones for the "
    "system scaled out, that do not.",
)


def run_scaling(options: Options) -> int:
    """Run the experiment, write and show its results, and return the exit code."""
    asked = load("scaling", Scaling)
    setup = prepare("scaling", options, asked.systems, asked.settings)
    limit = asked.max_events.unless(options.max_events)
    per_server = options.agents_per_server
    rule = ScaleOut(per_server) if per_server else asked.scale_out
    points = levels(setup.systems, options.agents or asked.agents, rule)
    horizon = Horizon(asked.messages, asked.min_duration, options.duration)
    plan = planned(setup, points, horizon, asked.replications, limit, rule)
    import_plots()
    with running(setup) as runner:
        sweep = _run(asked.knee, setup, plan, limit, runner)
    answers = cache(partial(_answers, sweep))
    text = partial(report, setup, plan, sweep, answers)
    return finish(
        setup,
        sweep,
        runner.tally,
        text,
        plot="scaling",
        finding=lambda: sweep_finding(
            setup,
            sweep,
            title="E2 scaling",
            question=QUESTION,
            answer=" ".join(
                [
                    *filter(None, [knees_paragraph(sweep.knees)]),
                    *(f"{'; '.join(lines)}." for lines in answers()),
                ]
            ),
            answers={
                "move": knees_sentence(sweep.knees),
                "sure": " ".join(f"{'; '.join(lines)}." for lines in answers()),
            },
            method=METHOD,
            picture=PICTURE,
        ),
    )


def _run(how: KneeSearch, setup: Setup, plan: Plan, limit: MaxEvents, runner: Runner) -> Sweep:
    options = setup.options
    sweep = carry_out(setup, plan, runner, title="levels")
    if sweep.interrupted or not sweep.results or (sweep.failed and options.fail_fast):
        return sweep
    approach: dict[str, list[Result]] = {}
    with progress("knees", (), shown=options.show_progress) as on_done:
        knees, interrupted = find_knees(
            sweep,
            how,
            seed=options.seed,
            duration=options.duration,
            engine=options.engine,
            max_events=limit,
            runner=runner,
            on_done=on_done,
            keep=lambda system, result: approach.setdefault(system, []).append(result),
        )
    predictions = {} if interrupted else _predictions(sweep, setup, runner)
    return sweep.followed_by(knees, predictions, approach, interrupted=interrupted)


def _predictions(sweep: Sweep, setup: Setup, runner: Runner) -> dict[tuple[str, int], Intervals]:
    """Return the prediction intervals of the levels of systems that have some."""
    options = setup.options
    levels = {(run.system, run.agents): None for run in sweep.results}
    cells = {
        (system.name, agents): prediction_cells(system, agents, options.seed, options.engine)
        for system in sweep.systems
        if predictable(system)
        for name, agents in levels
        if name == system.name
    }
    every = [cell for some in cells.values() for cell in some]
    if not every:
        return {}
    with progress("predictions", runner.left(every), shown=options.show_progress) as on_done:
        outcomes, interrupted = runner.run(every, on_done=on_done)
    if interrupted:
        return {}
    systems = {system.name: system for system in sweep.systems}
    found, first = {}, 0
    for (name, agents), some in cells.items():
        runs = [outcomes.get(number) for number in range(first, first + len(some))]
        first += len(some)
        done = [run for run in runs if isinstance(run, Result)]
        if len(done) == len(some):
            found[name, agents] = intervals(systems[name], done)
    return found


def report(
    setup: Setup, plan: Plan, sweep: Sweep, answers: Callable[[], Sequence[Sequence[str]]]
) -> str:
    """Return the results as a text of at most 80 columns, where names are not too long."""
    workloads = dict.fromkeys(map(described, setup.systems))
    runs = f"{replications_of(plan)} a level"
    decision = wrap(knees_paragraph(sweep.knees), WIDTH)
    lines = [
        *([*decision, ""] if decision else []),
        *wrap(f"{'; '.join(workloads)}; {runs}, seed {setup.options.seed}", WIDTH),
        *settings_lines(own_settings(setup)),
        *_rule(sweep),
        "",
        scaling_table(sweep.level_rows()) if sweep.results else "no run was finished",
    ]
    lines += class_table(sweep.level_rows()) + window_table(sweep.level_rows())
    lines += prediction_table(sweep.level_rows())
    lines += precision_lines(sweep)
    if sweep.results:
        lines.append("")
        for sentence, *ranges in answers():
            lines += wrap(sentence, WIDTH, subsequent_indent="  ")
            lines += [f"  {one}" for one in ranges]
    lines += [part for one in sweep.skipped for part in wrap(str(one), WIDTH)]
    return "\n".join(lines)


def _answers(sweep: Sweep) -> list[list[str]]:
    """Return for each system where its knee lies, and how well that is known."""
    systems = {system.name: system for system in sweep.systems}
    return [
        [f"{name}: {sentence}", *_uncertainty(systems[name], sweep.knees[name])]
        for name, sentence in sweep.knee_sentences().items()
    ]


def _uncertainty(system: System, knee: Knee) -> list[str]:
    """Return the range of a knee with the part of the parameters, where it has two ends."""
    if knee.agents is None or knee.low is None or knee.high is None:
        return []
    found = knee_spread(system)
    if found is None:
        return ["simulation only: the model file has no samples of its parameters"]
    ends = combined(knee.agents, (knee.low, knee.high), found.interval_at(knee.agents))
    low, high = (float(f"{end:.3g}") for end in ends)
    return [f"{low:,.0f}-{high:,.0f} with the uncertainty of the parameters (95 %)"]


def _rule(sweep: Sweep) -> list[str]:
    """Return what "scaled out" means, where something was."""
    if sweep.scale_out is None or all(row["servers"] == 1 for row in sweep.rows()):
        return []
    return [f"scaled out: a server for every {sweep.scale_out.agents_per_server:,} agents"]
