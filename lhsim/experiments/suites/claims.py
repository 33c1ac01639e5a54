"""E7, the claims: each with a figure, an interval, a verdict, and what would have to be true."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from lhsim.analysis.dots import Dot, dots_plot
from lhsim.analysis.intervals import known
from lhsim.errors import InputError, LhsimError, unknown_name
from lhsim.execution import Cell, Failure, Runner
from lhsim.execution.progress import progress
from lhsim.experiments import levels as levels_of
from lhsim.experiments import sweep as sweeps
from lhsim.experiments.ending import say, say_done, say_interrupted
from lhsim.experiments.finding import Column, Picture, Table
from lhsim.experiments.knees import find_knees
from lhsim.experiments.levels import Horizon
from lhsim.experiments.options import DONE, NOT_KEPT, Options
from lhsim.experiments.output import formatted, plots, show, write_result
from lhsim.experiments.points import levels
from lhsim.experiments.provenance import finding_of, warning_lines
from lhsim.experiments.setup import (
    WIDTH,
    Setup,
    manifest,
    own_settings,
    prepare,
    running,
    settings_lines,
    varied,
)
from lhsim.experiments.specification import Claims, load
from lhsim.experiments.suites.claim_table import BY_ID, CLAIMS, Claim, Figure, meaning, seed_keys
from lhsim.experiments.suites.conditions import World, conditions, search_all
from lhsim.experiments.suites.evidence import LEVELS, Evidence, figures
from lhsim.experiments.suites.suite import refuse_traffic
from lhsim.planning.samples import in_runs, samples_of
from lhsim.report.marks import legend, marked
from lhsim.report.text import UNKNOWN, table, three_digits
from lhsim.report.text import Column as TextColumn

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Plot

    from lhsim.analysis.knee import Knee
    from lhsim.execution.progress import Report
    from lhsim.models import System
    from lhsim.simulation import Result

QUESTION = (
    "Which of the original proposal's claims about polling and push hold, and when would the "
    "others?"
)
METHOD = (
    "Latency: a pair that is alone, a closed loop of 100 messages. Latency at a number of agents, "
    "memory, queries and the knee: a ring with 0.1 messages/s an agent. Throughput: each agent "
    "sends ten messages, the next as soon as one has arrived. What polling is said to do holds "
    "about, within a factor of 2; what push promises is a limit; a factor is one of at least so "
    "much. A claim is supported where the 95 % interval lies wholly inside that, refuted where it "
    "lies wholly outside, and undecided in between. Intervals combine the runs and, where a model "
    "file has samples of its parameters, their uncertainty. What would have to be true is found by "
    "bisection over one parameter, all others as they are."
)
LIMITS = (
    "The original proposal states bare numbers: whether one is meant as about, at most or at least "
    "is read into it here.",
    "The parameters are those of one server; --system judges another.",
    "A condition is a bracket of 2 % from one run at each value, without an interval.",
)
WINDOW_MESSAGES = 2000  # of a level whose mean latency is judged
COLUMNS = (
    Column("about", "about"),
    Column("claim", "claim"),
    Column("claimed", "claimed"),
    Column("figure", "found"),
    Column("unit", "unit"),
    Column("low", "95 % from"),
    Column("high", "to"),
    Column("verdict", "verdict"),
    Column("would_hold_if", "would hold with"),
)


@frozen
class Judged:
    """A claim with what was found."""

    claim: Claim
    figure: Figure
    would_hold_if: str | None = None

    @property
    def verdict(self) -> str:
        """What the figure says of the claim."""
        return self.claim.verdict(self.figure)

    def row(self) -> dict[str, Any]:
        """Return it as plain data."""
        ends = [known(self.figure.low), known(self.figure.high)]
        return {
            "claim": self.claim.id,
            "claimed": self.claim.claimed,
            "figure": known(self.figure.value),
            "unit": self.claim.unit,
            "interval": None if ends == [None, None] else ends,
            "verdict": self.verdict,
            "would_hold_if": self.would_hold_if,
            **self.marks,
        }

    @property
    def marks(self) -> dict[str, Any]:
        """The marks of its figure, as in `lhsim.report.marks`."""
        figure = self.figure
        bound = math.isinf(figure.high) and math.isfinite(figure.value)
        return {"lower_bounds": ["figure"] * bound, "flags": {"figure": list(figure.flags)}}


@frozen(eq=False)
class Judgement:
    """All claims, judged."""

    claims: tuple[Judged, ...]
    keys: Mapping[str, bool]  # of the original proposal's ``validate_performance_claims``
    interrupted: bool = False
    settings: Mapping[str, Sequence[str]] = field(factory=dict)  # of each of its situations


def run_claims(options: Options, checked: Sequence[str] = ()) -> int:
    """Judge all claims, write and show the verdicts, and return the exit code.

    It is 3 unless each of the claims that are `checked` is supported.
    """
    for name in checked:
        if name not in BY_ID:
            raise unknown_name("claim", name, BY_ID, source="--check")
    if options.replications == 1:
        problem = "1 says nothing of an interval"
        raise InputError(problem, source="--replications", allowed="a whole number >= 2")
    asked = load("claims", Claims)
    setup = prepare("claims", options, asked.systems, asked.settings)
    refuse_traffic(setup, "is what the claims themselves set")
    polling, push = _pick(setup)
    replications = options.replications or asked.replications
    systems = {kind: _situations(asked, setup, kind) for kind in (polling, push)}
    with running(
        setup, [system for some in systems.values() for system in some.values()]
    ) as runner:
        try:
            judgement = _judge(asked, setup, runner, systems[polling], systems[push], replications)
        except KeyboardInterrupt:
            return say_interrupted(setup)
    rows = [one.row() | {"settings": settings_of(judgement)} for one in judgement.claims]
    show(formatted(rows, options.output_format, partial(_report, setup, judgement)))
    files = _write(setup, judgement)  # a disk that is full must not hide the table
    say_done(setup, runner.tally, files)
    return _check(judgement, checked)


def settings_of(judgement: Judgement) -> list[str]:
    """Return what the experiment sets, each with the situation in which it does."""
    return [f"{what}: {one}" for what, some in judgement.settings.items() for one in some]


def _check(judgement: Judgement, checked: Sequence[str]) -> int:
    verdicts = {one.claim.id: one.verdict for one in judgement.claims}
    failed = [name for name in checked if verdicts[name] != "supported"]
    say(*(f"lhsim: {name} is {verdicts[name]}" for name in failed))
    return NOT_KEPT if failed else DONE


def _pick(setup: Setup) -> tuple[int, int]:
    """Return which of the systems polls, and which pushes."""
    kinds = [system.architecture for system in setup.systems]
    if sorted(kinds) != ["polling", "push"]:
        allowed = "one system that polls and one that pushes"
        raise InputError(f"these are {', '.join(kinds)}", source="--system", allowed=allowed)
    return kinds.index("polling"), kinds.index("push")


def _situations(asked: Claims, setup: Setup, number: int) -> dict[str, System]:
    """Return a system in each of the situations."""
    return {
        "pair": varied(setup, number, asked.pair_settings),
        "steady": varied(setup, number, asked.steady_settings),
        "closed": varied(setup, number, asked.closed_settings),
    }


def _judge(
    asked: Claims,
    setup: Setup,
    runner: Runner,
    polling: Mapping[str, System],
    push: Mapping[str, System],
    replications: int,
) -> Judgement:
    options = setup.options
    with progress("runs", (), shown=options.show_progress) as on_done:
        evidence = [
            _evidence(asked, options, runner, systems, replications, on_done)
            for systems in (polling, push)
        ]
    found = figures(*evidence)
    judged = {claim.id: Judged(claim, found[claim.id]) for claim in CLAIMS}
    refuted = {name: one.claim for name, one in judged.items() if one.verdict == "refuted"}
    world = World(
        polling["pair"], polling["steady"], polling["closed"], push["steady"],
        levels_of.seeds(options.seed, 1)[0], options.engine,
    )  # fmt: skip
    with progress("conditions", (), shown=options.show_progress) as on_done:
        texts, interrupted = search_all(conditions(refuted, found, world), runner, on_done)
    if interrupted:
        raise KeyboardInterrupt
    claims = tuple(evolve(one, would_hold_if=texts.get(name)) for name, one in judged.items())
    situations = {
        "pair": asked.pair_settings,
        "steady": asked.steady_settings,
        "closed loop": asked.closed_settings,
    }
    said = {what: (*own_settings(setup), *more) for what, more in situations.items()}
    return Judgement(claims, seed_keys(found), settings=said)


def _evidence(
    asked: Claims,
    options: Options,
    runner: Runner,
    systems: Mapping[str, System],
    replications: int,
    on_done: Report,
) -> Evidence:
    seeds = levels_of.seeds(options.seed, replications)
    engine = options.engine
    pair, steady, closed = (systems[name] for name in ("pair", "steady", "closed"))
    horizon = Horizon(WINDOW_MESSAGES)
    few = seeds[: max(3, replications // 2)]
    sampled = in_runs(samples_of(pair)[: asked.samples])
    groups: dict[Any, list[Cell]] = {
        "pair": [_pair_cell(pair, seed, engine) for seed in seeds],
        "sampled": [_pair_cell(one, seeds[0], engine) for one in sampled],
    }
    for agents in LEVELS:
        groups["steady", agents] = levels_of.cells(steady, agents, horizon, few, engine)
        groups["closed", agents] = [_closed_cell(closed, agents, seed, engine) for seed in few]
    results = _run(groups, runner, on_done)
    return Evidence(
        pair=results["pair"],
        sampled=results["sampled"],
        steady={agents: results["steady", agents] for agents in LEVELS},
        closed={agents: results["closed", agents] for agents in LEVELS},
        knee=_knee(asked, options, runner, steady, on_done),
        system=steady,
    )


def _closed_cell(system: System, agents: int, seed: int, engine: str) -> Cell:
    # All its messages count, from the first on, as in the original proposal's throughput.
    return Cell(system, agents, 600.0, seed, engine, warmup=0.0, drain=0.0)


def _pair_cell(system: System, seed: int, engine: str) -> Cell:
    return Cell(system, 2, 3600.0, seed, engine)  # it ends when all is delivered


def _run(
    groups: Mapping[Any, Sequence[Cell]], runner: Runner, on_done: Report
) -> dict[Any, list[Result]]:
    cells = [cell for some in groups.values() for cell in some]
    outcomes, interrupted = runner.run(cells, on_done=on_done)
    if interrupted:
        raise KeyboardInterrupt
    results: list[Result] = []
    for index, cell in enumerate(cells):
        outcome = outcomes.get(index)
        if outcome is None or isinstance(outcome, Failure):
            raise LhsimError(f"a run of {cell.system.name} failed: {outcome}")
        results.append(outcome)
    found, begin = {}, 0
    for name, some in groups.items():
        found[name] = results[begin : begin + len(some)]
        begin += len(some)
    return found


def _knee(asked: Claims, options: Options, runner: Runner, system: System, on_done: Report) -> Knee:
    limit = asked.max_events.unless(options.max_events)
    horizon = Horizon(asked.knee.messages)
    points = levels([system], asked.knee_agents)
    plan = sweeps.plan([system], points, horizon, 1, options.seed, options.engine, limit)
    sweep = sweeps.carry_out(plan, runner, show=lambda *_: nullcontext(on_done))
    if sweep.interrupted:
        raise KeyboardInterrupt
    knees, interrupted = find_knees(
        sweep,
        asked.knee,
        seed=options.seed,
        duration=None,
        engine=options.engine,
        max_events=limit,
        runner=runner,
        on_done=on_done,
    )
    if interrupted:
        raise KeyboardInterrupt
    return knees[system.name]


def _report(setup: Setup, judgement: Judgement) -> str:
    columns = [
        *(TextColumn(title, left=True) for title in ("claim", "claimed")),
        *(TextColumn(title) for title in ("found", "95 %")),
        TextColumn("verdict", left=True),
    ]
    lines = [*wrap(QUESTION, WIDTH), f"seed {setup.options.seed}"]
    for what, settings in judgement.settings.items():
        lines += settings_lines(settings, f"the experiment, {what}")
    lines.append("")
    lines += [table(columns, [_line(one) for one in judgement.claims]), ""]
    meanings = legend([one.row() for one in judgement.claims], ["figure"])
    lines += [*(part for line in meanings for part in wrap(line, WIDTH)), *([""] * bool(meanings))]
    held = [one for one in judgement.claims if one.would_hold_if is not None]
    if held:
        lines += ["what is refuted would hold with, all else as it is:"]
        body = [[f"  {one.claim.id}", one.would_hold_if or ""] for one in held]
        lines += table([TextColumn("", left=True)] * 2, body).splitlines()[1:]
    lines += ["", "the original proposal's validate_performance_claims:"]
    lines += [f"  {name}: {str(holds).lower()}" for name, holds in judgement.keys.items()]
    said = [_answer(judgement), *warning_lines(setup.systems)]
    return "\n".join([*lines, "", *(part for one in said for part in wrap(one, WIDTH))])


def _line(one: Judged) -> list[str]:
    figure, unit = one.figure, one.claim.unit
    ends = f"{_short(figure.low)}-{_short(figure.high)}"
    is_known = not (math.isnan(figure.low) or math.isnan(figure.high))
    shown = ends if is_known and figure.low != figure.high else ""
    value = marked(one.row(), "figure", lambda: f"{_short(figure.value)} {unit}", UNKNOWN,
                   in_row=False)  # fmt: skip
    return [one.claim.id, one.claim.claimed, value, shown, one.verdict]


def _short(value: float) -> str:
    if math.isinf(value):
        return "..."
    return "0" if value == 0 else three_digits(value)


def _answer(judgement: Judgement) -> str:
    counts = {
        verdict: sum(one.verdict == verdict for one in judgement.claims)
        for verdict in ("supported", "refuted", "undecided")
    }
    factor = next(one for one in judgement.claims if one.claim.id == "latency.avg.factor").figure
    return (
        f"Of {len(judgement.claims)} claims {counts['supported']} are supported, "
        f"{counts['refuted']} refuted and {counts['undecided']} undecided. Push is "
        f"{_short(factor.value)} times as quick as polling in the mean "
        f"({_short(factor.low)}-{_short(factor.high)})."
    )


def _write(setup: Setup, judgement: Judgement) -> list[str]:
    """Write plot, manifest and finding; return the names of the files."""
    rows = [one.row() for one in judgement.claims]
    whole = {
        **manifest(setup),
        "validate_performance_claims": dict(judgement.keys),
        "claims": rows,
    }
    shown = tuple(
        {"about": meaning(one.claim.id), **row, "unit": one.claim.unit,
         "low": known(one.figure.low), "high": known(one.figure.high)}
        for row, one in zip(rows, judgement.claims, strict=True)
    )  # fmt: skip
    keys = tuple({"key": name, "holds": holds} for name, holds in judgement.keys.items())
    finding = finding_of(
        setup,
        title="E7 claims",
        question=QUESTION,
        answer=_answer(judgement),
        tables=(
            Table("claims", "The claims", COLUMNS, shown),
            Table("keys", "The original proposal's validate_performance_claims",
                  (Column("key", "key"), Column("holds", "holds")), keys),
        ),
        figures=(
            Picture("claims.svg", "What was found, as a multiple of what is claimed, with the 95 % "
                    "interval.", "A dot for each claim on a logarithmic axis, with 1 as a line."),
        ),
        claims=shown,
        method=METHOD,
        limits=LIMITS,
    )  # fmt: skip
    files = {**plots(_figure(judgement), "claims"), **finding.files()}
    return write_result(setup.options.output_dir, files, whole)


def _figure(judgement: Judgement) -> Plot:
    return dots_plot([
        Dot(one.claim.id, one.verdict, *(
            value / one.claim.number
            for value in (one.figure.value, one.figure.low, one.figure.high)
        ))
        for one in judgement.claims
        if one.claim.number > 0 and 0 < one.figure.value < math.inf
    ])  # fmt: skip
