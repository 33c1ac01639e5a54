"""Calibrate the default systems `polling` and `push` on measurements of a live server.

``python examples/fit_default_systems.py [--output-dir models]`` reads ``measurements/``, writes
``polling.toml`` and ``push.toml``, and prints the live runs beside simulated ones.

The cost of an operation has three parts, each from the measurement that can tell it:

- its shape, from a fit to isolated samples, scaled to the mean that follows;
- its base, of a busy server: the cost of one connection in a closed loop, times a factor that is
  common to all operations;
- its excess after an idle gap, f(gap) = a ln(1 + gap / g).

The factor, a and g are one least-squares fit to the processor time of whole live runs at low and
middling load, to the load at which the live server saturated, and, with less weight, to the costs
of single operations after a long gap.
"""

from __future__ import annotations

import argparse
import functools
import math
import textwrap
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from attrs import evolve, frozen
from scipy.optimize import least_squares

from lhsim import parameters
from lhsim.distributions import (
    Candidate,
    Deterministic,
    Distribution,
    Exponential,
    Lognormal,
    Mixture,
    Scaled,
    Shifted,
    Uniform,
    fit,
)
from lhsim.distributions.base import ZERO
from lhsim.models.cpu import Cpu, Stalls, Warmth
from lhsim.models.memory import Memory
from lhsim.models.network import Network
from lhsim.models.polling import PollingServer
from lhsim.models.push import PushServer
from lhsim.models.store import EventStore
from lhsim.models.system import Calibration, Provenance, System
from lhsim.models.workload import Poisson, Workload
from lhsim.simulation import Result, simulate

MEASUREMENTS = Path(__file__).parent / "measurements"
MODELS = Path(__file__).parent.parent / "models"

POLLING_KNEE = (1000.0, 1100.0)  # saturation as observed [messages/s, and agents]
PUSH_KNEE = (2500.0, 3000.0)  # likewise, without a store [messages/s]
CPU_ERROR = 0.05  # of a live run's processor time, relative; it moved by 0-10 %
COST_ERROR = 0.15  # of the cost of a single operation after a long gap, relative
MEMORY = 1.5e-3  # tau, the work that halves the excess; assumed, not fitted [s]
LONGEST_GAP = 30e-3  # beyond it f is flat: the measurements of operations end there [s]
CHECKPOINT = 1e-3  # an insert that takes longer waited for a checkpoint [s]

# Spin probes saw 7-17 stalls of more than 1 ms a second, up to 55 ms: 12 a second, and one in a
# thousand of them beyond 45 ms.
STALLS = Stalls(
    gap=Exponential(1 / 12), length=Shifted(Lognormal(median=0.8e-3, sigma=1.3), by=1e-3)
)


SAMPLES = 40  # of the parameters, for their uncertainty
SAMPLES_SEED = 1
# What is resampled for a parameter.
POLLING_SAMPLES = {
    "cpu.parse_message*": "roundtrip_store",
    "cpu.acknowledge*": "roundtrip_store",
    "cpu.parse_request*": "roundtrip_wait_hit",
    "cpu.respond*": "roundtrip_wait_hit",
    "cpu.query*": "thread_hop",
    "cpu.write*": "insert",
    "network.up*": "roundtrip_wait_hit",
    "network.down*": "roundtrip_wait_hit",
}
PUSH_SAMPLES = {
    "cpu.parse_message*": "roundtrip_wait_hit",
    "cpu.send*": "roundtrip_wait_hit",
    "cpu.acknowledge*": "roundtrip_wait_hit",
    "cpu.validate*": "schema_validate",
    "cpu.write*": "insert",
    "network.up*": "roundtrip_wait_hit",
    "network.down*": "roundtrip_wait_hit",
}


@frozen
class Point:
    """What is fitted to one architecture."""

    scale: float  # base costs over those of one saturated connection
    a: float  # of f
    gap: float  # g of f [s]


