"""A request/response server that nobody here wrote, from the request logs of its clients.

`closed_loops` finds out how clients behave, `disciplines` what the server's processor does with
several requests at a time, `demands` what one costs and how runs differ. Here this becomes a system
with joint samples of its parameters, is simulated at the loads of the runs, and keeps by how much
it misses them. What the runs cannot tell is said in its warnings.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from datetime import UTC, datetime
from typing import Any

import numpy as np
from attrs import evolve, field, frozen
from scipy.special import ndtri

from lhsim import checks
from lhsim.calibration.acceptance import check as check_misses
from lhsim.calibration.acceptance import missed, sentence
from lhsim.calibration.closed_loops import (
    Loop,
    closed_loop,
    empirical,
    lead_of,
    think_time,
    workload,
)
from lhsim.calibration.demands import Demand, demand_of
from lhsim.calibration.disciplines import (
    CORES,
    QUANTA,
    Alone,
    Candidate,
    Comparison,
    alone,
    candidates_of,
    compare,
    pace_of,
    refined,
    telling,
    unusual,
)
from lhsim.calibration.residuals import Residual, misses_of, residual
from lhsim.calibration.run_sheet import Run
from lhsim.calibration.stalls import stalls as stalls_of
from lhsim.calibration.stations import FIFO, with_quantum
from lhsim.distributions import Deterministic
from lhsim.errors import InputError
from lhsim.models import (
    Calibration,
    CalibrationWarning,
    Cpu,
    Network,
    Provenance,
    RequestServer,
    Stalls,
    System,
)
from lhsim.simulation import Result, simulate
from lhsim.units import format_duration

OnStep = Callable[[int, int], None]

SAMPLES = 60  # of the parameters, jointly
SAMPLES_SEED = 1
RUNS = 10  # simulated of each load, for what the system misses
SURE = 0.95  # of the bootstraps: from there on something is told
SOME = 0.05  # of the bootstraps: below that something is ruled out
WIDE = 2.0  # ratio of the ends of a capacity's interval from which on it is not told
STEADY = 1e-4  # relative error of a mean think time that is none
TINY = 1e-12
COUNTED = ("throughput", "cpu")  # what a model that misses it cannot stand for
TOO_MUCH = 1.5  # times as much processor time as a request alone takes is none of its own
LEAST = 1e-3  # factor of a delay in a sample
FEWEST = 50  # requests of all runs
# By how much, as a logarithm, a model of this kind may be off at best.
ALLOWED = {"throughput": 0.03, "cpu": 0.1, "latency_p50": 0.15, "latency_p95": 0.25,
           "latency_p99": 0.4}  # fmt: skip
COLUMNS = {"throughput": "messages_per_second", "cpu": "cpu_utilization_percent",
           "latency_p50": "p50_latency_ms", "latency_p95": "p95_latency_ms",
           "latency_p99": "p99_latency_ms"}  # fmt: skip
TAILS = (0.05, 0.95)
DISCIPLINES = {"FIFO": "first come, first served", "sliced": "slices", "shared": "equal shares",
               "by turn": "answers by turn"}  # fmt: skip


@frozen(eq=False)
class RequestBox:
    """What request logs came to."""

    system: System
    loops: tuple[Loop, ...] = field(repr=False)
    found: Candidate
    demand: Demand
    capacity: tuple[float, float, float]  # requests per second: value, and 90 % interval [1/s]
    told: bool  # whether the runs show the capacity; else it is `capacity[0]` at least
    because: str
    targets: tuple[dict[str, Any], ...] = field(repr=False)
    unknowns: tuple[dict[str, Any], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the diagnostics as plain data, as those of `lhsim.calibration.BlackBox`."""
        calibration = self.system.calibration
        assert calibration is not None
        value, low, high = self.capacity
        return {
            "system": self.system.name,
            "architecture": "requests",
            "because": self.because,
            "interval": None,
            "capacity": value,
            "capacity_interval": [low, high if self.told else None],
            "capacity_unit": "messages/s",
            "capacity_seen": self.told and any(_is_busy(self, loop) for loop in self.loops),
            "cores": self.found.cores,
            "discipline": self.found.discipline,
            "quantum_s": self.system.cpu.quantum,
            "demand_s": self.demand.mean,
            "runs": len(self.loops),
            "agents": calibration.agents,
            "messages_per_second": calibration.messages_per_second,
            "levels": [
                {"level": loop.name, "runs": 1, "saturated": _is_busy(self, loop), "lag": 0.0}
                for loop in self.loops
            ],
            "targets": list(self.targets),
            "unknowns": list(self.unknowns),
            "warnings": list(self.system.caveats),
            "collinear": [],
        }


