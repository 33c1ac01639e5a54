from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from lhsim import parameters
from lhsim.cli.options import parse_duration
from lhsim.errors import InputError
from lhsim.experiments.options import ENGINES, MAX_SEED
from lhsim.experiments.specification import Latency, MaxEvents, Scaling, load
from lhsim.models import System
from lhsim.planning import ScaleOut

EXPERIMENTS = sorted((Path(__file__).parents[3] / "experiments").glob("*.toml"))


def test_the_experiment_asks_what_was_agreed():
    asked = load("scaling", Scaling)
    assert asked.agents == (10, 50, 100, 500, 1000, 10_000, 100_000, 1_000_000)
    assert (asked.messages, asked.min_duration) == (20_000, 20.0)
    assert asked.max_events == MaxEvents(simpy=10_000_000, compiled=1_000_000_000)
    assert asked.scale_out == ScaleOut(agents_per_server=2000)
    assert asked.systems == load("latency", Latency).systems == ("polling", "push")


def test_an_unknown_key_is_refused(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('systems = ["push"]\nagents = [10]\nreplication = 3\n')
    with pytest.raises(InputError, match=r"replication: unknown key .did you mean 'replications'"):
        load(path, Scaling)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[scale_out]", "scale_out.agents_per_server: is missing"),
        ("[scale_out]\nagents_per_server = 0", "scale_out.agents_per_server: 0 is out of range"),
        ("[scale_out]\nagents_per_serve = 1", "did you mean 'agents_per_server'"),
        ("[max_events]\nnumba = 1", "max_events.numba: unknown key"),
        ("[max_events]\nsimpy = 0", "max_events.simpy: 0 is out of range"),
        ("max_events = 10", "max_events"),
    ],
)
def test_the_limits_and_the_rule_are_read_strictly(tmp_path, table, message):
    path = tmp_path / "mine.toml"
    path.write_text(f'systems = ["push"]\nagents = [10]\n{table}\n')
    with pytest.raises(InputError) as refused:
        load(path, Scaling)
    assert message in str(refused.value)


def test_without_the_rule_nothing_is_scaled_out(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('systems = ["push"]\nagents = [10]\n')
    assert load(path, Scaling).scale_out is None


def test_auto_may_take_as_many_events_as_the_compiled_engine():
    limits = MaxEvents(simpy=1, compiled=2)
    assert [limits.of(engine) for engine in ("simpy", "compiled", "auto")] == [1, 2, 2]


def test_what_help_does_not_import_stays_the_same():
    from lhsim import simulation, streams

    assert streams.MAX_SEED == MAX_SEED
    assert simulation.ENGINES == ENGINES


@pytest.mark.parametrize(
    ("text", "seconds"), [("60", 60.0), ("500ms", 0.5), ("2 min", 120.0), ("1e2", 100.0)]
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


TRAFFIC = {
    "poisson": {"rate": 0.2},
    "periodic": {"rate": 0.2, "jitter": 0.5},
    "closed": {"messages": 3, "pause": 1.0},
    "piecewise": {"pieces": [{"duration": 1.0, "rate": 0.1}, {"duration": 1.0, "rate": 1.0}]},
}


def settings_in(table):
    """Yield each list of settings that a table has, or one inside it."""
    for key, value in table.items():
        if key.endswith("settings"):
            yield value
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, dict):
                yield from settings_in(inner)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
@pytest.mark.parametrize("kind", TRAFFIC)
@pytest.mark.parametrize("architecture", ["polling", "push"])
def test_what_an_experiment_sets_fits_any_model(path, kind, architecture):
    traffic = {"kind": kind, **TRAFFIC[kind]}
    model = {"name": "mine", architecture: {}, "workload": {"traffic": traffic}}
    other = {"polling": "push.", "push": "polling."}[architecture]
    for settings in settings_in(tomllib.loads(path.read_text(encoding="utf-8"))):
        its = [one for one in settings if not one.startswith(other)]
        system = parameters.structure(model, System, source="mine")
        changed = parameters.apply_settings(model, its, source="settings", described=system)
        assert parameters.structure(changed, System, source=path.name).name == "mine"