@frozen
class Load:
    """A live run to be repeated."""

    runs: str  # of live_runs.csv: the part of their names before the number of the repetition
    agents: int
    rate: float  # of an agent [messages/s]
    duration: float  # of the simulation [s]


POLLING_LOADS = (
    Load("P10", 10, 1.0, 300.0),
    Load("P50", 50, 1.0, 60.0),
    Load("P200", 200, 1.0, 20.0),
)
PUSH_LOADS = (
    Load("W100", 50, 2.0, 60.0),
    Load("W500", 500, 1.0, 16.0),
    Load("W1000", 500, 2.0, 10.0),
    Load("C5000", 5000, 0.1, 16.0),
)


# --- measurements --------------------------------------------------------------------------------


@functools.cache
def samples(component: str) -> np.ndarray:
    """Return the isolated samples of a component [s]."""
    table = pd.read_csv(MEASUREMENTS / "service_times.csv.gz")
    return table.loc[table["component"] == component, "seconds"].to_numpy()


@functools.cache
def shape(component: str) -> Candidate:
    """Return the family that is nearest to held-out samples of a component.

    The empirical distribution is left out, though it is often nearer: 64 points for each cost
    would bury the file, and the mean is replaced anyway.
    """
    candidates = [c for c in fit(samples(component)).candidates if c.family != "empirical"]
    return min(candidates, key=lambda candidate: candidate.ks)


def shaped(component: str, mean: float) -> Distribution:
    """Return a cost with the shape of a component and a mean [s]."""
    distribution = shape(component).distribution
    return Scaled(distribution, mean / distribution.mean)


@functools.cache
def operation_cost(operation: str, connections: int = 1, idle_gap: float = 0.0) -> float:
    """Return the measured processor time of an operation [s]."""
    table = pd.read_csv(MEASUREMENTS / "operation_costs.csv")
    gap_ms = round(idle_gap * 1e3)  # noqa: F841 - the query names it
    row = table.query(
        "operation == @operation and connections == @connections and idle_gap_ms == @gap_ms"
    )
    return float(row["server_cpu_us"].iloc[0]) * 1e-6


@functools.cache
def live(runs: str) -> pd.DataFrame:
    """Return the repetitions of a live run."""
    table = pd.read_csv(MEASUREMENTS / "live_runs.csv")
    return table[table["run"].str.split("_").str[0] == runs]


# --- systems -------------------------------------------------------------------------------------


def warmth(point: Point) -> Warmth:
    """Return the table of f, at gaps in geometric progression."""
    gaps = [0.0, *np.geomspace(20e-6, LONGEST_GAP, 12).tolist()]
    excess = [point.a * math.log1p(gap / point.gap) for gap in gaps]
    return Warmth(tuple(gaps), tuple(excess), MEMORY)


def write_cost() -> float:
    """Return the processor's part of a write on one connection [s].

    A write takes the way of a query, to the executor thread and back, with an insert at its end.
    """
    query = operation_cost("wasted_poll") - samples("query_miss").mean()
    insert = samples("insert")
    return float(query + insert[insert <= CHECKPOINT].mean())


def write_wait() -> Distribution:
    """Return what a write waits beyond its processor time: now and then for a checkpoint [s]."""
    insert = samples("insert")
    waits = insert[insert > CHECKPOINT] - np.median(insert)
    weights = (len(insert) - len(waits), len(waits))
    return Mixture(weights, (Deterministic(0.0), Uniform(waits.min(), waits.max())))


def network() -> Network:
    """Return half of what a round trip takes beyond the server's processor, each way."""
    one_way = float(samples("roundtrip_wait_hit").mean() - operation_cost("wait_hit")) / 2
    return Network(up=Deterministic(one_way), down=Deterministic(one_way))


