"""The experiments that answer one question: ``lhsim capacity``, ``decide``, ``explain``, ..."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from attrs import asdict, evolve

from lhsim.errors import InputError
from lhsim.execution import Runner
from lhsim.execution.progress import Progress, search_progress
from lhsim.experiments.ending import say_done, say_interrupted
from lhsim.experiments.finding import Column, Finding, Picture, Table
from lhsim.experiments.options import DONE, NOT_KEPT, Options
from lhsim.experiments.output import (
    ANSWER,
    check_folder,
    formatted,
    import_plots,
    json_file,
    plots,
    show,
    text_file,
    write_files,
    write_result,
)
from lhsim.experiments.provenance import finding_of
from lhsim.experiments.setup import WIDTH, Setup, described, manifest, prepare, running
from lhsim.explanation import Explanation, explanation
from lhsim.planning import decision, screening, search
from lhsim.planning.decision import Decision
from lhsim.planning.screening import KNEE, Sensitivity
from lhsim.planning.search import Capacity
from lhsim.report.capacity import capacity_so_far, capacity_table
from lhsim.report.decision import decision_answers, decision_text
from lhsim.report.explanation import explanation_text, what_helps
from lhsim.report.sensitivity import sensitivity_tables
from lhsim.report.text import metric_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lhsim.models import System

DESIGNS = ("polling", "push")  # from which those are made that `lhsim decide` compares


class Answer(Protocol):
    """What was found."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""

    def plot(self) -> Figure:
        """Draw it."""


A = TypeVar("A", bound=Answer)


def run_capacity(
    options: Options, slo: Sequence[str], *, begun: float, within: float | None, **asked: Any
) -> int:
    """Search for a capacity, show and write the answer, and return the exit code.

    Takes what `lhsim.capacity` does. `within` is its budget, None for none, and `begun` the time
    from which that counts, on the monotonic clock [s].
    """
    words = ["capacity", *option_words("slo", slo), *settings_words({**asked, "within": within})]
    setup = prepare("capacity", options, command=words, has_file=False)
    agents = options.agents[0] if options.agents else None
    question = search.ask(
        setup.system, slo, agents=agents, seed=options.seed, engine=options.engine, **asked
    )
    until = None if within is None else begun + within

    def narrowed(runner: Runner, progress: Progress) -> Capacity:
        for found in search.answers(question, runner, progress.ran, until):
            progress.known(capacity_so_far(found.to_dict()))
        return found

    return settle(
        setup,
        narrowed,
        lambda found: _capacity_text(setup, found),
        lambda found: _capacity_finding(setup, found),
        holds=lambda found: found.check is None or found.check.verdict == "kept",
        interrupted=lambda found: found.stop_reason == search.INTERRUPTED,
    )


def _capacity_text(setup: Setup, found: Capacity) -> str:
    what = found.vary if found.agents is None else f"{found.vary}, {found.agents:,} agents"
    system = setup.system
    varied = found.vary.startswith("nodes.")  # then they are not those of the file
    said = described(evolve(system, nodes=None) if varied else system)
    title = f"{system.name}, {said}; varied: {what}; seed {found.seed}"
    lines = [part for line in found.sentences() for part in wrap(line, WIDTH)]
    return "\n".join([*lines, "", *wrap(title, WIDTH), "", capacity_table(found.to_dict())])


def _capacity_finding(setup: Setup, found: Capacity) -> Finding:
    columns = (
        Column("level", found.vary, found.unit),
        Column("objective", "objective"),
        Column("figure", "figure", interval="ends"),
        Column("unit", "unit"),
        Column("verdict", "level"),
        Column("replications", "runs"),
    )
    rows = tuple(
        {
            "level": level["value"],
            "objective": figure["objective"],
            "figure": figure["value"],
            "ends": figure["interval"],
            "unit": figure["unit"],
            "verdict": level["verdict"],
            "replications": level["replications"],
        }
        for level in found.to_dict()["evaluations"]
        for figure in level["figures"]
    )
    first, *others = found.sentences()
    return finding_of(
        setup,
        title="E10 capacity",
        question=f"Which {found.vary} keep {' and '.join(found.objectives)}?",
        answer=f"{setup.system.name}: {first}.",
        answers={"move": f"{setup.system.name}: {first}."},
        tables=(Table("levels", "Levels that were run", columns, rows),),
        figures=(
            Picture(
                "capacity.svg",
                "Each figure as a part of its limit, with its interval, against what is varied.",
                "Points that rise through the limit, 1, where the objectives cease to be kept.",
            ),
        ),
        method="Levels in geometric progression, bisection between those that differ, and "
        "replications of each until it is decided (docs/capacity.md).",
        limits=tuple(one for one in others if not one.startswith("warning: ")),
    )