def _is_busy(box: RequestBox, loop: Loop) -> bool:
    return loop.throughput * box.demand.mean >= 0.95 * box.found.cores


def from_requests(
    runs: Iterable[Run],
    *,
    name: str = "request server",
    cores: Sequence[int] = CORES,
    quanta: Sequence[float] = QUANTA,
    executor: Executor | None = None,
    on_step: OnStep | None = None,
) -> RequestBox:
    """Return the request/response system that is nearest to request logs of a server.

    Parameters
    ----------
    runs
        Of clients that wait for their answers, in one of them several; best at a few loads.
    name
        Of the new system.
    cores
        Numbers of processors that are tried where no run says how many the server has.
    quanta
        Disciplines that are tried: for how long a request keeps a processor while others wait [s];
        infinite: first come, first served; 0: processor sharing.
    executor
        Simulates several runs at a time.
    on_step
        Is called after each simulated run with how many there were, and how many there will be.

    Raises
    ------
    InputError
        When the runs are too few, contradict one another or what is said of them, or no model of
        this kind explains them.
    """
    runs = checks.instances(list(runs), "runs", Run, "one run or more")
    name = checks.text(name, "name")
    loops = sorted((closed_loop(run) for run in runs), key=lambda loop: loop.clients)
    known_cores = _check(loops)
    think = think_time(loops)
    base = alone(loops)
    _check_demands(loops, base)
    busiest = max(loop.throughput for loop in loops)
    quanta = telling(quanta, base)
    tried = list(candidates_of(base, known_cores or cores, quanta, busiest))
    if not tried:
        raise InputError("are busier than their cores allow", key="runs",
                         allowed="cores and cpu_seconds of the same server")  # fmt: skip
    found = compare(loops, base, tried)
    found = compare(loops, base, refined(found, base, quanta))
    drawn = found.drawn()
    nominal = _nominal(found, drawn)
    demand = demand_of(loops, base, nominal)
    stalls = stalls_of(loops, base, nominal.cores)
    plain = _system(name, base, nominal, demand, loops[-1], think, stalls)
    samples, capacities = _samples(plain, loops, base, nominal, demand, drawn)
    plain = with_quantum(plain, samples)
    capacity, told = _capacity(nominal, demand, capacities, busiest)
    targets, misses, biases = _targets(plain, loops, demand, executor, on_step)
    check_misses((one for one in targets if one["metric"] in COUNTED), name)
    because = _because(found, drawn, nominal)
    system = evolve(plain, calibration=Calibration(
        source="request logs",
        date=datetime.now(UTC).date().isoformat(),
        agents=(loops[0].clients, loops[-1].clients),
        messages_per_second=tuple(float(f"{one:.4g}") for one in
                                  (min(loop.throughput for loop in loops), busiest)),
        window=float(f"{float(np.median([loop.seconds for loop in loops])):.4g}"),
        parameters=_provenance(loops, nominal, because, demand, known_cores),
        samples=samples,
        misses={key: float(f"{value:.3g}") for key, value in misses.items()},
        biases={key: float(f"{value:.3g}") for key, value in biases.items() if value},
        moves={"cpu": float(f"{demand.moves:.3g}")},
        warnings=(*_warnings(nominal, drawn, busiest, base, told=told), *_misfit(targets)),
    ))  # fmt: skip
    return RequestBox(system, tuple(loops), nominal, demand, capacity, told, because, targets,
                      _unknowns(plain, demand))  # fmt: skip


def _check(loops: Sequence[Loop]) -> tuple[int, ...] | None:
    """Refuse what shows no server; return the number of cores where a run says it."""
    most = max(loops, key=lambda loop: loop.clients * loop.in_flight)
    if most.clients * most.in_flight == 1:
        problem = "shows one request at a time, which meets no queue"
        raise InputError(problem, source=most.run.log.source,
                         allowed="a log of several clients as well")  # fmt: skip
    total = sum(len(loop.run.log) for loop in loops)
    if total < FEWEST:
        raise InputError(f"have {total} requests", key="runs", allowed=f"{FEWEST} or more")
    for index, one in enumerate(loops):
        for other in loops[:index]:
            if len(one.run.log) == len(other.run.log) and np.array_equal(
                one.run.log.response, other.run.log.response):  # fmt: skip
                raise InputError(f"holds the requests of {other.run.log.source}",
                                 source=one.run.log.source, allowed="each run once")  # fmt: skip
    said = {loop.run.cores for loop in loops if loop.run.cores is not None}
    if len(said) > 1:
        raise InputError(f"is {' and '.join(map(str, sorted(said)))}", key="cores",
                         allowed="the cores of one server, the same in all runs")  # fmt: skip
    return tuple(said) or None


