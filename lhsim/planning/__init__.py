"""Planning: how many agents a system holds, how large it has to be, and what that depends on.

>>> from lhsim.planning import ScaleOut, capacity
>>> ScaleOut(agents_per_server=2000).servers(10_000)
5
>>> capacity("polling", ["p99<1500ms"]).value  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lhsim.planning.scaling_out import ScaleOut, scaled_out, scaled_out_name

if TYPE_CHECKING:
    from lhsim.planning.screening import Sensitivity, sensitivity
    from lhsim.planning.search import Capacity, capacity

__all__ = [
    "Capacity",
    "ScaleOut",
    "Sensitivity",
    "capacity",
    "scaled_out",
    "scaled_out_name",
    "sensitivity",
]

_HOME = {
    "Capacity": "lhsim.planning.search",
    "Sensitivity": "lhsim.planning.screening",
    "capacity": "lhsim.planning.search",
    "sensitivity": "lhsim.planning.screening",
}


def __getattr__(name: str) -> Any:
    """Import what searches when it is first used: a specification needs the rule alone."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