def run_decide(options: Options, slo: Sequence[str], **asked: Any) -> int:
    """Compare designs as the agents grow, show and write the answer, and return the exit code.

    Takes what `lhsim.decide` does.
    """
    asked["start"] = asked["start"] or date.today().isoformat()
    words = ["decide", *option_words("slo", slo), *settings_words(asked)]
    setup = prepare("decide", options, DESIGNS, command=words, has_file=False)
    designs = setup.systems if options.systems else decision.default_designs(*setup.systems)
    agents = options.agents[0] if options.agents else None
    question = decision.ask(
        slo, agents, systems=designs, seed=options.seed, engine=options.engine, **asked
    )
    return settle(
        setup,
        lambda runner, progress: decision.answer(question, runner, progress.ran),
        lambda found: decision_text(found.details()),
        lambda found: _decision_finding(setup, found),
    )


def _decision_finding(setup: Setup, found: Decision) -> Finding:
    details = found.details()
    first, *others = found.sentences()
    objectives = " and ".join(found.objectives)
    holds = (
        Column("name", "design"),
        Column("capacity", "holds", "agents", "interval"),
        Column("sure", "surely", "agents"),
        Column("binding_objective", "binding"),
        Column("crossing_date", "reached"),
        Column("servers_now", "servers now"),
        Column("servers", "at most"),
        Column("cost", "cost", found.currency),
        Column("p50", "p50 now", "s"),
        Column("p99", "p99 now", "s"),
        Column("queries", "queries now", "1/s"),
        Column("cpu", "CPU now", "share"),
        Column("memory", "memory now", "B"),
    )
    chances = [Column("name", "design"), *(Column(day, day, "share") for day in details["dates"])]
    by_date = [
        {"name": one["name"], **dict(zip(details["dates"], one["p_keeps"], strict=True))}
        for one in details["designs"]
    ]
    shown = {one.key for one in holds} | {"interval"}
    rows = [{key: one[key] for key in shown} for one in details["designs"]]
    return finding_of(
        setup,
        title="Decision",
        question=f"Which design keeps {objectives} as the agents grow by {found.growth}, until "
        "when, and at what cost?",
        answer=first,
        answers=decision_answers(details),
        tables=(
            Table("designs", "What each design holds on one server", holds, tuple(rows)),
            Table("odds", "Probability of keeping the objectives", tuple(chances), tuple(by_date)),
        ),
        figures=(
            Picture(
                "decide.svg",
                "Probability that one server of each design keeps the objectives, over time.",
                "A line for each design, which falls where the agents outgrow it.",
            ),
        ),
        method="The crossing of each design by few runs, moved by the samples of its parameters, "
        "against the forecast (docs/how-to/decide.md).",
        limits=tuple(one for one in others if not one.startswith("warning: ")),
    )


def run_explain(
    options: Options, *, duration: float | None, confidence: float, trace: Path | None
) -> int:
    """Explain the latency of a system, show and write it, and return the exit code.

    Takes what `lhsim.explain` does. Messages go to the file `trace` in the format of Perfetto.
    """
    asked_for = {"duration": duration, "confidence": confidence, "trace": trace}
    setup = prepare(
        "explain", options, command=["explain", *settings_words(asked_for)], has_file=False
    )
    assert options.agents is not None
    (agents,) = options.agents
    if trace is not None:
        _check_file(trace)
    question = explanation.ask(
        setup.system, agents, duration, confidence, options.seed, options.engine
    )

    def answered(runner: Runner, progress: Progress) -> Explanation:
        found = explanation.answer(question, runner, progress.ran)
        if trace is not None:
            write_files(trace.parent, {trace.name: text_file(found.trace_json())})
        return found

    return settle(
        setup,
        answered,
        lambda found: explanation_text(found.to_dict()),
        lambda found: _explanation_finding(setup, found),
    )


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{str(path)!r} is a folder", source="--trace", allowed="a file")
    check_folder(path.parent, "--trace")


def _explanation_finding(setup: Setup, found: Explanation) -> Finding:
    first, *others = found.sentences()
    data = found.to_dict()
    parts = (
        Column("name", "part"),
        Column("mean", "mean", "s", "interval"),
        Column("share", "of the mean", "share"),
        Column("tail", "around p99", "s"),
        Column("tail_share", "of these", "share"),
    )
    effects = (
        Column("remedy", "what if"),
        Column("mean", "change of the mean", "s", "mean_interval"),
        Column("p99", "change of p99", "s", "p99_interval"),
    )
    rows = []
    for one in data["effects"]:
        row = {"remedy": one["remedy"]}
        for name in ("mean", "p99"):
            figure = one[name] or {"change": None, "interval": [None, None]}
            row |= {name: figure["change"], f"{name}_interval": figure["interval"]}
        rows.append(row)
    return finding_of(
        setup,
        title="Explanation",
        question=f"Where does the latency of {found.system} with {found.agents:,} agents come "
        "from, and what would shorten it?",
        answer=first,
        tables=(
            Table("parts", "Where the time of a message goes", parts,
                  tuple(asdict(one) for one in found.parts)),
            Table("effects", "What would change it", effects, tuple(rows)),
        ),
        figures=(
            Picture(
                "explain.svg",
                "The parts of the latency of all messages, and of those around p99.",
                "Two bars, each cut into the same parts.",
            ),
        ),
        method=f"{found.count:,} messages followed from step to step, and pairs of runs with one "
        "thing better (docs/how-to/explain.md).",
        limits=tuple(one for one in others if not one.startswith("warning: ")),
        answers={"knob": f"{found.system} with {found.agents:,} agents: {what_helps(data)}"},
    )  # fmt: skip