def _check_demands(loops: Sequence[Loop], base: Alone) -> None:
    """Refuse processor seconds that requests alone have no time for."""
    for loop, pace in zip(loops, base.paces, strict=True):
        most = TOO_MUCH * base.mean * pace_of(pace) * (loop.run.cores or 1)
        if loop.demand is not None and loop.demand > most:
            own, response = (format_duration(float(f"{one:.3g}")) for one in
                             (loop.demand, base.mean * pace_of(pace)))  # fmt: skip
            problem = f"is {own} a request, and one alone takes {response}"
            raise InputError(problem, source=loop.run.log.source, key="cpu_seconds",
                             allowed="the processor time of the window")  # fmt: skip


def _nominal(found: Comparison, drawn: Sequence[Candidate]) -> Candidate:
    """Return the candidate that stands for the bootstraps: as few cores as they leave possible."""
    cores = min(one for one, times in Counter(each.cores for each in drawn).items()
                if times >= SOME * len(drawn))  # fmt: skip
    rest = [one for one in drawn if one.cores == cores]
    best = found.best
    if best.cores == cores:
        return best
    return min(rest, key=unusual)


def _system(name: str, base: Alone, found: Candidate, demand: Demand, loop: Loop,
            think: Any, stalls: Stalls | None) -> System:  # fmt: skip
    works, delays = base.parts(found, base.times)
    works = works * (demand.mean / float(works.mean()))
    delay = max(base.mean - min(demand.mean, base.mean), 0.0)
    delays = delays * (delay / float(delays.mean()) if delays.mean() > 0 else 0.0)
    least = float(f"{float(delays.min()) / 2:.6g}")
    quantum = None if math.isinf(found.quantum) else found.quantum
    return System(
        name=name,
        workload=workload(loop, think),
        network=Network(up=Deterministic(least), down=empirical(delays - least)),
        cpu=Cpu(cores=found.cores, quantum=quantum, query=empirical(works), stalls=stalls),
        requests=RequestServer(by_turn=found.by_turn),
    )


def _samples(
    system: System,
    loops: Sequence[Loop],
    base: Alone,
    found: Candidate,
    demand: Demand,
    drawn: Sequence[Candidate],
) -> tuple[dict[str, tuple[float, ...]], list[float]]:
    """Return joint samples of the parameters by path, and the capacity of each [1/s]."""
    generator = np.random.Generator(np.random.Philox(SAMPLES_SEED))
    alike = _alike(found, drawn)
    chosen = [alike[i] for i in generator.integers(len(alike), size=SAMPLES)]
    errors = np.exp(demand.error * generator.permutation(_even(SAMPLES)))
    factors = [one.share / found.share * error
               for one, error in zip(chosen, errors.tolist(), strict=True)]  # fmt: skip
    columns: dict[str, Iterable[float]] = {"cpu.query*": factors}
    delay = system.network.up.mean + system.network.down.mean
    if delay > 0 and len({one.share for one in chosen}) > 1:
        ratios = [max(base.mean * (1 - one.share) / delay, LEAST) for one in chosen]
        columns |= {"network.up*": ratios, "network.down*": ratios}
    if len({one.quantum for one in chosen} | {found.quantum}) > 1:
        columns["cpu.quantum"] = [min(one.quantum, FIFO) for one in chosen]
    if len({one.by_turn for one in chosen} | {found.by_turn}) > 1:
        columns["requests.by_turn"] = [float(one.by_turn) for one in chosen]
    if len({one.cores for one in chosen} | {found.cores}) > 1:
        columns["cpu.cores"] = [one.cores for one in chosen]
    thinks = np.concatenate([loop.thinks for loop in loops])
    spread = float(thinks.std() / max(thinks.mean(), TINY)) / math.sqrt(len(thinks))
    if spread > STEADY:
        factors_of_think = np.exp(spread * generator.permutation(_even(SAMPLES)))
        columns["workload.traffic.think*"] = factors_of_think.tolist()
    capacities = [one.cores / (demand.mean * factor)
                  for one, factor in zip(chosen, factors, strict=True)]  # fmt: skip
    rounded = {path: tuple(float(f"{value:.4g}") for value in column)
               for path, column in columns.items()}  # fmt: skip
    return rounded, capacities


