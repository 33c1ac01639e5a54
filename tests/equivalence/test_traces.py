"""Random systems: a trace changes nothing, and the parts of each message's latency add up."""

import math
import os

import numpy as np
import pytest
from comparison import differences
from generators import AREAS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lhsim.execution import Cell
from lhsim.execution.cells import times_of
from lhsim.explanation.parts import LED, split
from lhsim.metrics.account import Window
from lhsim.models import SimpyEngine
from lhsim.models.trace import Trace
from lhsim.simulation.run import Run

EXAMPLES = int(os.environ.get("LHSIM_EXAMPLES", "2"))  # of each area

looking = settings(
    max_examples=EXAMPLES,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def traced(case, trace):
    """Return the result of a case on the SimPy engine, with its steps in `trace`."""
    cell = Cell(case.system, case.agents, case.duration, case.seed,
                warmup=case.warmup, drain=case.drain)  # fmt: skip
    warmup, drain = times_of(cell)
    window = Window(warmup, case.duration - drain, case.duration)
    engine = SimpyEngine(
        case.system, case.agents, case.seed, window, keep_messages=True, trace=trace
    )
    run = Run(engine, case.system, case.agents, window,
              stop_when_overloaded=case.stop_when_overloaded)  # fmt: skip
    return run.result(case.seed, case.duration, "", 0.0)


@pytest.mark.parametrize("area", AREAS)
@looking
@given(data=st.data())
def test_a_trace_changes_nothing_and_its_parts_add_up(area, data):
    case = data.draw(AREAS[area], label="case")
    trace = Trace()
    followed = traced(case, trace)
    assert differences(followed, traced(case, None)) == []
    messages = followed.messages
    messages = messages[messages["outcome"] == "delivered"].reset_index(drop=True)
    if messages.empty:
        return
    found = split(case.system, case.seed, case.agents, case.duration, trace.steps, messages)
    latencies = (messages["delivered"] - messages["created"]).to_numpy()
    parts = found.parts.to_numpy()
    assert (parts >= -1e-9).all()
    assert [math.fsum(row) for row in parts] == latencies.tolist()
    check_timeline(found.timeline, messages)


def check_timeline(timeline, messages):
    """Assert that the stretches of each message touch, from its creation to its delivery."""
    for row, stretches in timeline.groupby("message"):
        starts, ends = stretches["start"].to_numpy(), stretches["end"].to_numpy()
        assert starts[0] == messages["created"][row]
        assert ends[-1] == messages["delivered"][row]
        assert np.array_equal(starts[1:], ends[:-1])
    moved = (messages["delivered"] > messages["created"]).head(LED)
    assert timeline["message"].nunique() == moved.sum()