def polling_system(point: Point) -> System:
    """Return the polling server at a point."""
    query = operation_cost("wasted_poll")
    half_request = (operation_cost("wait_hit") - query) / 2
    half_message = (operation_cost("store") - write_cost()) / 2
    return System(
        name="polling",
        description="Long-polling with a sleep of 1 s, as measured on one live server.",
        workload=Workload(traffic=Poisson(0.1)),
        network=network(),
        cpu=Cpu(
            parse_message=shaped("roundtrip_store", half_message * point.scale),
            parse_request=shaped("roundtrip_wait_hit", half_request * point.scale),
            write=shaped("thread_hop", write_cost() * point.scale),
            query=shaped("thread_hop", query * point.scale),
            respond=shaped("roundtrip_wait_hit", half_request * point.scale),
            acknowledge=shaped("roundtrip_store", half_message * point.scale),
            warmth=warmth(point),
            stalls=STALLS,
        ),
        store=EventStore(write=write_wait(), connections=1),
        polling=PollingServer(),
        memory=Memory(baseline=40e6, per_agent=10e3, per_connection=20e3),
    )


def relay_system(point: Point) -> System:
    """Return the push server of the live runs at a point: it stored nothing."""
    validate = float(samples("schema_validate").mean())
    third = (operation_cost("websocket_relay") - validate) / 3
    frame = shaped("roundtrip_wait_hit", third * point.scale)
    return System(
        name="push",
        description="Event push over WebSocket with a stored log, as measured on one live server.",
        workload=Workload(traffic=Poisson(0.1)),
        network=network(),
        cpu=Cpu(
            parse_message=frame,
            validate=shaped("schema_validate", validate * point.scale),
            acknowledge=frame,
            send=frame,
            connect=Uniform(0.6e-3, 1.5e-3),
            warmth=warmth(point),
            stalls=STALLS,
        ),
        push=PushServer(),
        memory=Memory(baseline=40e6, per_connection=25e3),
    )


def with_store(relay: System, polling: System) -> System:
    """Return the push server with the event store of the polling server."""
    return evolve(relay, cpu=evolve(relay.cpu, write=polling.cpu.write), store=polling.store)


def without_store(push: System) -> System:
    """Return the push server as it ran live."""
    return evolve(push, cpu=evolve(push.cpu, write=ZERO), store=EventStore())


# --- calibration ---------------------------------------------------------------------------------


def stalled() -> float:
    """Return the part of the time in which the host stalls."""
    return STALLS.length.mean / (STALLS.length.mean + STALLS.gap.mean)


def knee(system: System) -> float:
    """Return the messages per second, 1 of each agent, at which the processor saturates.

    It is warm then, so base costs count. In each second an agent stores a message; where it polls,
    it looks in vain once, and finds messages with the probability that a Poisson number is not 0.
    """
    cpu = system.cpu
    message = (cpu.parse_message, cpu.validate, cpu.write, cpu.send, cpu.acknowledge)
    cost = sum(part.mean for part in message)
    if system.polling:
        hits = -math.expm1(-1.0)
        cost += cpu.query.mean
        cost += hits * (cpu.parse_request.mean + cpu.query.mean + cpu.respond.mean)
    return (1 - stalled()) / cost


def operations(system: System) -> dict[str, tuple[Distribution, ...]]:
    """Return the base costs of the operations of operation_costs.csv."""
    cpu = system.cpu
    if system.push:
        parts = (cpu.parse_message, cpu.validate, cpu.send, cpu.acknowledge)
        return {"websocket_relay": parts}
    return {
        "store": (cpu.parse_message, cpu.write, cpu.acknowledge),
        "wait_hit": (cpu.parse_request, cpu.query, cpu.respond),
        "wasted_poll": (cpu.query,),
    }


def cost_after(gap: float, system: System, operation: str) -> float:
    """Return what an operation costs after an idle gap, both in [s]."""
    warm = system.cpu.warmth
    assert warm is not None
    excess = float(np.interp(gap, warm.gaps, warm.excess))
    total = 0.0
    for base in operations(system)[operation]:
        cost = base.mean * (1 + excess)
        excess /= 1 + cost / warm.memory
        total += cost
    return total


