"""A model file with anything in it is a system whose run can begin, or one line says why not."""

from __future__ import annotations

import copy
import warnings
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lhsim import _resources, parameters
from lhsim.compiled import setup
from lhsim.errors import InputError
from lhsim.metrics.account import Window
from lhsim.models import System
from lhsim.models.workload import check_count
from lhsim.simulation import memory

MODELS = [
    {
        key: value
        for key, value in parameters.read_toml(_resources.find("models", name)).items()
        if key != "calibration"
    }
    for name in ("seed-polling", "seed-push", "push")
]
WILD: list[Any] = [
    0, -1, 5e-324, 1e-300, 1e-18, 0.5, 3, 1e18, 1e19, 1e300, 1.7e308, 2**31, 2**63 - 1, 2**64,
    float("nan"), float("inf"), "x", "", "5 ms", "1e400 s", "1e308 d", "nan s", True, [], {},
    "\x1b[31m", "\ud800", [1, 2],
    {"family": "exponential", "mean": 1e18},
    {"family": "lognormal", "median": 1.0, "sigma": 26.0},
    {"family": "pareto", "minimum": 1.0, "alpha": 1.0001},
    {"family": "mixture", "weights": [1, 1e-18], "components": [1e-9, 1e18]},
]  # fmt: skip
PARTS: list[tuple[str, Any]] = [
    ("workload", {"traffic": {"kind": "poisson", "rate": 1e-18}}),
    ("workload", {"traffic": {"kind": "poisson", "rate": 5e-324}}),
    ("workload", {"traffic": {"kind": "periodic", "rate": 1e-9, "jitter": 1e-17}}),
    (
        "workload",
        {"traffic": {"kind": "piecewise", "pieces": [
            {"duration": 1e18, "rate": 1e-300}, {"duration": 5e-324, "rate": 1e18},
        ]}},
    ),
    ("workload", {"traffic": {"kind": "closed", "messages": 2**62, "pause": 1e18}}),
    ("faults", [{"kind": "stall", "component": "cpu", "at": 1e18, "duration": 1e18}]),
    ("faults", [{"kind": "slowdown", "at": 0, "duration": 1e18, "factor": 1e18}]),
    ("cpu", {"warmth": {"gaps": [0, 1e18], "excess": [0, 1e18]}}),
    ("cpu", {"stalls": {"gap": 1e-9, "length": 1e-9}}),
    ("cpu", {"slowdowns": {"gap": 5e-324, "length": 5e-324, "factor": 2}}),
    ("server", {"rate_limit": {"rate": 1e-18, "burst": 2**62}}),
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    return [path] * bool(path) + [one for key, item in items for one in places(item, (*path, key))]


def changed(draw: Any) -> dict[str, Any]:
    data: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(MODELS)))
    for _ in range(draw(st.integers(1, 3))):
        if draw(st.booleans()):
            key, part = copy.deepcopy(draw(st.sampled_from(PARTS)))
            there = data.get(key)
            both = isinstance(part, dict) and isinstance(there, dict)
            data[key] = {**there, **part} if both else part  # type: ignore[dict-item]
        else:
            path = draw(st.sampled_from(places(data)))
            place: Any = data
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = copy.deepcopy(draw(st.sampled_from(WILD)))
    return data


@settings(max_examples=400)
@given(st.composite(changed)(), st.sampled_from([1.0, 1e6, 1e18]))
def test_any_value_in_any_place(data: dict[str, Any], duration: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            system = parameters.structure(data, System, source="model.toml")
            check_count(system.workload, 4)
            memory.check(system, 4, duration, "compiled", keep=False)
            if system.own_server is None:
                window = Window(0.0, duration, duration)
                setup.state_of(system, 4, 1, window, keep_messages=False)
        except InputError as error:
            line = str(error)
            assert_short(line)


def assert_short(line: str) -> None:
    assert line.isprintable()
    assert len(line) < 4000
