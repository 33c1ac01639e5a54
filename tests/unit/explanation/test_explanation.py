"""`lhsim.explain`: what it says of systems whose answer is known, and what it refuses."""

import json

import attrs
import pytest

import lhsim
from lhsim.distributions import Deterministic, Exponential
from lhsim.explanation.explanation import RUNS, ask
from lhsim.explanation.remedies import remedies
from lhsim.models import (
    Cpu,
    EventStore,
    Network,
    Periodic,
    Poisson,
    PollingServer,
    PushServer,
    System,
    Warmth,
    Workload,
)
from lhsim.report.explanation import explanation_sentences, explanation_text
from lhsim.simulation import simulate

MS = 1e-3


def pushed(**parts):
    workload = Workload(traffic=Poisson(1.0), start="together")
    return System(name="pushed", workload=workload, push=PushServer(), **parts)


@pytest.fixture(scope="module")
def queue():
    """An explanation of an M/M/1 with 60 % utilisation and 10 ms of network."""
    network = Network(up=Deterministic(6 * MS), down=Deterministic(4 * MS))
    system = pushed(cpu=Cpu(send=Exponential(10 * MS)), network=network)
    return lhsim.explain(system, 60, engine="simpy")


def test_half_the_network_is_half_the_delay_of_each_message(queue):
    effect = next(one for one in queue.effects if one.remedy == "half the network delay")
    assert effect.helps
    assert effect.mean.difference.value == pytest.approx(-5 * MS, rel=1e-6)
    assert effect.mean.difference.half_width < 1e-6


def test_a_quicker_processor_halves_the_service_and_more_of_the_waiting(queue):
    effect = next(one for one in queue.effects if one.remedy == "a processor twice as fast")
    # M/M/1: S / (1 - rho) is 25 ms before, and 5 / 0.7 ms after.
    low, high = effect.mean.difference.interval
    assert low <= 5 * MS / 0.7 - 10 * MS / 0.4 <= high


def test_a_knob_that_does_nothing_is_named(queue):
    system = pushed(cpu=Cpu(send=Exponential(10 * MS)), store=EventStore(write=Deterministic(1e-6)))
    found = lhsim.explain(system, 30, engine="simpy")
    assert any("twice the database connections" in one for one in found.sentences()
               if one.startswith("What changes next to nothing"))  # fmt: skip


def test_the_run_that_is_followed_is_that_of_either_engine(queue):
    cell = ask("push", 50, 20.0, 0.95, 1, "auto").cells[0]
    found = lhsim.explain("push", 50, duration=20.0)
    for engine in ("simpy", "compiled"):
        run = simulate(cell.system, agents=50, duration=20.0, seed=cell.seed, engine=engine,
                       keep_messages=True)  # fmt: skip
        messages = run.messages.set_index(["sender", "number"])
        same = messages.loc[list(zip(found.messages["sender"], found.messages["number"],
                                     strict=True))]  # fmt: skip
        assert same["delivered"].tolist() == found.messages["delivered"].tolist()


def test_all_of_it_is_plain_data_and_text(queue):
    data = json.loads(json.dumps(queue.to_dict(), allow_nan=False))
    assert sum(one["share"] for one in data["parts"]) == pytest.approx(1)
    assert sum(one["tail_share"] for one in data["parts"]) == pytest.approx(1)
    assert data["mean"] == pytest.approx(sum(one["mean"] for one in data["parts"]))
    assert max(map(len, explanation_text(queue.to_dict()).splitlines())) <= 80
    assert len(queue.to_frame()) == len(queue.parts)
    assert repr(queue) == "<Explanation of pushed, 60 agents: 41% cpu waiting>"


def test_long_names_and_small_changes_keep_to_80_columns(queue):
    found = queue.to_dict()
    tiny = {"before": 0.1, "after": 0.1, "change": -1e-8, "interval": [-2e-8, -1e-9]}
    name = "nodes with the fewest connections first, each of which has twice the event loops"
    found["effects"] = [found["effects"][0] | {"remedy": name, "mean": tiny, "p99": tiny}]
    text = explanation_text(found)
    assert max(map(len, text.splitlines())) <= 80
    assert "+0.0 +-0.0 %" in text
    assert "-0.0 +-" not in text


