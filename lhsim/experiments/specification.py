"""What an experiment asks: the classes behind ``experiments/*.toml``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

from attrs import Factory, field, frozen

from lhsim import _resources, parameters
from lhsim.checks import at_least, one_of, positive, whole
from lhsim.errors import InputError
from lhsim.experiments.axes import AGENTS, Axis, Design, Factorial, parse_axes
from lhsim.planning import ScaleOut
from lhsim.units import PerSecond, Seconds


@frozen
class KneeSearch:
    """How the knee of a system is searched for between two levels."""

    messages: int = field(default=5000, validator=whole(1))  # created in the window of a run
    tolerance: float = field(default=0.05, validator=positive)  # width, as a part of the knee


@frozen
class MaxEvents:
    """The model events that each engine may take for a run; a run that may take more is skipped.

    Either limit is the work of roughly 100 seconds.
    """

    simpy: int = field(default=10_000_000, validator=whole(1))
    compiled: int = field(default=1_000_000_000, validator=whole(1))

    def of(self, engine: str) -> int:
        """Return the limit of an engine, by its name."""
        return self.simpy if engine == "simpy" else self.compiled

    def unless(self, most: int | None) -> MaxEvents:
        """Return these limits, or, where it is given, `most` for each engine."""
        return self if most is None else MaxEvents(most, most)


@frozen
class Experiment:
    """What every experiment asks."""

    systems: tuple[str, ...]  # names or files
    description: str = field(default="", kw_only=True)
    settings: tuple[str, ...] = field(default=(), kw_only=True)  # over what the model files say
    max_events: MaxEvents = field(factory=MaxEvents, kw_only=True)


@frozen
class Scaling(Experiment):
    """E2: both architectures as the agents grow, on one server and scaled out."""

    agents: tuple[int, ...]  # levels
    replications: int = field(default=5, validator=whole(1))  # of each level
    messages: int = field(default=20_000, validator=whole(1))  # created in a measured window
    min_duration: Seconds = field(default=20.0, validator=positive)  # of a measured window [s]
    scale_out: ScaleOut | None = None  # None: no system is scaled out
    knee: KneeSearch = Factory(KneeSearch)


@frozen
class Latency(Experiment):
    """E1: one pair of agents that has the server to itself."""

    agents: tuple[int, ...] = (2,)
    replications: int = field(default=5, validator=whole(1))
    duration: Seconds = field(default=600.0, validator=positive)  # longest [s]
    max_events: MaxEvents = field(default=MaxEvents(2**62, 2**62), kw_only=True)  # a pair makes few


@frozen
class Variant:
    """A way in which each system is run, besides the others."""

    name: str  # of its rows
    settings: tuple[str, ...] = ()  # over those of the experiment, as in --set


@frozen
class MemoryUnderLoad(Experiment):
    """E3: what the server holds in memory over a long time under load."""

    variants: tuple[Variant, ...]
    agents: int = field(default=50, validator=whole(1))
    replications: int = field(default=3, validator=whole(1))
    duration: Seconds = field(default=1800.0, validator=positive)  # simulated [s]
    every: Seconds = field(default=5.0, validator=positive)  # from one sample to the next [s]


@frozen
class Recovery(Experiment):
    """E4: slow agents among normal ones, and an outage with the storm of those who come back."""

    agents: int = field(default=50, validator=whole(2))  # slow ones included
    slow: int = field(default=10, validator=whole(1))  # of the agents
    slow_factor: float = field(default=200.0, validator=at_least(1))  # on their delays
    replications: int = field(default=10, validator=whole(1))
    outage_settings: tuple[str, ...] = ()  # over these, where there is an outage
    before: Seconds = field(default=60.0, validator=positive)  # measured before the outage [s]
    outage: Seconds = field(default=10.0, validator=positive)  # how long it lasts [s]
    after: Seconds = field(default=60.0, validator=positive)  # measured after it [s]
    window: Seconds = field(default=5.0, validator=positive)  # of a p95 over time [s]
    hold: Seconds = field(default=10.0, validator=positive)  # in which it stays in its band [s]


@frozen
class Burst(Experiment):
    """E5: few agents that send, then many, then few again."""

    agents: int = field(default=20, validator=whole(1))  # that send before and after
    burst_agents: int = field(default=200, validator=whole(1))  # that send in the burst
    rate: PerSecond = field(default=1.0, validator=positive)  # messages of an agent [1/s]
    before: Seconds = field(default=60.0, validator=positive)  # [s]
    burst: Seconds = field(default=30.0, validator=positive)  # [s]
    after: Seconds = field(default=60.0, validator=positive)  # [s]
    replications: int = field(default=10, validator=whole(1))
    window: Seconds = field(default=5.0, validator=positive)  # of a p95 over time [s]
    hold: Seconds = field(default=10.0, validator=positive)  # in which it stays in its band [s]


@frozen
class Contention(Experiment):
    """E6: more and more agents that write to the event store at once."""

    agents: tuple[int, ...]  # levels: writers
    replications: int = field(default=5, validator=whole(1))
    duration: Seconds = field(default=30.0, validator=positive)  # measured [s]


@frozen
class EqualCpu:
    """The fixes to polling that are compared at equal use of the processor."""

    options: tuple[str, ...]  # names of the options
    tolerance: float = field(default=0.01, validator=positive)  # of the use, as a part of it


@frozen
class Factors:
    """The round trips and pauses at which polling and push are compared."""

    round_trips: tuple[Seconds, ...]  # on the network [s]
    pauses: tuple[Seconds, ...]  # between the messages of an agent [s]


@frozen
class Overload:
    """A load that is more than a server can do."""

    options: tuple[Variant, ...]
    agents: int = field(default=2500, validator=whole(1))
    settings: tuple[str, ...] = ()  # over those of the experiment, as in --set


@frozen
class Optimisations(Experiment):
    """E8: what each optimisation buys."""

    options: tuple[Variant, ...]
    equal_cpu: EqualCpu
    factor: Factors
    overload: Overload
    agents: int = field(default=1000, validator=whole(1))
    replications: int = field(default=5, validator=whole(1))
    duration: Seconds = field(default=60.0, validator=positive)  # simulated [s]

    def __attrs_post_init__(self) -> None:
        names = [one.name for one in self.options]
        for name in self.equal_cpu.options:
            if name not in names:
                allowed = ", ".join(names)
                raise InputError(f"{name!r} is no option", key="equal_cpu.options", allowed=allowed)

    def option(self, name: str) -> Variant:
        """Return an option by its name."""
        return next(one for one in self.options if one.name == name)


TRIGGERS = ("stall", "outage", "none")


@frozen
class Situation:
    """What hits the systems, and how their agents behave."""

    name: str  # of its rows
    trigger: Literal["stall", "outage", "none"] = field(validator=one_of(TRIGGERS))
    settings: tuple[str, ...] = ()  # over those of the experiment, as in --set


@frozen
class Failures(Experiment):
    """What a server feels of a stall, an outage or slow agents, and for how long."""

    cases: tuple[Situation, ...]
    agents: int = field(default=20, validator=whole(2))
    replications: int = field(default=5, validator=whole(1))
    before: Seconds = field(default=40.0, validator=positive)  # measured before the trigger [s]
    stall: Seconds = field(default=5.0, validator=positive)  # of the database [s]
    outage: Seconds = field(default=5.0, validator=positive)  # of the server [s]
    after: Seconds = field(default=90.0, validator=positive)  # measured after it [s]
    window: Seconds = field(default=5.0, validator=positive)  # of a p95 over time [s]
    hold: Seconds = field(default=10.0, validator=positive)  # in which it stays in its band [s]


@frozen
class Claims(Experiment):
    """E7: the original proposal's claims, held against what one polling and one push system do."""

    systems: tuple[str, ...]  # names or files: one that polls, and one that pushes
    pair_settings: tuple[str, ...]  # over what the model files say: a pair that is alone
    steady_settings: tuple[str, ...]  # a load that goes on
    closed_settings: tuple[str, ...]  # each agent sends a few messages, as fast as it can
    replications: int = field(default=10, validator=whole(2))
    samples: int = field(default=20, validator=whole(2))  # of the parameters' uncertainty
    knee: KneeSearch = Factory(KneeSearch)
    knee_agents: tuple[int, ...] = (10, 100, 1000, 10_000, 100_000)  # between which it is searched


