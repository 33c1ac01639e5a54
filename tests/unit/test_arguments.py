"""The Python API and the command line refuse the same mistakes in the same words.

Each public function has a table of good arguments; every one of them is replaced by each of the
values that no argument can be. What is refused is one line that names the argument.
"""

from __future__ import annotations

import decimal
import fractions
import itertools
import math
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from attrs import evolve

import lhsim
from lhsim import checks, cli, distributions, testing, theory
from lhsim.analysis import comparison, intervals, recovery
from lhsim.calibration import calibrate
from lhsim.calibration.blackbox import from_logs
from lhsim.crosscheck import crosscheck
from lhsim.errors import InputError
from lhsim.experiments.sweep import sweep
from lhsim.planning import ScaleOut, decision, scaled_out, screening
from lhsim.planning.search import ask as ask_capacity
from lhsim.recording import Recording
from lhsim.replay import replay

NEVER = [
    *(True, np.bool_(True), "abc", "5 parsecs", "-5s", "x\ny", "\0", "a" * 10_000),
    *(-1, np.int64(-3), math.nan, math.inf, -math.inf, 10**400, -(10**400)),
    *([None], {"a": 1}, object(), b"x", np.array(5), np.array([[1, 2], [3, 4]])),
    *(decimal.Decimal("1.5"), pd.NaT, pd.Timestamp(0), Path("/nowhere"), ["a", "a"]),
]
POLLING, PUSH = lhsim.load_system("polling"), lhsim.load_system("push")
SIMPY = {"system": PUSH, "agents": 2, "duration": 0.01, "engine": "simpy"}
EXPONENTIAL = distributions.Exponential(1.0)

