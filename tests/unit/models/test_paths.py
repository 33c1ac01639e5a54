from __future__ import annotations

import pytest
from attrs import evolve

from lhsim import parameters
from lhsim.distributions import Exponential
from lhsim.errors import InputError
from lhsim.models import Cpu, EventStore, PollingServer, System, paths
from lhsim.models.system import Calibration

SYSTEM = System(
    name="one",
    cpu=Cpu(query=Exponential(1e-3)),
    store=EventStore(connections=4),
    polling=PollingServer(interval=2.0),
)
TEN = tuple(0.5 + 0.1 * k for k in range(10))


def test_numbers_are_read_and_changed():
    assert paths.value(SYSTEM, "polling.interval") == 2.0
    assert paths.value(SYSTEM, "polling.connections") is None
    assert paths.changed(SYSTEM, "polling.connections", 7).polling.connections == 7
    assert paths.changed(SYSTEM, "workload.traffic.rate", 3.0).workload.traffic.rate == 3.0


def test_only_counts_are_whole():
    whole = {"store.connections", "polling.connections", "cpu.workers"}
    for path in (*whole, "polling.interval", "cpu.query*"):
        assert paths.is_whole(SYSTEM, path) == (path in whole)


def test_a_sample_may_be_a_switch():
    path = "polling.wake_on_write"
    assert paths.is_switch(SYSTEM, path)
    assert not paths.is_switch(SYSTEM, "polling.interval")
    assert paths.sampled(SYSTEM, path, 1.0).polling.wake_on_write is True
    assert paths.sampled(SYSTEM, "polling.interval", 3.0).polling.interval == 3.0
    with pytest.raises(InputError, match="0 or 1"):
        paths.sampled(SYSTEM, path, 0.5)


def test_a_factor_changes_a_whole_distribution():
    changed = paths.changed(SYSTEM, "cpu.query*", 3.0)
    assert changed.cpu.query.mean == pytest.approx(3e-3)
    assert paths.value(SYSTEM, "cpu.query*") == 1.0


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("polling.intervall", "has no 'intervall' there (did you mean 'interval'?)"),
        ("push.connections", "the system has no 'connections' there, since it has no table [push]"),
        ("nodes.count", "the system has no 'count' there, since it has no table [nodes]"),
        ("polling", "is no number"),
        ("polling.wake_on_write", "is no number"),
        ("cpu.query", "is a distribution; allowed: cpu.query*"),
        ("store.connections*", "has no factor"),
    ],
)
def test_what_is_no_parameter_is_refused(path, part):
    with pytest.raises(InputError, match=r".") as caught:
        paths.value(SYSTEM, path)
    assert part in str(caught.value)


def test_a_number_out_of_range_is_refused_by_its_path():
    with pytest.raises(InputError, match=r"^polling.interval: -1.0 is out of range"):
        paths.changed(SYSTEM, "polling.interval", -1.0)


class TestSamples:
    def test_survive_a_round_trip(self):
        calibrated = evolve(SYSTEM, calibration=Calibration(samples={"cpu.query*": TEN}))
        data = parameters.unstructure(calibrated)
        assert parameters.structure(data, System, source="x") == calibrated

    @pytest.mark.parametrize(
        ("samples", "part"),
        [
            ({"cpu.query*": TEN, "polling.interval": TEN[:9]}, "lists of one length"),
            ({"cpu.query*": TEN[:9]}, "10 or more"),
            ({"cpu.query": TEN}, "is a distribution"),
            ({"cpu.qeury*": TEN}, "the system has no 'qeury' there"),
            ({"polling.interval": (-1.0, *TEN[1:])}, "-1.0 is out of range"),
        ],
    )
    def test_are_read_strictly(self, samples, part):
        data = {"name": "x", "polling": {}, "calibration": {"samples": samples}}
        with pytest.raises(InputError) as caught:
            parameters.structure(data, System, source="x.toml")
        assert str(caught.value).startswith("x.toml: calibration.samples")
        assert part in str(caught.value)