def _alike(found: Candidate, drawn: Sequence[Candidate]) -> list[Candidate]:
    """Return those that are the same system as `found` but for numbers and switches.

    Loops may answer by turn or not, cores share their time in slices or not; loops are no cores.
    """
    alike = [one for one in drawn if one.elsewhere == found.elsewhere]
    loops = [one for one in alike if one.cores == 1 and math.isinf(one.quantum)]
    is_loop = found.cores == 1 and math.isinf(found.quantum)
    likelier = all(one.cores == 1 for one in alike) and (
        sum(one.by_turn for one in loops) > len(alike) - len(loops)
    )
    if found.by_turn or (is_loop and likelier):
        return loops or [found]
    return [one for one in alike if not one.by_turn] or [found]


def _even(number: int) -> Any:
    return ndtri((np.arange(number) + 0.5) / number)


def _capacity(found: Candidate, demand: Demand, sampled: Sequence[float],
              busiest: float) -> tuple[tuple[float, float, float], bool]:  # fmt: skip
    low, high = np.quantile(sampled, TAILS).tolist()
    value = max(found.cores / demand.mean, busiest)
    if high > WIDE * low:
        return (busiest, busiest, math.inf), False
    return (value, max(min(low, value), min(busiest, value)), max(high, value)), True


def _targets(
    system: System,
    loops: Sequence[Loop],
    demand: Demand,
    executor: Executor | None,
    on_step: OnStep | None,
) -> tuple[tuple[dict[str, Any], ...], dict[str, float], dict[str, float]]:
    """Return each figure of each run beside that of the system, and what it misses of figures.

    That is the root mean square of the logarithm of their ratio, and its mean, both beyond chance.
    """
    tasks = [(_in_run(system, loop, factor), loop, seed)
             for loop, factor in zip(loops, demand.of_runs, strict=True)
             for seed in range(1, RUNS + 1)]  # fmt: skip
    rows = []
    for row in executor.map(_simulated, tasks) if executor else map(_simulated, tasks):
        rows.append(row)
        if on_step is not None:
            on_step(len(rows), len(tasks))
    targets: list[dict[str, Any]] = []
    residuals: dict[str, list[Residual]] = {}
    for number, loop in enumerate(loops):
        simulated = rows[number * RUNS : (number + 1) * RUNS]
        for metric, live in figures(loop).items():
            values = [max(row[metric], TINY) for row in simulated]
            found = residual(values, live, len(loop.responses))
            targets.append({
                "level": loop.name, "metric": metric, "live": live,
                "simulated": live * math.exp(found.off), "miss": math.expm1(found.off),
                "off": found.off, "error": math.hypot(math.sqrt(found.noise), ALLOWED[metric]),
            })  # fmt: skip
            residuals.setdefault(metric, []).append(found)
    return tuple(targets), *misses_of(residuals)


def figures(loop: Loop) -> dict[str, float]:
    """Return the figures of a run by their names, as `lhsim.recording.Recording.measures`."""
    found = {"throughput": loop.throughput}
    if loop.demand is not None:
        found["cpu"] = loop.demand * loop.throughput
    return found | {f"latency_{name}": loop.quantile(level)
                    for name, level in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}  # fmt: skip


def _in_run(system: System, loop: Loop, factor: float) -> System:
    """Return the system as it was in a run, with the clients of that."""
    think = think_time([loop])
    return evolve(system, workload=workload(loop, think), cpu=system.cpu.slower(factor))


def _simulated(task: tuple[System, Loop, int]) -> dict[str, float]:
    system, loop, seed = task
    low, high = (end + lead_of(loop) for end in loop.window)
    drain = 2 * float(loop.responses.max())
    result: Result = simulate(system, agents=loop.clients, duration=high + drain, warmup=low,
                              drain=drain, seed=seed)  # fmt: skip
    row = result.row()
    scales = {"cpu": system.cpu.processors / 100, "throughput": 1.0}
    return {metric: float(row[column]) * scales.get(metric, 1e-3)
            for metric, column in COLUMNS.items()}  # fmt: skip


