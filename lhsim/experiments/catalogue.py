"""What there is: systems and experiments, a line each."""

from __future__ import annotations

from lhsim import _resources, parameters
from lhsim._resources import Kind


def catalogue() -> str:
    """Return the names of all systems and experiments with their descriptions."""
    return "\n".join(["Systems", *_lines("models"), "", "Experiments", *_lines("experiments")])


def _lines(kind: Kind) -> list[str]:
    names = _resources.names(kind)
    width = max(map(len, names), default=0)
    return [f"  {name:<{width}}  {_description(kind, name)}".rstrip() for name in names]


def _description(kind: Kind, name: str) -> str:
    text = parameters.read_toml(_resources.find(kind, name)).get("description", "")
    return " ".join(str(text).split())
