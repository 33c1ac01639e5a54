"""What an experiment asks: the classes behind ``experiments/*.toml``."""

from __future__ import annotations

from pathlib import Path

from attrs import Factory, field, frozen

from lhsim import _resources, parameters
from lhsim.checks import positive, whole
from lhsim.units import Seconds


@frozen
class KneeSearch:
    """How the knee of a system is searched for between two levels."""

    messages: int = field(default=5000, validator=whole(1))  # created in the window of a run
    tolerance: float = field(default=0.05, validator=positive)  # width, as a part of the knee


@frozen
class Scaling:
    """E2: both architectures as the agents grow."""

    systems: tuple[str, ...]  # names or files
    agents: tuple[int, ...]  # levels
    description: str = ""
    replications: int = field(default=5, validator=whole(1))  # of each level
    settings: tuple[str, ...] = ()  # over what the model files say, as in --set
    messages: int = field(default=20_000, validator=whole(1))  # created in a measured window
    min_duration: Seconds = field(default=20.0, validator=positive)  # of a measured window [s]
    max_events: int = field(default=10_000_000, validator=whole(1))  # a run with more is skipped
    knee: KneeSearch = Factory(KneeSearch)


@frozen
class Latency:
    """E1: one pair of agents that has the server to itself."""

    systems: tuple[str, ...]  # names or files
    description: str = ""
    agents: tuple[int, ...] = (2,)
    replications: int = field(default=5, validator=whole(1))
    settings: tuple[str, ...] = ()  # over what the model files say, as in --set
    duration: Seconds = field(default=600.0, validator=positive)  # longest [s]


def load_scaling(name_or_path: str | Path = "scaling") -> Scaling:
    """Return the specification of a scaling experiment, by default the one of lhsim."""
    return parameters.load(_resources.find("experiments", name_or_path), Scaling)


def load_latency(name_or_path: str | Path = "latency") -> Latency:
    """Return the specification of a latency experiment, by default the one of lhsim."""
    return parameters.load(_resources.find("experiments", name_or_path), Latency)