def run(system: System, load: Load, seed: int) -> Result:
    """Repeat a live run, with all agents connected before."""
    system = evolve(
        system,
        workload=Workload(traffic=Poisson(load.rate)),
        cpu=evolve(system.cpu, connect=ZERO),
        calibration=None,
    )
    return simulate(
        system,
        agents=load.agents,
        duration=load.duration,
        seed=seed,
        warmup=min(1.0, load.duration / 4) + load.duration / 10,  # all agents have started
        drain=min(5.0, load.duration / 10),
        keep_messages=True,
    )


def processor_time(result: Result) -> float:
    """Return the processor's time per second."""
    return result.metrics.cpu_utilization_percent / 100


def errors(
    system: System, loads: Iterable[Load], observed_knee: tuple[float, float]
) -> list[float]:
    """Return by how many of their errors the live figures are missed."""
    low, high = observed_knee
    middle = math.sqrt(low * high)
    missed = [
        math.log(processor_time(run(system, load, seed=1)) / live(load.runs)["server_cpu"].mean())
        for load in loads
    ]
    idle = [
        math.log(cost_after(LONGEST_GAP, system, name) / operation_cost(name, 1, LONGEST_GAP))
        for name in operations(system)
    ]
    return [
        *(miss / CPU_ERROR for miss in missed),
        *(miss / COST_ERROR for miss in idle),
        math.log(knee(system) / middle) / math.log(high / middle),
    ]


def calibrate(
    build: Callable[[Point], System], loads: Iterable[Load], observed_knee: tuple[float, float]
) -> tuple[Point, np.ndarray]:
    """Return the point at which the simulated figures are nearest to the live ones.

    And the covariance of the logarithms of its parts, in their order: the inverse of J'J, with the
    Jacobian J of the misfits, which are in units of their errors (Gauss and Newton).
    """

    def missed(logs: np.ndarray) -> list[float]:
        return errors(build(Point(*np.exp(logs).tolist())), loads, observed_knee)

    start = np.log([0.85, 1.0, 2e-3])
    found = least_squares(missed, start, diff_step=[0.05] * 3, xtol=5e-3, ftol=2e-3, max_nfev=12)
    point = Point(*(float(f"{value:.3g}") for value in np.exp(found.x)))
    jacobian = np.asarray(found.jac)
    return point, np.linalg.inv(jacobian.T @ jacobian)


def calibrated_systems() -> tuple[System, System, dict[str, Point]]:
    """Return the two systems, with their calibration, and the points that were found."""
    polling_point, polling_covariance = calibrate(polling_system, POLLING_LOADS, POLLING_KNEE)
    push_point, push_covariance = calibrate(relay_system, PUSH_LOADS, PUSH_KNEE)
    polling = polling_system(polling_point)
    push = with_store(relay_system(push_point), polling)
    polling = evolve(polling, calibration=polling_calibration(polling_point))
    push = evolve(push, calibration=push_calibration(push_point))
    polling = with_samples(polling, polling_point, polling_covariance, POLLING_SAMPLES)
    push = with_samples(push, push_point, push_covariance, PUSH_SAMPLES)
    points = {"polling": polling_point, "push": push_point}
    return rounded(polling), rounded(push), points


def rounded(system: System) -> System:
    """Return the system with four significant digits of each number."""

    def rounded_value(value: object) -> object:
        if isinstance(value, float):
            return float(f"{value:.4g}")
        if isinstance(value, dict):
            return {key: rounded_value(item) for key, item in value.items()}
        return [rounded_value(item) for item in value] if isinstance(value, list) else value

    table = {
        key: rounded_value(item) for key, item in tomllib.loads(parameters.dumps(system)).items()
    }
    return parameters.structure(table, System, source=system.name)


# --- uncertainty of the parameters ---------------------------------------------------------------


