"""The declarations of the state that have to agree with each other."""

import ast
import inspect
from pathlib import Path

import numpy as np

from lhsim.compiled import setup, state
from lhsim.metrics.account import Window
from lhsim.models import PushServer, System
from lhsim.models.push import ASKINGS, OUTBOUND_POLICIES, OVERFLOWS
from lhsim.streams import Purpose


def test_each_view_is_of_the_array_that_has_its_place():
    system = System(name="views", push=PushServer())
    arrays = setup.state_of(system, 2, 1, Window(0.0, 1.0, 1.0), keep_messages=True)
    tree = ast.parse(Path(inspect.getfile(state)).read_text(encoding="utf-8"))
    attach = next(node for node in tree.body if getattr(node, "name", "") == "attach")
    views = attach.body[-1].value.args[: state.ARRAYS]
    for index, (call, array) in enumerate(zip(views, arrays, strict=False)):
        address, _, dtype = map(ast.unparse, call.args)
        assert address == f"memory[{index}, 0]"
        assert eval(dtype, {**vars(state), "np": np}) == array.dtype, state.State._fields[index]


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