def test_messages_have_their_parts_as_columns(queue):
    names = [one.name for one in queue.parts]
    total = queue.messages[names].sum(axis=1)
    assert total.to_numpy() == pytest.approx(queue.messages["latency"].to_numpy())


def test_a_trace_has_all_stretches_of_the_first_messages(queue):
    events = json.loads(queue.trace_json(most=3))["traceEvents"]
    whole = [one for one in events if one["name"] == "message"]
    assert len(whole) == 3
    for one in whole:
        on_it = [each for each in events if each["ph"] == "X" and each["tid"] == one["tid"]]
        parts = [each for each in on_it if each is not one]
        assert sum(each["dur"] for each in parts) == pytest.approx(one["dur"])
        assert {each["name"] for each in parts} >= {"message up", "send", "push down"}


def test_an_overload_is_said():
    found = lhsim.explain(pushed(cpu=Cpu(send=Deterministic(20 * MS))), 100, engine="simpy")
    assert found.overloaded
    assert any("overloaded" in one for one in found.sentences())
    assert all(one.mean is None for one in found.effects if one.remedy != "half the network delay")


def test_a_system_that_does_nothing_can_be_explained():
    found = lhsim.explain(pushed(), 5, engine="simpy")
    assert found.mean == 0
    assert found.parts == ()
    assert explanation_sentences(found.to_dict())[0].startswith("The latency of pushed")


def test_remedies_are_only_what_a_system_has_room_for():
    names = {one.name for one in remedies(pushed(cpu=Cpu(send=Deterministic(MS))))}
    assert names == {"twice the event loops", "a processor twice as fast"}
    polled = System(name="polled", polling=PollingServer(wake_on_write=True))
    assert [one.name for one in remedies(polled)] == ["half the polling interval"]


def test_pairs_have_the_same_seeds_and_times():
    asked = ask("polling", 10, None, 0.95, 1, "auto")
    others = list(asked.others())
    assert len(others) == RUNS * len(asked.remedies)
    for number, cell in enumerate(others):
        base = asked.cells[number % RUNS]
        assert attrs.evolve(cell, system=base.system) == base


def test_few_messages_have_slow_ones_too():
    found = lhsim.explain(pushed(cpu=Cpu(send=Exponential(10 * MS))), 2, duration=20.0,
                          engine="simpy")  # fmt: skip
    assert 20 <= found.count < 67
    assert sum(one.tail for one in found.parts) == pytest.approx(found.tail)
    assert any(one.startswith("few messages") for one in found.sentences())
    json.dumps(found.to_dict(), allow_nan=False)


def test_what_the_rest_of_a_system_does_not_go_with_is_no_remedy():
    warm = Warmth(gaps=(0.0, 1.0), excess=(0.0, 1.0))
    cpu = Cpu(send=Deterministic(MS), quantum=MS, warmth=warm)
    names = {one.name for one in remedies(pushed(cpu=cpu))}
    assert names == {"loops that never cool", "a processor twice as fast"}


def test_an_overload_without_a_message_is_said():
    system = pushed(cpu=Cpu(send=Deterministic(20.0)))
    with pytest.raises(lhsim.InputError, match="overload the system"):
        lhsim.explain(system, 100, engine="simpy")


def test_more_than_fits_in_memory_is_refused_before_it_runs():
    with pytest.raises(lhsim.InputError, match="memory"):
        lhsim.explain("push", 1_000_000_000)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"agents": 0}, "agents"),
        ({"confidence": 1.0}, "confidence"),
        ({"duration": "soon"}, "duration"),
        ({"engine": "quantum"}, "engine"),
        ({"seed": -1}, "seed"),
    ],
)
def test_what_cannot_be_used_is_refused(arguments, says):
    with pytest.raises(lhsim.InputError, match=says):
        lhsim.explain("push", arguments.pop("agents", 10), **arguments)


def test_too_few_messages_are_refused():
    system = attrs.evolve(pushed(), workload=Workload(traffic=Periodic(rate=0.1)))
    with pytest.raises(lhsim.InputError, match="messages are created"):
        lhsim.explain(system, 1, duration=20.0, engine="simpy")