def with_samples(
    system: System, point: Point, covariance: np.ndarray, means: Mapping[str, str]
) -> System:
    """Return the system with joint samples of its parameters, as factors of what they are.

    One sample is a point of the fit, drawn from the normal distribution of its logarithms, and a
    bootstrap of measurements: each component is resampled, for all parameters that rest on it.
    The cost of an operation is published as one figure, without those that it is the mean of; the
    samples of the component that gives it its shape stand in for them. Shapes stay as they are.
    """
    generator = np.random.Generator(np.random.Philox(SAMPLES_SEED))
    base = np.log([point.scale, point.a, point.gap])
    columns: dict[str, list[float]] = {}
    for _ in range(SAMPLES):
        scale, a, gap = np.exp(generator.multivariate_normal(base, covariance) - base)
        for component in dict.fromkeys(means.values()):
            values = samples(component)
            again = generator.choice(values, len(values)).mean() / values.mean()
            for path in (path for path, name in means.items() if name == component):
                factor = again if path.startswith("network") else scale * again
                columns.setdefault(path, []).append(factor)
        columns.setdefault("cpu.warmth.excess*", []).append(a * excess_ratio(point, gap))
    drawn = {path: tuple(float(f"{f:.4g}") for f in column) for path, column in columns.items()}
    assert system.calibration is not None
    return evolve(system, calibration=evolve(system.calibration, samples=drawn))


def excess_ratio(point: Point, gap: float) -> float:
    """Return by which factor f at the longest gap changes when g is `gap` times as long."""
    changed = math.log1p(LONGEST_GAP / (point.gap * gap))
    return changed / math.log1p(LONGEST_GAP / point.gap)


# --- provenance ----------------------------------------------------------------------------------

SOURCE = "examples/measurements, by examples/fit_default_systems.py"
HOST = (
    "2-core KVM virtual machine, Python 3.11, uvicorn with httptools on asyncio, SQLite in WAL "
    "mode with synchronous=NORMAL on one executor thread; server and driver pinned to one core "
    "each, loopback"
)
DATE = "2026-11-23 (of the fit; that of the measurements is not recorded)"


def from_shape(component: str, mean: str) -> Provenance:
    """Return the provenance of a cost with the shape of a component."""
    candidate = shape(component)
    fitted = f"shape: {component}, {candidate.family}, held-out KS {candidate.ks:.3f}"
    return Provenance(mean, len(samples(component)), fitted)


def common_provenance(point: Point, loads: Iterable[Load]) -> dict[str, Provenance]:
    """Return the provenance of what both systems have."""
    runs = sum(len(live(load.runs)) for load in loads)
    inserts = samples("insert")
    slow = int((inserts > CHECKPOINT).sum())
    one_way = "half of: mean of roundtrip_wait_hit less wait_hit's processor time at 1 connection"
    return {
        "network.up": Provenance(one_way, len(samples("roundtrip_wait_hit"))),
        "network.down": Provenance(one_way, len(samples("roundtrip_wait_hit"))),
        "cpu.warmth": Provenance(
            "live server_cpu, observed saturation, operations after 30 ms; memory: assumed",
            runs,
            f"{point.a:g} ln(1 + gap / {point.gap * 1e3:g} ms), least squares",
        ),
        "cpu.stalls": Provenance(
            "spin probe: 7-17 stalls/s of > 1 ms, up to 55 ms; the shape between is assumed"
        ),
        "store.write": Provenance(
            "the wait of inserts of more than 1 ms, beyond the median",
            len(inserts),
            f"{slow} of them, uniform over their range",
        ),
        "store.query": Provenance("none: queries of an indexed log wait for nothing"),
        "memory.baseline": Provenance("assumed: a uvicorn process with its imports"),
    }


