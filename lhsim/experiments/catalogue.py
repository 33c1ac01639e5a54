"""What there is: systems and experiments, a line each."""

from __future__ import annotations

from collections.abc import Callable

from lhsim import _resources, parameters
from lhsim._resources import Kind


def catalogue(*, paths: bool = False) -> str:
    """Return the names of all systems and experiments with their descriptions, or their paths."""
    beside = _path if paths else _description
    systems, others = (_lines(kind, beside) for kind in ("models", "experiments"))
    return "\n".join(["Systems", *systems, "", "Experiments", *others])


def _lines(kind: Kind, beside: Callable[[Kind, str], str]) -> list[str]:
    names = _resources.names(kind)
    width = max(map(len, names), default=0)
    return [f"  {name:<{width}}  {beside(kind, name)}".rstrip() for name in names]


def _path(kind: Kind, name: str) -> str:
    return str(_resources.find(kind, name))


def _description(kind: Kind, name: str) -> str:
    text = parameters.read_toml(_resources.find(kind, name)).get("description", "")
    return " ".join(str(text).split())