_AXES = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {
        "anyOf": [
            {"type": "array", "minItems": 1},
            {"type": "string", "pattern": r"^\s*(lin|log)\s.*\.\."},
            {"type": "object"},  # the rest of a path
        ]
    },
}


@frozen
class ParameterSweep(Experiment):
    """Systems over any of their parameters: what ``lhsim run FILE`` runs."""

    kind: Literal["sweep"]
    # values by the path of a parameter, or "agents": lists, or ranges such as "lin 0..1 x 5"
    axes: dict[str, Any] = field(metadata={"schema": _AXES})
    design: Design = Factory(Factorial)  # which points of the axes' space are run
    agents: int | None = field(default=None, validator=whole(1))  # where they are no axis
    replications: int = field(default=5, validator=whole(1))  # of each point
    messages: int = field(default=20_000, validator=whole(1))  # created in a measured window
    min_duration: Seconds = field(default=20.0, validator=positive)  # of a measured window [s]

    def __attrs_post_init__(self) -> None:
        if not self.systems:
            raise InputError("is empty", key="systems", allowed="at least one system")
        parsed = self.parsed_axes
        if not parsed:
            raise InputError("is empty", key="axes", allowed="at least one axis")
        if (AGENTS in parsed) == (self.agents is not None):
            problem = "is missing" if self.agents is None else "is an axis, too"
            raise InputError(problem, key=AGENTS, allowed="either agents = N or axes.agents")

    @property
    def parsed_axes(self) -> dict[str, Axis]:
        """The axes, by the dotted paths of their parameters."""
        return parse_axes(self.axes)


KINDS = {
    "scaling": Scaling,
    "latency": Latency,
    "sweep": ParameterSweep,
    "memory": MemoryUnderLoad,
    "recovery": Recovery,
    "burst": Burst,
    "contention": Contention,
    "optimisations": Optimisations,
    "failure": Failures,
    "claims": Claims,
}

S = TypeVar("S")


def load(name_or_path: str | Path, kind: type[S]) -> S:
    """Return the specification of an experiment of a kind, by its name or from a file."""
    return parameters.load(_resources.find("experiments", name_or_path), kind)
