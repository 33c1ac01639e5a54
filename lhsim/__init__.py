"""Discrete-event simulation of agents that exchange messages by polling or by event push.

>>> import lhsim
>>> result = lhsim.simulate("polling", agents=100, duration=60, seed=1)
>>> print(result.summary())  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lhsim.errors import InputError, InvariantError, LhsimError
    from lhsim.experiments.sweep import Sweep, sweep
    from lhsim.library import load_system, systems
    from lhsim.planning.screening import Sensitivity, sensitivity
    from lhsim.planning.search import Capacity, capacity
    from lhsim.simulation import Result, simulate

__version__ = "0.1.0"

__all__ = [
    "Capacity",
    "InputError",
    "InvariantError",
    "LhsimError",
    "Result",
    "Sensitivity",
    "Sweep",
    "__version__",
    "capacity",
    "load_system",
    "sensitivity",
    "simulate",
    "sweep",
    "systems",
]

_HOME = {
    "Capacity": "lhsim.planning.search",
    "InputError": "lhsim.errors",
    "InvariantError": "lhsim.errors",
    "LhsimError": "lhsim.errors",
    "Result": "lhsim.simulation",
    "Sensitivity": "lhsim.planning.screening",
    "Sweep": "lhsim.experiments.sweep",
    "capacity": "lhsim.planning.search",
    "load_system": "lhsim.library",
    "sensitivity": "lhsim.planning.screening",
    "simulate": "lhsim.simulation",
    "sweep": "lhsim.experiments.sweep",
    "systems": "lhsim.library",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: the command line's help needs none of them."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