def polling_calibration(point: Point) -> Calibration:
    """Return what the polling system was calibrated on."""
    factor = f"times {point.scale:g}"
    half = f"half of store's cost less write's, {factor}"
    half_request = f"half of wait_hit's cost less wasted_poll's, {factor}"
    return Calibration(
        source=SOURCE,
        host=HOST,
        date=DATE,
        agents=(10.0, 1100.0),
        messages_per_second=(10.0, 1100.0),
        parameters={
            "cpu.parse_message": from_shape("roundtrip_store", half),
            "cpu.acknowledge": from_shape("roundtrip_store", half),
            "cpu.parse_request": from_shape("roundtrip_wait_hit", half_request),
            "cpu.respond": from_shape("roundtrip_wait_hit", half_request),
            "cpu.query": from_shape("thread_hop", f"wasted_poll's cost, {factor}"),
            "cpu.write": from_shape(
                "thread_hop", f"wasted_poll's cost with insert for query_miss, {factor}"
            ),
            **common_provenance(point, POLLING_LOADS),
            "memory.per_agent": Provenance("measured: an idle polling agent"),
            "memory.per_connection": Provenance("measured: what it takes more while it waits"),
            "polling": Provenance("the original's constants: 1 s, 60 s, 10 messages"),
        },
    )


def push_calibration(point: Point) -> Calibration:
    """Return what the push system was calibrated on."""
    factor = f"times {point.scale:g}"
    third = f"a third of websocket_relay's cost less schema_validate's, {factor}"
    return Calibration(
        source=SOURCE,
        host=HOST,
        date=DATE,
        agents=(50.0, 5000.0),
        messages_per_second=(100.0, 1000.0),
        parameters={
            "cpu.parse_message": from_shape("roundtrip_wait_hit", third),
            "cpu.send": from_shape("roundtrip_wait_hit", third),
            "cpu.acknowledge": from_shape("roundtrip_wait_hit", third),
            "cpu.validate": from_shape("schema_validate", f"mean of the samples, {factor}"),
            "cpu.write": Provenance(
                "that of polling: the live push runs stored nothing, the protocol stores each "
                "message; cpu.write=0 and store.write=0 give the server that was measured"
            ),
            "cpu.connect": Provenance("measured range of an accept, 0.6-1.5 ms; uniform: assumed"),
            **common_provenance(point, PUSH_LOADS),
            "memory.per_connection": Provenance("measured: 5000 WebSocket connections"),
        },
    )


# --- report --------------------------------------------------------------------------------------


def store_round_trip(result: Result, system: System) -> pd.Series:
    """Return p50 and p99 of the time from sending a message to its acknowledgement [ms].

    The records end when it is stored. The acknowledgement is added by its mean cost.
    """
    messages = result.messages
    assert messages is not None
    stored = (messages["stored"] - messages["created"]).dropna()
    answer = system.cpu.acknowledge.mean + system.network.down.mean
    return (stored.quantile([0.5, 0.99]) + answer) * 1e3


def simulated_row(system: System, load: Load) -> dict[str, float]:
    """Return the simulated figures of a run, by the columns of live_runs.csv.

    The seed is not that of the calibration, which would flatter.
    """
    result = run(system, load, seed=2)
    metrics = result.metrics
    window = result.horizon - result.warmup
    row = {
        "server_cpu": processor_time(result),
        "p50_ms": metrics.p50_latency_ms,
        "p95_ms": metrics.p95_latency_ms,
        "p99_ms": metrics.p99_latency_ms,
        "max_ms": metrics.max_latency_ms,
    }
    if system.polling:
        trip = store_round_trip(result, system)
        row |= {
            "polls_per_s": metrics.polling_cycles_total / window,
            "wasted_polls_per_s": metrics.wasted_poll_cycles / window,
            "store_rtt_p50_ms": trip[0.5],
            "store_rtt_p99_ms": trip[0.99],
        }
    return row


def significant(value: float) -> str:
    """Return a number with three significant digits."""
    return f"{float(f'{value:.3g}'):g}"


def live_against_simulated(system: System, loads: Iterable[Load]) -> str:
    """Return a table of live and simulated figures, as Markdown."""
    lines: list[str] = []
    for load in loads:
        row = simulated_row(system, load)
        if not lines:
            lines += [f"| run | {' | '.join(row)} |", "|---" * (len(row) + 1) + "|"]
        runs = live(load.runs)
        measured = [" / ".join(significant(value) for value in runs[name]) for name in row]
        lines.append(f"| {load.runs} live | {' | '.join(measured)} |")
        simulated = [significant(value) for value in row.values()]
        lines.append(f"| {load.runs} simulated | {' | '.join(simulated)} |")
    return "\n".join(lines)


