"""The memory of a server, from recordings whose memory is known."""

from __future__ import annotations

import attrs
import pandas as pd
import pytest

from lhsim.calibration import levels
from lhsim.calibration.memory import fitted_memory
from lhsim.models import Poisson, Workload
from lhsim.models.memory import Memory
from lhsim.recording import Manifest, Recording

TRUE = Memory(baseline=43e6, per_agent=10e3, per_connection=20e3)


def recording(agents, seed=1, peak=None, messages=0):
    manifest = Manifest("push", agents, Workload(traffic=Poisson(1.0)), seed, 1.0, 10.0, 1.0)
    peak = (TRUE.baseline + 30e3 * agents) / 1e6 if peak is None else peak
    counters = pd.DataFrame({"time_s": [0.0, 1.0, 2.0], "memory_mb": [40.0, peak, peak - 1]})
    return Recording(manifest, pd.DataFrame({"sent_s": [0.0] * messages}), counters)


def test_a_line_is_found_and_shared_out_as_in_the_template():
    some = levels([recording(10), recording(100), recording(1000), recording(1000, 2)])
    found = fitted_memory(Memory(40e6, per_agent=1e3, per_connection=2e3), some)
    assert attrs.astuple(found.memory) == pytest.approx(attrs.astuple(TRUE))
    assert found.miss < 1e-9
    assert (found.runs, found.provenance.samples) == (4, 4)


def test_where_the_template_has_nothing_for_them_it_is_the_agents():
    found = fitted_memory(Memory(), levels([recording(10), recording(1000)])).memory
    assert (found.per_agent, found.per_connection) == (pytest.approx(30e3), 0.0)


def test_what_events_take_is_taken_off():
    runs = [recording(10, messages=0), recording(1000, peak=74.0, messages=1000)]
    found = fitted_memory(Memory(per_agent=1.0, per_event=1e3), levels(runs)).memory
    assert found.per_agent == pytest.approx(30e3)
    assert found.per_event == 1e3


def test_the_worst_run_says_how_far_the_line_is_off():
    runs = [recording(10), recording(505, peak=80.0), recording(1000)]
    assert fitted_memory(Memory(), levels(runs)).miss > 0.05


@pytest.mark.parametrize("runs", [[recording(10), recording(10, 2)], [recording(10)]])
def test_one_number_of_agents_tells_nothing(runs):
    assert fitted_memory(Memory(), levels(runs)) is None


def test_runs_that_did_not_read_it_tell_nothing():
    runs = [recording(10), recording(20)]
    without = [attrs.evolve(run, counters=run.counters[["time_s"]]) for run in runs]
    assert fitted_memory(Memory(), levels(without)) is None
    empty = [attrs.evolve(run, counters=run.counters.iloc[:0]) for run in runs]
    assert fitted_memory(Memory(), levels(empty)) is None
