"""The cross-check: a system against live runs that it was not calibrated on.

Each level is simulated as it was measured, and each metric judged (`judgement`). Where a server is
saturated, live or simulated, latency depends on how long the run was, so that only throughput and
processor are judged there, and the knee over all levels.

Of so many intervals some miss by chance. The verdict on the whole is therefore Holm's
(`lhsim.analysis.differences`): the chance to reject a true model is at most `FAMILY` whatever the
metrics have to do with one another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from itertools import count
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from attrs import evolve, frozen

from lhsim import checks
from lhsim.analysis.differences import holm
from lhsim.analysis.intervals import known
from lhsim.analysis.measures import live_unit
from lhsim.calibration.levels import CHANCE, Level, falls_behind, is_busy, levels, log_paces
from lhsim.calibration.logs import ARRIVALS, POISSON
from lhsim.crosscheck.figures import Figures, Floats, Simulated, figures, jackknife, simulated
from lhsim.crosscheck.judgement import (
    AGREES,
    DIFFERS,
    NOT_POISSON,
    ONE_SATURATED,
    UNINFORMATIVE,
    Finding,
    judge,
    judge_distribution,
    pair_of,
)
from lhsim.crosscheck.metrics import (
    AT_SATURATION,
    KNEE,
    QUANTILES,
    RATES,
    TIMES,
    bounds,
    follows_pace,
    shows_service,
    uninformative,
)
from lhsim.errors import InputError
from lhsim.library import as_system
from lhsim.models import Calibration, System
from lhsim.planning.samples import samples_of
from lhsim.recording import Recording
from lhsim.report.crosscheck import headline
from lhsim.report.notebook import card
from lhsim.streams import MAX_SEED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FAMILY = 0.05  # chance to reject a true model
FEWEST_RUNS = 5  # simulated, of a level: fewer show no spread
ALL = "all levels"
DOUBTFUL = "doubtful runs"
GIVEN = (
    "How many clients there are, and how they think, is taken from each log; throughput and "
    "latencies are predicted"
)

Verdict = Literal["accepted", "rejected", "undecided", "no evidence"]


@frozen
class Coverage:
    """Whether the prediction intervals are honest, below saturation."""

    inside: int  # live values in their interval
    values: int  # live values
    width: float  # median of the intervals' widths over the live spread; NaN for single runs

    def sentence(self) -> str:
        """Return it in words."""
        if not self.values:
            return "No live value could be held against an interval."
        part = f"{self.inside} of {self.values} live values lie in their prediction intervals"
        if math.isnan(self.width):
            return part + "."
        return f"{part}, whose width is {self.width:.1f} times the live spread."


@frozen(eq=False)
class Overlay:
    """The times of a level, for plots."""

    level: str
    metric: str
    live: tuple[Floats, ...]  # of each run, sorted [s]
    simulated: tuple[Floats, ...]


@frozen(eq=False, repr=False)
class Crosscheck:
    """What the comparison of a system with live runs came to."""

    system: str
    verdict: Verdict
    reasons: tuple[str, ...]
    findings: tuple[Finding, ...]
    coverage: Coverage
    notes: tuple[str, ...]  # of doubtful runs, and of saturation
    confidence: float
    overlays: tuple[Overlay, ...]

    @property
    def fails(self) -> bool:
        """Whether the system is rejected, or nothing that was compared could speak for it."""
        return self.verdict in {"rejected", "no evidence"}

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the findings as plain data; None for what is not known."""
        return [
            {
                "level": found.level,
                "metric": found.metric,
                "live": known(found.live),
                "live_interval": _interval(found.live_interval),
                "simulated": known(found.simulated),
                "simulated_interval": _interval(found.simulated_interval),
                "relative_error": known(found.relative_error),
                "verdict": found.verdict,
            }
            for found in self.findings
        ]

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy row per level and metric; times are in seconds."""
        rows = self.to_dicts()
        for row in rows:
            for name in ("live", "simulated"):
                low, high = row.pop(f"{name}_interval") or (None, None)
                row |= {f"{name}_low": low, f"{name}_high": high}
            row["unit"] = live_unit(row["metric"])
        return pd.DataFrame(rows)

    def plot(self, ax: Axes | None = None) -> Figure:
        """Draw by how much the simulation is off, with both uncertainties; return the figure."""
        from lhsim.analysis.curves import Interval, difference_plot  # noqa: PLC0415

        rows = [
            Interval(f"{one.level}: {one.metric}", one.relative_error, *one.difference, one.kind)
            for one in self.findings
            if math.isfinite(one.relative_error) and one.kind != UNINFORMATIVE
        ]
        return difference_plot(rows, "simulated less live", ax)

    def __repr__(self) -> str:
        """Return the verdict in a line; `reasons` says why."""
        count = len(self.findings)
        return f"<Crosscheck: {headline(self.system, self.verdict)}; {count} figures compared>"

    def _repr_html_(self) -> str:
        sentences = [*self.reasons, self.coverage.sentence(), *self.notes]
        columns = ["level", "metric", "live", "simulated", "unit", "relative_error", "verdict"]
        frame = self.to_frame()[columns]
        return card(headline(self.system, self.verdict), sentences, frame)


@frozen(eq=False)
class _Compared:
    """A level with all that belongs to it."""

    level: Level
    flags: tuple[str, ...]
    live: tuple[Figures, ...]
    simulated: Simulated
    cores: int = 1  # of the system

    @property
    def saturated(self) -> tuple[bool, bool]:
        """Whether the live server is saturated, and the simulated one."""
        sides = (self.live, self.simulated.nominal)
        if self.closed:
            live, model = (is_busy([run.measures["cpu"] / self.cores for run in side])
                           for side in sides)  # fmt: skip
            return live, model
        duration = self.level.manifest.duration
        live, model = (_saturated(side, duration) for side in sides)
        return live, model

    @property
    def closed(self) -> bool:
        """Whether the agents wait for answers: then latencies settle at any load."""
        return self.level.manifest.closed

    @property
    def contradiction(self) -> str | None:
        """What speaks against the system where one server is saturated and the other is not.

        Both may lie about the limit by chance: then they deliver alike.
        """
        live, model = self.saturated
        if live == model or self.closed:  # of a closed loop throughput is judged like any figure
            return None
        delivered, simulated = map(_throughput, (self.live, self.simulated.nominal))
        messages = delivered * self.level.manifest.duration * len(self.live)
        alike = max(bounds("throughput").narrow, CHANCE / math.sqrt(max(messages, 1.0)))
        if abs(simulated - delivered) <= alike * delivered:
            return None
        which, other = ("live", "simulated") if live else ("simulated", "live")
        return (
            f"{self.level.name}: the {which} server is saturated, the {other} one is not "
            f"({delivered:.4g} and {simulated:.4g} messages/s, live and simulated)"
        )


def crosscheck(
    system: System | str | PathLike[str],
    runs: Iterable[Recording],
    *,
    runs_simulated: int = 20,
    confidence: float = 0.9,
    seed: int = 1,
    executor: Executor | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> Crosscheck:
    """Hold a system against live runs.

    Parameters
    ----------
    system
        Or its name or file. Of the architecture of the runs; its workload is not used. With samples
        of its parameters in its calibration their uncertainty counts.
    runs
        Of any levels; those of one load and different seeds are repetitions.
    runs_simulated
        Of each level, by the system, and as many by samples of its parameters.
    confidence
        Of all intervals, in (0, 1).
    seed
        Of the simulated runs after those with the live runs' own seeds.
    executor
        Simulates several runs at a time.
    on_step
        Is called after each simulated run with how many there were, and how many there will be.

    Raises
    ------
    InputError
        When there are no runs, or they are of another architecture than the system, or of one
        without a model.
    """
    system = as_system(system)
    if checks.is_several(runs) and not (runs := list(runs)):
        raise InputError("are missing", key="runs", allowed="one recording or more")
    runs = checks.instances(runs, "runs", Recording, "one recording or more")
    runs_simulated = checks.whole_number(
        runs_simulated, "runs_simulated", FEWEST_RUNS, checks.MOST_REPLICATIONS
    )
    confidence = checks.share(confidence, "confidence")
    seed = checks.whole_number(seed, "seed", 0, MAX_SEED)
    checks.executor(executor, "executor")
    checks.function(on_step, "on_step")
    compared, notes = [], []
    found_levels = levels(runs)
    most = len(found_levels) * runs_simulated * (2 if samples_of(system) else 1)
    on_run = _counting(on_step, most)
    for level in found_levels:
        chosen, flags, note = _trusted(level)
        notes += note
        manifests = [run.manifest for run in chosen.runs]
        paces = log_paces(manifests, (system.calibration or Calibration()).follows).tolist()
        live = tuple(figures(run, slower) for run, slower in zip(chosen.runs, paces, strict=True))
        if not all(run.offered for run in live):
            allowed = "runs with messages in their window"
            raise InputError("holds no message in its window", source=level.name, allowed=allowed)
        played = simulated(system, manifests, runs_simulated, seed, executor, on_run)
        compared.append(_Compared(chosen, flags, live, played, system.processors))
    misses = system.calibration.misses if system.calibration is not None else {}
    findings = [found for one in compared for found in _of_level(one, misses, confidence)]
    findings += _of_knee(compared, confidence)
    notes += dict.fromkeys(note for one in compared for note in (*_capacities(one), *_traffic(one)))
    notes += system.caveats
    contradictions = [one.contradiction for one in compared if one.contradiction is not None]
    verdict, reasons = _overall(findings, compared[0].level.manifest.architecture, contradictions)
    return Crosscheck(
        system=system.name,
        verdict=verdict,
        reasons=reasons,
        findings=tuple(findings),
        coverage=_coverage(findings),
        notes=tuple(notes),
        confidence=confidence,
        overlays=tuple(overlay for one in compared for overlay in _overlays(one)),
    )


def _counting(on_step: Callable[[int, int], None] | None, most: int) -> Callable[[], None]:
    numbers = count(1)
    return lambda: None if on_step is None else on_step(next(numbers), most)


def _trusted(level: Level) -> tuple[Level, tuple[str, ...], list[str]]:
    """Return the level without doubtful runs where others are there; flags; what to say of it."""
    doubtful, sure = level.doubtful, level.trusted()
    if not doubtful:
        return level, (), []
    what = "left out" if sure is not level else "used, as there are no others"
    notes = [
        f"{level.name}, seed {run.manifest.seed}: {what}: {'; '.join(run.manifest.doubts)}"
        for run in doubtful
    ]
    return sure, () if sure is not level else (DOUBTFUL,), notes


def _of_level(one: _Compared, misses: Mapping[str, float], confidence: float) -> list[Finding]:
    name, architecture = one.level.name, one.level.manifest.architecture
    saturated = any(one.saturated) and not one.closed
    found = []
    for metric in AT_SATURATION if saturated else (*RATES, *QUANTILES):
        paced = follows_pace(architecture, metric)
        miss = 0.0 if saturated else misses.get(metric, 0.0)
        pair = pair_of(metric, one.live, one.simulated, paced=paced, miss=miss)
        if pair is None:
            continue
        single = len(one.live) == 1
        batches = jackknife(one.level.runs[0], metric) if single else math.nan
        found.append(judge(name, metric, pair, confidence, batch_variance=batches, flags=one.flags))
    for metric in () if saturated else TIMES:
        whole = judge_distribution(
            name, metric, one.live, one.simulated, confidence, flags=one.flags
        )
        found += [whole] if whole else []
    return [_in_context(one, each) for each in found]


def _in_context(one: _Compared, found: Finding) -> Finding:
    """Return a finding as its level has it: it may be uninformative there, or contradicted."""
    manifest = one.level.manifest
    excused = evolve(found, kind=UNINFORMATIVE, p_value=math.nan)
    if uninformative(manifest.architecture, found.metric):
        return excused
    if found.metric.startswith("latency") and manifest.options.get(ARRIVALS, POISSON) != POISSON:
        return evolve(excused, flags=(*found.flags, NOT_POISSON))
    if found.metric == "throughput" and one.contradiction is not None:
        return evolve(found, kind=DIFFERS, p_value=0.0, flags=(*found.flags, ONE_SATURATED))
    return found


def _of_knee(compared: Sequence[_Compared], confidence: float) -> list[Finding]:
    """Return what the highest throughput shows, where a level is saturated."""
    if not any(any(one.saturated) for one in compared):
        return []
    live = max((one.live for one in compared), key=_throughput)
    best = max((one.simulated for one in compared), key=lambda one: _throughput(one.nominal))
    # No slope: what is reached at saturation does not depend on how much is offered.
    plain = Simulated(_as_offered(best.nominal), _as_offered(best.sampled))
    pair = pair_of("throughput", _as_offered(live), plain)
    return [] if pair is None else [judge(ALL, KNEE, pair, confidence)]


def _as_offered(runs: Sequence[Figures]) -> tuple[Figures, ...]:
    return tuple(evolve(run, offered=1.0) for run in runs)


def _throughput(runs: Sequence[Figures]) -> float:
    return float(np.mean([run.measures["throughput"] for run in runs]))


def _saturated(runs: Sequence[Figures], duration: float) -> bool:
    measures = [run.measures for run in runs]
    delivered = [figures["throughput"] for figures in measures]
    behind = falls_behind([run.offered for run in runs], delivered, duration)
    return behind or is_busy([figures["cpu"] for figures in measures])


def _capacities(one: _Compared) -> list[str]:
    live, model = one.saturated
    if one.closed:
        one_of_them = "the live server is" if live else "the simulated server is"
        which = "both servers are" if live and model else one_of_them
        text = f"{one.level.name}: {which} saturated: the throughput there is a capacity"
        return [text] if live or model else []
    if live and model:
        return [f"{one.level.name}: saturated; throughput and processor are judged alone"]
    if live or model:
        which, other = ("live", "simulated") if live else ("simulated", "live")
        return [
            f"{one.level.name}: the capacity differs: the {which} server is saturated, "
            f"the {other} one is not"
        ]
    return []


def _traffic(one: _Compared) -> list[str]:
    """Return what the traffic of a message log was taken for, which does not say it."""
    if one.closed:
        return [GIVEN]
    arrivals = one.level.manifest.options.get(ARRIVALS)
    if arrivals is None:
        return []
    found = (
        f"{one.level.name}: simulated with Poisson traffic at the rate of the log; a closed loop "
        "that waits for its answers is not"
    )
    if arrivals != POISSON:
        found += f", and these messages come {arrivals}: delays are uninformative"
    return [found]


def _overall(
    findings: Sequence[Finding], architecture: str, contradictions: Sequence[str]
) -> tuple[Verdict, tuple[str, ...]]:
    """Return the verdict on the whole and why.

    It is rejected when Holm's test finds a difference, or a server is saturated where the other one
    is not. There is no evidence where no figure that shows the server's work is known of both. It
    is accepted when the processor's time and a median that shows the server's work agree somewhere,
    if they were measured, since what remains would agree with most models.
    """
    judged = [found for found in findings if not math.isnan(found.p_value)]
    adjusted = holm([found.p_value for found in judged])
    against = [
        f"{found.level}: {found.metric} {found.verdict}"
        for found, p in zip(judged, adjusted, strict=True)
        if p < FAMILY and found.kind == DIFFERS
    ]
    if against or contradictions:
        return "rejected", (*contradictions, *against)
    telling = [found for found in judged if shows_service(architecture, found.metric)]
    if not telling and not any(found.metric == KNEE for found in judged):
        reason = "no figure that shows the server's work is known of both, live and simulated"
        return "no evidence", (reason,)
    agreeing = {found.metric for found in telling if found.kind == AGREES}
    medians = {metric for metric in agreeing if metric != "cpu"}
    wanted = {found.metric for found in telling}
    missing = [] if "cpu" in agreeing or "cpu" not in wanted else ["the processor's time"]
    missing += [] if medians else ["a median of the server's work"]
    if missing:
        return "undecided", (f"no level shows that {' and '.join(missing)} agrees",)
    return "accepted", (f"no difference at the level of {FAMILY:g} over {len(judged)} metrics",)


def _coverage(findings: Sequence[Finding]) -> Coverage:
    counted = [one for one in findings if one.metric in (*RATES, *QUANTILES)]
    widths = [one.width for one in counted if not math.isnan(one.width)]
    return Coverage(
        inside=sum(one.inside for one in counted),
        values=sum(one.runs for one in counted),
        width=float(np.median(widths)) if widths else math.nan,
    )


def _overlays(one: _Compared) -> list[Overlay]:
    simulated_runs = one.simulated.sampled or one.simulated.nominal
    found = [
        Overlay(
            one.level.name,
            metric,
            tuple(run.times[metric] for run in one.live),
            tuple(run.times[metric] for run in simulated_runs),
        )
        for metric in TIMES
    ]
    return [each for each in found if all(len(some) for some in (*each.live, *each.simulated))]


def _interval(ends: tuple[float, float]) -> list[float] | None:
    return list(ends) if all(math.isfinite(end) for end in ends) else None