def idle_costs(system: System) -> str:
    """Return measured and modelled costs of single operations after idle gaps, as Markdown."""
    lines = ["| operation | idle gap [ms] | measured [us] | model [us] |", "|---|---|---|---|"]
    for name in operations(system):
        for gap in (LONGEST_GAP, 4e-3):
            measured = operation_cost(name, idle_gap=gap) * 1e6
            modelled = cost_after(gap, system, name) * 1e6
            lines.append(f"| {name} | {gap * 1e3:g} | {measured:.0f} | {modelled:.0f} |")
    return "\n".join(lines)


def saturation(system: System, rates: Iterable[int], rate: float) -> str:
    """Return the utilisation at so many messages/s, as Markdown; `rate` is that of an agent."""
    lines = ["| messages/s | utilisation | p50_ms | p99_ms |", "|---|---|---|---|"]
    for total in rates:
        result = run(system, Load("", round(total / rate), rate, 12.0), seed=2)
        latency = result.metrics
        lines.append(
            f"| {total} | {result.utilization['cpu']:.3f} "
            f"| {significant(latency.p50_latency_ms)} | {significant(latency.p99_latency_ms)} |"
        )
    return "\n".join(lines)


def report(polling: System, push: System) -> str:
    """Return all tables."""
    relay = without_store(push)
    return "\n\n".join(
        (
            "Polling, live against simulated:",
            live_against_simulated(polling, POLLING_LOADS),
            f"Polling, saturation (base costs: {knee(polling):.0f} messages/s):",
            saturation(polling, (500, 900, 1000, 1050, 1100, 1200), 1.0),
            "Polling, single operations after idle gaps (those of 4 ms are not fitted):",
            idle_costs(polling),
            "Push without a store, live against simulated:",
            live_against_simulated(relay, PUSH_LOADS),
            f"Push without a store, saturation (base costs: {knee(relay):.0f} messages/s):",
            saturation(relay, (2000, 2500, 3000), 2.0),
            "Push, single operations after idle gaps (those of 4 ms are not fitted):",
            idle_costs(relay),
            f"Push, saturation (base costs: {knee(push):.0f} messages/s):",
            saturation(push, (1000, 1500, 2000), 2.0),
        )
    )


def wrapped_samples(found: Mapping[str, tuple[float, ...]]) -> str:
    """Return the samples of the parameters as TOML, many numbers to a line."""
    lines = [
        "\n# The k-th numbers of all lists belong together; a star: factors of what stands above.",
        "[calibration.samples]",
    ]
    for path, numbers in found.items():
        text = ", ".join(f"{number!r}" for number in numbers)
        lines += [f'"{path}" = [', *(f"    {line}" for line in textwrap.wrap(text, 90)), "]"]
    return "\n".join(lines) + "\n"


def write(system: System, directory: Path) -> None:
    """Write the file of a system."""
    note = "# Written by examples/fit_default_systems.py: change that, not this file.\n\n"
    calibration = system.calibration
    assert calibration is not None
    plain = evolve(system, calibration=evolve(calibration, samples={}))
    text = note + parameters.dumps(plain) + wrapped_samples(calibration.samples)
    (directory / f"{system.name}.toml").write_text(text, encoding="utf-8")


def main() -> None:
    """Calibrate, write and report."""
    parser = argparse.ArgumentParser(description="Calibrate the default systems.")
    parser.add_argument("--output-dir", type=Path, default=MODELS)
    directory = parser.parse_args().output_dir
    polling, push, points = calibrated_systems()
    for system in (polling, push):
        write(system, directory)
    print("\n".join(f"{name}: {point}" for name, point in points.items()), end="\n\n")
    print(report(polling, push))


if __name__ == "__main__":
    main()
