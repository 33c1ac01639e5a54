"""The course of a validation, with a simulated server in the place of a real one."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager

import attrs
import pytest

import lhsim
from lhsim.cli import calibration
from lhsim.errors import InputError
from lhsim.live.settings import WebhookSettings
from lhsim.models import Webhook
from lhsim.recording import Manifest
from lhsim.replay import replay
from lhsim.validation import FULL, QUICK, Plan, Repetitions, validate
from lhsim.validation.validate import Cost, load_that_uses
from lhsim.validation.ways import IN_FLIGHT, PREDICTIONS, WAYS

validation = sys.modules["lhsim.validation.validate"]  # its name is that of the function

pytestmark = pytest.mark.usefixtures("replay_once")

PLAN = Plan(
    agents=30,
    middling=(0.35, 0.7),
    predicted=(0.6,),
    repetitions=Repetitions(low=1, middling=2, saturated=1, chatty=1, predicted=2),
    duration=4.0,
    warmup=1.5,
    drain=1.0,
)


@pytest.fixture
def server(monkeypatch):
    """Loads that were driven; the server is a system with other costs than the default one."""
    driven, served = [], []
    true = lhsim.load_system("push")
    true = attrs.evolve(true, cpu=true.cpu.slower(1.5))

    def measure(load):
        driven.append(load)
        asked = Manifest(load.architecture, load.agents, load.workload, load.seed, load.warmup,
                         load.duration, load.drain, webhook=load.webhook)  # fmt: skip
        return replay(true, asked)

    @contextmanager
    def serving(_store, log, options=()):
        served.append(options)
        log.write_text("")
        yield "http://127.0.0.1:1", 0

    monkeypatch.setattr(validation, "measure", measure)
    monkeypatch.setattr(validation, "serving", serving)
    return driven


@pytest.mark.usefixtures("few_samples")
def test_other_ways_are_predicted_before_they_are_measured(server, monkeypatch, tmp_path):
    written = tmp_path / "webhook" / PREDICTIONS
    count = []

    def measured(load):
        count.append((load.webhook is not None, written.exists()))
        return measure(load)

    measure = validation.measure
    monkeypatch.setattr(validation, "measure", measured)
    found = validate(PLAN, "push", tmp_path, ways=("queue", "webhook"))
    assert list(found.ways) == ["webhook"]  # the other one is none of push
    assert count == [(False, False)] * PLAN.runs("push") + [(True, True)] * PLAN.runs_of_way()
    rows = json.loads(written.read_text())
    of_ways = server[-PLAN.runs_of_way() :]
    assert {row["agents"] for row in rows} == {load.agents for load in of_ways}
    assert len({load.seed for load in server}) == len(server)
    for row in rows:
        low, high = row["interval90"]
        assert low <= high
    levels = {row["level"] for row in found.ways["webhook"].to_dicts()}
    assert all(", webhook" in level or level == "all levels" for level in levels)


def test_ways_are_those_of_the_command_and_what_a_bridge_says_of_itself():
    assert tuple(WAYS) == calibration.WAYS
    hook = WebhookSettings(allow=("http://a",))
    usual = Webhook(in_flight=IN_FLIGHT)
    for name in ("attempts", "timeout", "backoff", "factor", "longest", "in_flight"):
        assert getattr(hook, name) == getattr(usual, name)


def test_a_model_of_the_servers_own_kind_is_not_rejected(server, tmp_path):
    said = []
    found = validate(PLAN, "push", tmp_path, seed=5, tell=said.append)
    assert found.crosscheck.verdict != "rejected"
    assert found.kept == 0
    assert len(server) == len(found.runs) + len(found.predicted)
    assert len({load.seed for load in server}) == len(server)
    assert said[-2:] == ["calibrating", "predicting"]
    capacity = max(run.measures()["throughput"] for run in found.runs)
    for run in found.predicted:
        assert 0.4 < run.manifest.offered_load / capacity < 0.75
    calibrated_on = {run.manifest.agents for run in found.runs}
    assert not calibrated_on & {run.manifest.agents for run in found.predicted}


@pytest.mark.usefixtures("few_samples")
def test_a_validation_goes_on_where_it_was_interrupted(server, tmp_path):
    whole = validate(PLAN, "push", tmp_path)
    count = len(server)
    last = sorted(tmp_path.glob("predicted-*"))[-1]
    (last / "manifest.toml").unlink()
    again = validate(PLAN, "push", tmp_path)
    assert len(server) == count + 1
    assert again.kept == count - 1
    assert again.crosscheck.to_dicts() == whole.crosscheck.to_dicts()


@pytest.mark.usefixtures("few_samples")
def test_runs_of_another_seed_are_not_taken_for_ones_own(server, tmp_path):
    validate(PLAN, "push", tmp_path, seed=1)
    with pytest.raises(InputError, match="holds another run"):
        validate(PLAN, "push", tmp_path, seed=2)


@pytest.mark.usefixtures("few_samples")
def test_a_server_that_no_load_saturates_is_refused(server, monkeypatch, tmp_path):
    monkeypatch.setattr(validation.Level, "saturated", False)
    with pytest.raises(InputError, match="is not saturated"):
        validate(PLAN, "push", tmp_path)
    assert len(list(tmp_path.glob("nearly-*"))) == validation.ATTEMPTS - 1


def test_plans_count_their_runs():
    assert PLAN.runs("push") == 1 + 2 * 2 + 1 + 2
    assert PLAN.runs("polling") == PLAN.runs("push") + 1
    assert QUICK.runs("push") < FULL.runs("push")


def test_a_load_is_guessed_from_the_nearest_cost():
    costs = [Cost(0.1, 2e-3), Cost(0.5, 1e-3)]
    assert load_that_uses(0.5, costs) == pytest.approx(500)
    assert 1000 < load_that_uses(1.0, costs) < 1300  # a message costs less there
    assert 50 < load_that_uses(0.12, costs) < 70