def run_sensitivity(
    options: Options, *, metrics: Sequence[str], ranges: Sequence[str], trajectories: int
) -> int:
    """Screen a system, show and write what moves it, and return the exit code.

    Takes what `lhsim.sensitivity` does.
    """
    words = ["sensitivity", *option_words("metric", metrics), *option_words("range", ranges)]
    words += option_words("trajectories", [trajectories])
    setup = prepare("sensitivity", options, command=words, has_file=False)
    assert options.agents is not None
    (agents,), names = options.agents, tuple(dict.fromkeys(metrics)) or ("p99", KNEE)
    asked = screening.ask(
        setup.system, agents, names, ranges, trajectories, options.seed, options.engine
    )
    return settle(
        setup,
        lambda runner, progress: screening.answer(asked, runner, progress.ran),
        lambda found: sensitivity_tables(found.to_dict()),
        lambda found: _sensitivity_finding(setup, found),
    )


def _sensitivity_finding(setup: Setup, found: Sensitivity) -> Finding:
    tables, said, knobs = [], [], []
    for metric, base in found.base.items():
        effects = [one for one in found.effects if one.metric == metric]
        unit = effects[0].metric_unit
        columns = (
            Column("path", "parameter"),
            Column("low", "from"),
            Column("high", "to"),
            Column("unit", "unit"),
            Column("source", "range by"),
            Column("mu_star", "mu*", unit, "mu_star_interval"),
            Column("sigma", "sigma", unit, "sigma_interval"),
        )
        keys = [key for one in columns for key in (one.key, one.interval) if key]
        rows = tuple({key: getattr(one, key) for key in keys} for one in effects)
        tables.append(Table(metric, f"What moves {metric}", columns, rows))
        most = effects[0].path if effects[0].mu_star > 0 else "nothing"
        knobs.append(f"{most} moves {metric} most ({metric_text(metric, base)} as it is)")
        said.append(f"{metric}, {metric_text(metric, base)}, is moved most by {most}.")
    name = setup.system.name
    return finding_of(
        setup,
        title="E11 sensitivity",
        question=f"Which parameters of {name} move {', '.join(found.base)} with "
        f"{found.agents:,} agents?",
        answer=" ".join(said),
        answers={"knob": f"{'; '.join(knobs)}."},
        tables=tuple(tables),
        figures=(
            Picture(
                "sensitivity.svg",
                "Each metric with one parameter at the low and at the high end of its range.",
                "A bar for each parameter, the longest at the top.",
            ),
        ),
        method="Morris screening from random starts, and a tornado of single parameters "
        "(docs/capacity.md).",
        limits=tuple(one for one in found.sentences() if not one.startswith("warning: ")),
    )


def option_words(name: str, values: Sequence[object]) -> list[str]:
    """Return an option of the command line with each of some values."""
    return [word for one in values for word in (f"--{name}", str(one))]


def settings_words(asked: Mapping[str, object]) -> list[str]:
    """Return the options of a command line; those with None were not given."""
    return [
        word
        for name, value in asked.items()
        if value is not None
        for word in option_words(name.replace("_", "-"), [value])
    ]


def settle(
    setup: Setup,
    answer: Callable[[Runner, Progress], A],
    text: Callable[[A], str],
    finding: Callable[[A], Finding],
    holds: Callable[[A], bool] = lambda _: True,
    interrupted: Callable[[A], bool] = lambda _: False,
    rows: Callable[[A], list[dict[str, Any]]] | None = None,
    systems: Sequence[System] = (),
) -> int:
    """Let a question be answered with runs that are kept, show and write it; return the exit code.

    `answer` finds it, and leaves with `KeyboardInterrupt` on Ctrl-C. `text` makes what stdout shows
    where JSON is not asked for, `finding` what a report shows; `holds` says whether a check does,
    `interrupted` whether Ctrl-C ended it with less than it would have come to. `rows` are what CSV
    has, and `systems` what runs, where these are others than the systems of the question.
    """
    options = setup.options
    import_plots()
    try:
        with running(setup, systems) as runner:
            with search_progress(setup.name, shown=options.show_progress) as progress:
                found = answer(runner, progress)
            data = found.to_dict()
            show(_shown(options.output_format, data, lambda: text(found), rows and rows(found)))
            files = {**plots(found.plot(), setup.name), ANSWER: json_file(data)}
            files |= finding(found).files()
            names = write_result(options.output_dir, files, manifest(setup))
    except KeyboardInterrupt:
        return say_interrupted(setup)
    say_done(setup, runner.tally, names)
    if interrupted(found):
        return say_interrupted(setup)
    return DONE if holds(found) else NOT_KEPT


def _shown(
    how: str, data: dict[str, Any], text: Callable[[], str], rows: list[dict[str, Any]] | None
) -> str:
    if how == "json":
        return json.dumps(data, indent=2, allow_nan=False)
    return text() if rows is None else formatted(rows, how, text)
