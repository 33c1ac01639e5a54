"""The declarations of the state that have to agree with each other."""

import numpy as np

from lhsim.compiled import setup, state
from lhsim.metrics.account import Window
from lhsim.models import PushServer, System
from lhsim.models.push import ASKINGS, OUTBOUND_POLICIES, OVERFLOWS
from lhsim.streams import Purpose


def test_the_layout_is_that_of_the_arrays():
    system = System(name="views", push=PushServer())
    made = setup.state_of(system, 2, 1, Window(0.0, 1.0, 1.0), keep_messages=True)
    assert list(state.LAYOUT) == list(state.State._fields[: state.ARRAYS])
    for name, (dtype, shape) in state.LAYOUT.items():
        array = getattr(made, name)
        assert array.dtype == np.dtype(dtype), name
        assert array.flags.c_contiguous, name
        assert array.size == array.reshape(shape).size, name


def test_policies_have_the_numbers_that_the_settings_give_them():
    assert list(range(len(OVERFLOWS))) == [state.REJECT, state.WAIT, state.FALLBACK]
    names = [state.DROP_NEW, state.DROP_OLDEST, state.BLOCK, state.DISCONNECT]
    assert names == list(range(len(OUTBOUND_POLICIES)))
    assert (None, *ASKINGS)[state.BY_REPLY] == "reply"


def test_a_phase_has_the_number_of_a_purpose_only_where_it_is_that_purpose():
    numbers = {purpose.value: purpose.name for purpose in Purpose}
    begin, end = (list(vars(state)).index(name) for name in ("START", "PHASES"))
    phases = {
        name: vars(state)[name]
        for name in list(vars(state))[begin:end]
        if not name.startswith("OF_")
    }
    assert all(numbers.get(number, name) == name for name, number in phases.items())
    assert len(set(phases.values())) == len(phases)
    assert max(phases.values()) < state.PHASES