FUNCTIONS = {
    "simulate": (
        lhsim.simulate,
        SIMPY
        | {"seed": 1, "warmup": 0.001, "drain": 0.001, "samples": 5}
        | {"stop_when_overloaded": False, "keep_messages": False},
    ),
    "sweep": (
        sweep,
        {"systems": PUSH, "agents": 2, "replications": 1, "seed": 1, "duration": 0.01}
        | {"messages": 10, "min_duration": 0.01, "max_events": 1000, "precision": None}
        | {"max_replications": None, "agents_per_server": None, "executor": "serial"}
        | {"jobs": 1, "scheduler": None, "engine": "simpy", "fail_fast": False, "on_done": None},
    ),
    "load_system": (lhsim.load_system, {"name_or_path": "push", "settings": []}),
    "capacity": (
        ask_capacity,
        {"system": PUSH, "slo": "p99<1s", "vary": "agents", "agents": None, "check": None}
        | {"most": 10, "seed": 1, "confidence": 0.9, "engine": "simpy"},
    ),
    "capacity of a parameter": (
        ask_capacity,
        {"system": POLLING, "slo": "p99<1s", "vary": "polling.interval", "agents": 10}
        | {"check": 1.0, "most": 10, "seed": 1, "confidence": 0.9, "engine": "simpy"},
    ),
    "sensitivity": (
        screening.ask,
        {"system": PUSH, "agents": 2, "metrics": "p99", "ranges": (), "trajectories": 2}
        | {"seed": 1, "engine": "simpy"},
    ),
    "decide": (
        decision.ask,
        {"slo": "p99<1s", "agents": 10, "growth": "8%/month", "systems": [PUSH]}
        | {"server_cost": 5.0, "currency": "EUR", "horizon": 3, "start": "2027-01-01"}
        | {"confidence": 0.9, "seed": 1, "engine": "simpy"},
    ),
    "scaled_out": (lambda servers: scaled_out(PUSH, servers), {"servers": 2}),
    "ScaleOut": (ScaleOut, {"agents_per_server": 2}),
    "crosscheck": (
        crosscheck,
        {"system": PUSH, "runs": [1], "runs_simulated": 5, "confidence": 0.9, "seed": 1}
        | {"executor": None, "on_step": None},
    ),
    "calibrate": (
        calibrate,
        {"runs": [1], "template": None, "name": "x", "executor": None, "on_step": None},
    ),
    "from_logs": (from_logs, {"logs": [1], "template": None, "name": "x", "executor": None}),
    "replay": (replay, {"system": PUSH, "manifest": 1}),
    "Recording.read": (Recording.read, {"folder": "x"}),
    "check_server": (
        testing.check_server,
        {"server": PUSH, "agents": 2, "rate": 0.5, "duration": 5.0, "seed": 1},
    ),
    "check_distribution": (testing.check_distribution, {"distribution": EXPONENTIAL}),
    "erlang_c": (theory.erlang_c, {"servers": 2, "offered_load": 1.0}),
    "MMc": (theory.MMc, {"arrival_rate": 1.0, "service_time": 0.5, "servers": 2}),
    "MHyper1": (
        theory.MHyper1,
        {"arrival_rate": 1.0, "weights": (0.5, 0.5), "means": (0.1, 0.2)},
    ),
    "ClosedNetwork": (theory.ClosedNetwork, {"think_time": 1.0, "demands": (0.1, 0.2)}),
    "engset": (theory.engset, {"servers": 2, "sources": 3, "load_per_idle_source": 0.5}),
    "batching_lag": (
        theory.batching_lag,
        {"arrival_rate": 1.0, "linger": 1.0, "batch_size": 3},
    ),
    "Erlang": (distributions.Erlang, {"mean": 1.0, "stages": 2}),
    "Mixture": (
        distributions.Mixture,
        {"weights": (1, 1), "components": (EXPONENTIAL, EXPONENTIAL)},
    ),
    "Empirical": (distributions.Empirical, {"samples": (1.0, 2.0)}),
    "Quantiles": (distributions.Quantiles, {"probabilities": (0.0, 1.0), "values": (1.0, 2.0)}),
    "Scipy": (distributions.Scipy, {"distribution": "gamma", "parameters": {"a": 1.0}}),
    "quantile": (EXPONENTIAL.quantile, {"u": 0.5}),
    "fit": (
        distributions.fit,
        {"samples": np.arange(1.0, 31.0), "families": ["exponential"], "seed": 0},
    ),
    "estimate": (intervals.estimate, {"values": [1, 2, 3], "confidence": 0.9}),
    "compare": (comparison.compare, {"a": [1, 2], "b": [1, 3], "confidence": 0.9}),
    "band": (recovery.band, {"values": [1, 2, 3], "confidence": 0.9}),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_whatever_an_argument_is_it_is_used_or_refused_in_one_short_line(name):
    function, good = FUNCTIONS[name]
    refused = 0
    for key, bad in itertools.product(good, NEVER):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                function(**{**good, key: bad})
            except InputError as error:
                refused += 1
                line = str(error)
                assert "\n" not in line, (key, bad)
                assert len(line) < 1000, (key, len(line))
            except testing.ContractError:
                assert name.startswith("check_")
    assert refused >= len(NEVER) / 2


ONE_OF = {
    "agents": [0, -5, True, 2.5, "20", math.nan, None, 2.0, 2**63],
    "seed": [-1, 2**63, 1.0, "1", None, True],
    "samples": [0, 1.5, 10**9],
    "duration": [0, -1, math.nan, math.inf, "60", "5 parsecs", "0s", True, 1e300],
    "warmup": [-1, "soon", math.inf],
    "engine": ["numba", 5, None],
    "keep_messages": ["yes", 1, None],
    "system": ["poling", 5, None, ["push"]],
}


@pytest.mark.parametrize(
    ("key", "bad"), [(key, bad) for key, some in ONE_OF.items() for bad in some]
)
def test_simulate_names_the_argument_and_what_is_allowed(key, bad):
    with pytest.raises(InputError) as caught:
        lhsim.simulate(**{**SIMPY, key: bad})
    where = {"poling": None}.get(bad if isinstance(bad, str) else "", key)
    assert caught.value.key == where
    assert caught.value.allowed


OF_A_SWEEP = {
    "agents": [0, [], [20, 20, 20], [10, 0], [[10]], "10", {10: 1}, itertools.count(1), [2.5]],
    "replications": [0, -1, True, 2.5, "3", 10**9],
    "jobs": [0, -1, True, math.nan, "2", 10**9],
    "messages": [0, -1, 2.5],
    "min_duration": [0, "20", -1],
    "duration": [0, "60"],
    "max_events": [0, "many"],
    "agents_per_server": [0, 1.5],
    "max_replications": [5],
    "precision": [["p99"], "p99", {"p99": 5}],
    "folder": [5],
    "fail_fast": ["no"],
    "on_done": [5],
    "seed": [-1],
    "systems": [[]],
}


@pytest.mark.parametrize(
    ("key", "bad"), [(key, bad) for key, some in OF_A_SWEEP.items() for bad in some]
)
def test_sweep_names_the_argument_and_what_is_allowed(key, bad):
    good = {"systems": "push", "agents": [2], "duration": 0.01, "engine": "simpy"}
    with pytest.raises(InputError) as caught:
        sweep(**{**good, key: bad})
    assert caught.value.key == key
    assert caught.value.allowed


@pytest.mark.parametrize(
    "agents",
    [
        4, np.int64(4), [4], (4,), {4}, range(4, 5), np.array([4]), pd.Series([4]), iter([4]),
        [np.int32(4)], (count for count in [4]),
    ],
)  # fmt: skip
def test_agents_of_a_sweep_may_be_one_number_or_any_iterable(agents):
    found = sweep("push", agents, replications=1, duration="500ms", engine="simpy")
    assert [run.agents for run in found.results] == [4]
    assert [type(run.agents) for run in found.results] == [int]


def test_numpys_numbers_give_the_run_of_pythons():
    plain = lhsim.simulate("push", agents=20, duration=5.0, seed=3, engine="simpy", samples=10)
    other = lhsim.simulate(
        "push",
        agents=np.int64(20),
        duration=np.float32(5.0),
        seed=np.uint8(3),
        engine=np.str_("simpy"),
        samples=np.int16(10),
        keep_messages=np.bool_(False),
    )
    assert other.metrics == plain.metrics
    assert (type(other.agents), type(other.seed), type(other.duration)) == (int, int, float)


def test_numpys_numbers_in_a_description_are_pythons():
    cpu = evolve(PUSH.cpu, workers=np.int64(3))
    assert (cpu, type(cpu.workers)) == (evolve(PUSH.cpu, workers=3), int)
    polling = lhsim.load_system("polling").polling
    changed = evolve(polling, interval=np.float32(0.5), jitter=np.float64(0.5))
    assert (type(changed.interval), type(changed.jitter)) == (float, float)
    assert changed == evolve(polling, interval=0.5, jitter=0.5)


def test_a_required_field_cannot_be_missing_and_an_optional_one_can():
    polling = lhsim.load_system("polling").polling
    with pytest.raises(InputError, match="interval: None is not a number"):
        evolve(polling, interval=None)
    assert evolve(polling, connections=None).connections is None


@pytest.mark.parametrize("duration", [90, 90.0, "90s", "1.5 min", "90000 ms", np.int8(90)])
def test_a_duration_is_a_number_of_seconds_or_a_text_with_a_unit(duration):
    assert checks.duration(duration, "duration") == 90.0


SETTINGS = [
    "polling.interval=50ms",
    ["polling.interval=50ms"],
    iter(["polling.interval=50ms"]),
    {"polling.interval": "50ms"},
    {"polling.interval": 0.05},
    {"polling.interval": np.float64(0.05)},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_settings_are_a_text_several_or_a_mapping(settings):
    system = lhsim.load_system("polling", settings)
    assert system.polling.interval == 0.05
    assert type(system.polling.interval) is float


def test_a_setting_of_a_mapping_may_be_a_description():
    wanted = distributions.Lognormal(0.001, 0.5)
    assert lhsim.load_system("push", {"cpu.send": wanted}).cpu.send == wanted


# A mistake, as it is written for Python and for the command line.
MISTAKES = [
    ({"agents": 0}, ["--agents", "0"]),
    ({"agents": [20, 20, 20]}, ["--agents", "20,20,20"]),
    ({"replications": 0}, ["--replications", "0"]),
    ({"replications": 10**9}, ["--replications", str(10**9)]),
    ({"jobs": 0}, ["--jobs", "0"]),
    ({"jobs": 10**9}, ["--jobs", str(10**9)]),
    ({"seed": -1}, ["--seed", "-1"]),
    ({"seed": 2**63}, ["--seed", str(2**63)]),
    ({"max_events": 0}, ["--max-events", "0"]),
    ({"duration": "5 parsecs"}, ["--duration", "5 parsecs"]),
    ({"agents_per_server": 0}, ["--agents-per-server", "0"]),
    ({"precision": {"p99": 5.0}}, ["--precision", "p99=500%"]),
    ({"engine": "numba"}, ["--engine", "numba"]),
]


@pytest.mark.parametrize(("arguments", "options"), MISTAKES)
def test_a_mistake_has_the_same_words_in_python_and_on_the_command_line(
    capsys, monkeypatch, tmp_path, arguments, options
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        sweep(**({"systems": "push", "agents": [2]} | arguments))
    assert cli.run(["scaling", "--system", "push", *options]) == 2
    line = capsys.readouterr().err.rstrip("\n")
    error = caught.value
    said = f"{error.problem}; allowed: {error.allowed}"
    assert line == f"lhsim: error: {options[0]}: {said}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (["polling.interval=50"], "polling.interval: 50 has no unit; allowed: 50s or 50ms"),
        (["polling.interval=0.5"], "polling.interval: 0.5 has no unit; allowed: 0.5s or 0.5ms"),
        (["cpu.query=8"], "cpu.query: 8 has no unit; allowed: 8s or 8ms"),
        (
            ["cpu.query={ family = 'lognormal', median = 8, sigma = 0.3 }"],
            "cpu.query.median: 8 has no unit; allowed: 8s or 8ms",
        ),
        (
            ["workload.traffic={ kind = 'poisson', rate = 1 }"],
            "workload.traffic.rate: 1 has no unit; allowed: 1/s or 1/m",
        ),
        (["memory.baseline=25"], "memory.baseline: 25 has no unit; allowed: 25B or 25kB"),
        (["polling.interval=1kB"], "polling.interval: '1kB' has the unit 'kB'; allowed: "),
        (["polling.interval='50'"], "polling.interval: '50' has no unit; allowed: "),
        (
            ["polling.interval=1s", "polling.interval = 2s"],
            "polling.interval: is there twice; allowed: each key once",
        ),
    ],
)
def test_a_setting_says_its_unit_and_is_there_once(capsys, monkeypatch, tmp_path, settings, line):
    with pytest.raises(InputError) as caught:
        lhsim.load_system("polling", settings)
    assert str(caught.value).startswith(f"settings: {line}")
    monkeypatch.chdir(tmp_path)
    options = [part for one in settings for part in ("--set", one)]
    for command in (["scaling"], ["capacity", "--slo", "p99<1s"], ["sensitivity"]):
        assert cli.run([*command, "--system", "polling", *options]) == 2
        assert capsys.readouterr().err.startswith(f"lhsim: error: --set: {line}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "settings",
    [
        ["cpu.connect=0"],
        ["polling.interval=50ms", "polling.limit=7", "polling.jitter=0.5"],
        ["cpu.query={ family = 'gamma', mean = '1 ms', shape = 2 }"],
        ["memory.baseline=25 MB", "workload.start_over=2 min"],
    ],
)
def test_zero_and_what_has_no_unit_need_none(settings):
    assert lhsim.load_system("polling", settings).name == "polling"


def test_what_lhsim_shows_of_an_answer_is_short(monkeypatch):
    found = sweep("push", [2, 4], replications=2, duration=5, engine="simpy")
    assert repr(found) == "<Sweep of push: 4 runs>"
    assert str(found.results[0]).startswith("<Result of push: 2 agents, 5 s, seed ")


def test_the_questions_of_planning_are_public():
    for name in ("capacity", "decide", "sensitivity", "Capacity", "Decision", "Sensitivity"):
        assert name in lhsim.__all__
        assert getattr(lhsim, name) is getattr(lhsim.planning, name)
    assert {"capacity", "decide", "sensitivity", "scaled_out"} <= set(dir(lhsim.planning))


def test_compare_and_estimate_name_what_is_there():
    found = sweep("push", 2, replications=2, duration=60, engine="simpy")
    with pytest.raises(InputError, match="a: unknown system 'pull'; allowed: push"):
        found.compare("pull", "push", agents=2)
    with pytest.raises(InputError, match=r"agents: 2\.5 is not a whole number"):
        found.compare("push", "push", agents=2.5)
    assert found.compare("push", "push", agents=np.int64(2)).difference.value == 0
    for bad in (2, "p99", None, True, math.nan):
        with pytest.raises(InputError, match=r"q: .* allowed: a number from 0 to 1"):
            found.results[0].estimate(bad)
    with pytest.raises(InputError, match="ax: 5 is no axes; allowed: axes of matplotlib, or None"):
        found.plot(5)


def test_numbers_of_any_kind_are_taken_by_the_closed_forms():
    assert theory.erlang_c(np.int64(2), fractions.Fraction(1)) == theory.erlang_c(2, 1.0)
    assert theory.MMc(np.float32(1.0), np.float64(0.5), np.int8(2)) == theory.MMc(1.0, 0.5, 2)


@pytest.mark.parametrize(
    ("option", "values"),
    [("--agents", ("10", "20")), ("--seed", ("1", "1")), ("--jobs", ("1", "2"))],
)
def test_an_option_that_takes_one_value_is_given_once(capsys, option, values):
    arguments = [part for value in values for part in (option, value)]
    for command in (["scaling"], ["capacity", "--slo", "p99<1s"], ["run", "intervals"]):
        assert cli.run([*command, *arguments]) == 2
        line = f"lhsim: error: {option}: is there twice; allowed: each option once\n"
        assert capsys.readouterr().err == line


@pytest.mark.parametrize(
    ("path", "bad", "line"),
    [
        ("workload.traffic", 5, "system: workload.traffic: 5 is none; allowed: a Traffic"),
        ("store.query", 0.001, "system: store.query: 0.001 is none; allowed: a Distribution"),
        (
            "polling.wake_on_write",
            "yes",
            "system: polling.wake_on_write: 'yes' is none; allowed",
        ),
        ("faults", ("stall",), "system: faults[0]: 'stall' is none; allowed: a Fault"),
        ("memory", 5, "system: memory: 5 is none; allowed: a Memory"),
    ],
)
def test_a_description_made_in_python_holds_what_its_fields_can(path, bad, line):
    *owner, name = path.split(".")
    plain = evolve(POLLING, calibration=None)
    if owner:
        changed = evolve(getattr(plain, owner[0]), **{name: bad})
        system = evolve(plain, **{owner[0]: changed})
    else:
        system = evolve(plain, **{name: bad})
    with pytest.raises(InputError) as caught:
        lhsim.simulate(system, agents=2, duration=1, engine="simpy")
    assert str(caught.value).startswith(line)


class Odd:
    """It cannot even be shown."""

    def __repr__(self) -> str:
        raise ValueError("no")


@pytest.mark.parametrize("value", [np.timedelta64(5, "s"), np.timedelta64(5, "ns"), Odd()])
@pytest.mark.parametrize("argument", ["system", "agents", "duration", "seed", "warmup", "samples"])
def test_a_duration_of_numpy_is_no_number_and_what_cannot_be_shown_is_named_by_its_type(
    argument, value
):
    good = {"system": "push", "agents": 2, "duration": 1, "engine": "simpy"}
    with pytest.raises(InputError) as caught:
        lhsim.simulate(**{**good, argument: value})
    assert str(caught.value).isprintable()
    for kind in (distributions.Exponential, distributions.Distribution.from_scalar):
        with pytest.raises(InputError):
            kind(value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: theory.ClosedNetwork(1.0, itertools.repeat(0.1)),
        lambda: theory.MHyper1(0.1, itertools.repeat(0.1), [1.0]),
        lambda: distributions.Mixture(itertools.count(1), [distributions.Exponential(1.0)]),
        lambda: distributions.Sum(itertools.repeat(distributions.Exponential(1.0))),
        lambda: distributions.Empirical(itertools.repeat(0.1)),
        lambda: distributions.Exponential(1.0).cdf(range(10**12)),
    ],
)
def test_a_list_without_an_end_is_refused_before_the_memory_is_full(monkeypatch, make):
    monkeypatch.setattr(checks, "MOST_VALUES", 1000)
    with pytest.raises(InputError, match="more than a model can hold"):
        make()


def test_means_are_asked_of_a_network():
    with pytest.raises(InputError, match=r"^network: None is none; allowed: a ClosedNetwork$"):
        theory.mean_value_analysis(None, 3)