def _because(found: Comparison, drawn: Sequence[Candidate], nominal: Candidate) -> str:
    """Return the evidence for the discipline in one sentence."""
    scores = {words: found.score_of(name) for name, words in DISCIPLINES.items()}
    told = ", ".join(f"{words} {score:.3f}" for words, score in scores.items()
                     if not math.isnan(score))  # fmt: skip
    share = sum(one.discipline == nominal.discipline for one in drawn) / len(drawn)
    return (f"{_words(nominal)} in {share:.0%} of the bootstraps; mean misfit of "
            f"{found.requests:,} responses: {told}")  # fmt: skip


def _words(found: Candidate) -> str:
    on = f"{found.cores} core" + ("s" if found.cores > 1 else "")
    if found.discipline == "sliced":
        return f"{on} shared in slices of {format_duration(found.quantum)}"
    return f"{on} in equal shares" if found.discipline == "shared" else (
        f"{on}, {DISCIPLINES[found.discipline]}")  # fmt: skip


def _provenance(loops: Sequence[Loop], found: Candidate, because: str, demand: Demand,
                known_cores: tuple[int, ...] | None) -> dict[str, Provenance]:  # fmt: skip
    requests = sum(len(loop.run.log) for loop in loops)
    of_demand = ("processor seconds over requests"
                 if any(loop.demand is not None for loop in loops)
                 else "responses of requests alone, and of those that queue")  # fmt: skip
    trend = f"changes by {demand.slope:+.1%} where the clients are e times as many"
    return {
        "cpu.cores": Provenance("given" if known_cores else "misfit of the logs", requests),
        "cpu.quantum": Provenance("misfit of the logs", requests, because),
        "cpu.query": Provenance(of_demand, requests, trend),
        "network": Provenance("what requests alone take besides", requests,
                              "varies" if found.elsewhere else "constant"),
        "workload.traffic.think": Provenance("gaps between answers and next requests", requests),
    }  # fmt: skip


def _warnings(found: Candidate, drawn: Sequence[Candidate], busiest: float, base: Alone,
              *, told: bool) -> Iterator[CalibrationWarning]:  # fmt: skip
    """Yield what speaks against the capacity, the parameters and the delays of the system."""
    shares = Counter(one.cores for one in drawn)
    possible = sorted(one for one, times in shares.items() if times >= SOME * len(drawn))
    if not told:
        several = (f" {possible[0]} to {possible[-1]} cores explain them." if len(possible) > 1
                   else "")  # fmt: skip
        text = (f"The capacity is at least {busiest:,.4g} requests/s; the logs show too little "
                f"queueing to tell how much more.{several} Say cores and cpu_seconds, or add a "
                "log of more clients.")  # fmt: skip
        yield CalibrationWarning("capacity", text, float(f"{busiest:.4g}"), "messages/s")
    disciplines = Counter(one.discipline for one in drawn)
    if disciplines[found.discipline] < SURE * len(drawn):
        told_by = ", ".join(f"{DISCIPLINES[one]} {times / len(drawn):.0%}"
                           for one, times in disciplines.most_common())  # fmt: skip
        text = (f"The logs do not tell how the processor divides its time: {told_by} of the "
                "bootstraps.")  # fmt: skip
        yield CalibrationWarning("latency", text)
    known = [demand for demand in base.demands if demand is not None]
    if known and base.mean > 1.3 * float(np.median(known)):
        text = (f"A request alone takes {format_duration(float(f'{base.mean:.3g}'))}, of which "
                f"{format_duration(float(f'{float(np.median(known)):.3g}'))} is the server's "
                "processor time; the rest is taken for a delay. If others use its cores, the "
                "capacity is lower.")  # fmt: skip
        yield CalibrationWarning("capacity", text)


def _misfit(targets: Sequence[dict[str, Any]]) -> Iterator[CalibrationWarning]:
    """Yield what the system misses most of its own runs, where that is more than its errors."""
    for worst in missed(targets)[:1]:
        text = (
            f"Something besides the processor makes requests wait: at {sentence(worst)}. Intervals "
            "are as wide as that, and no wider."
        )
        yield CalibrationWarning("latency", text)


def _unknowns(system: System, demand: Demand) -> tuple[dict[str, Any], ...]:
    delay = system.network.up.mean + system.network.down.mean
    found = [
        ("work", demand.mean, demand.error),
        ("cores", float(system.cpu.cores), 0.0),
        ("run_to_run", math.exp(demand.moves), 0.0),
    ]
    found += [("delay", delay, 0.0)] if delay > 0 else []
    found += [("quantum", system.cpu.quantum, 0.0)] if system.cpu.quantum else []
    return tuple({"name": name, "value": value, "deviation": deviation}
                 for name, value, deviation in found)  # fmt: skip
